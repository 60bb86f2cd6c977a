package tree

import (
	"math"
	"slices"
)

// transform is ONNX's post_transform: what is done to a row's scores at the
// end. The formulas follow ONNX Runtime's, single precision included.
type transform uint8

const (
	none transform = iota
	softmax
	logistic
	softmaxZero
	probit
)

// transforms are the transforms by name. It is never written to.
var transforms = map[string]transform{
	"": none, "NONE": none, "SOFTMAX": softmax, "LOGISTIC": logistic, "SOFTMAX_ZERO": softmaxZero, "PROBIT": probit,
}

// apply transforms the scores of one row in place.
func apply[F float](t transform, scores []F) {
	switch t {
	case softmax, softmaxZero:
		applySoftmax(scores, t == softmaxZero)
	case logistic:
		for i, v := range scores {
			scores[i] = F(sigmoid(float32(v)))
		}
	case probit:
		for i, v := range scores {
			scores[i] = F(quantile(float32(v)))
		}
	}
}

// applySoftmax leaves out, where it is told to, the scores that are zero, whose
// exponential is not.
func applySoftmax[F float](scores []F, skipZero bool) {
	const zero = 0.0000001
	top := slices.Max(scores)
	var total F
	for i, v := range scores {
		if skipZero && !(v > zero || v < -zero) {
			scores[i] *= exp(-top)
			continue
		}
		scores[i] = exp(v - top)
		total += scores[i]
	}
	for i := range scores {
		scores[i] /= total
	}
}

func exp[F float](v F) F { return F(math.Exp(float64(v))) }

func sigmoid(v float32) float32 {
	s := 1 / (1 + exp(-max(v, -v)))
	if v < 0 {
		return 1 - s
	}
	return s
}

// quantile is the inverse of the normal distribution function through
// Winitzki's approximation of the inverse error function (2008), with the
// constants that ONNX Runtime uses.
func quantile(p float32) float32 {
	const a, pi, sqrt2 = float32(0.147), float32(3.14159), float32(1.41421356)
	x := 2*p - 1
	sign := float32(1)
	if x < 0 {
		sign = -1
	}
	log := float32(math.Log(float64((1 - x) * (1 + x))))
	// The conversions keep a compiler from fusing the steps, which would round
	// differently on some processors.
	v := 2/(pi*a) + float32(0.5*log)
	w := float32(1 / a * log)
	w = -v + float32(math.Sqrt(float64(float32(v*v)-w)))
	return sqrt2 * sign * float32(math.Sqrt(float64(w)))
}
