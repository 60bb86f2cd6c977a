package tree

import "math"

// transform is ONNX's post_transform: what is done to a row's scores at the
// end. Each is computed in float64 and without a difference of nearly equal
// numbers, so that a small probability keeps its digits.
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
			scores[i] = sigmoid(v)
		}
	case probit:
		for i, v := range scores {
			scores[i] = quantile(v)
		}
	}
}

// applySoftmax leaves out, where it is told to, the scores that are zero, whose
// exponential is not. When all are, none is likelier than another.
func applySoftmax[F float](scores []F, skipZero bool) {
	const zero = 0.0000001
	left := func(v F) bool { return skipZero && v <= zero && v >= -zero }
	top, found := math.Inf(-1), false
	for _, v := range scores {
		if !left(v) {
			top, found = max(top, float64(v)), true
		}
	}
	total := 0.0
	for i, v := range scores {
		switch {
		case !found:
			scores[i] = 1
		case left(v):
			scores[i] = 0
		default:
			scores[i] = F(math.Exp(float64(v) - top))
		}
		total += float64(scores[i])
	}
	for i, v := range scores {
		scores[i] = F(float64(v) / total)
	}
}

func sigmoid[F float](v F) F {
	e := math.Exp(-math.Abs(float64(v)))
	if v < 0 {
		return F(e / (1 + e))
	}
	return F(1 / (1 + e))
}

// quantile is the inverse of the normal distribution function through
// Winitzki's approximation of the inverse error function (2008), with the
// constants that ONNX's reference implementation and ONNX Runtime use.
func quantile[F float](v F) F {
	const a = 0.147
	p, x := float64(v), float64(2*float64(v))-1
	log := math.Log(4 * p * (1 - p))
	if math.Abs(x) < 0.5 {
		log = math.Log1p(-x * x)
	}
	// The conversions keep a compiler from fusing the steps, which would round
	// differently on some processors.
	half := 2/(math.Pi*a) + float64(0.5*log)
	root := math.Sqrt(float64(half*half) - log/a)
	square := root - half
	if half > 0 {
		square = -log / a / (root + half)
	}
	return F(math.Copysign(math.Sqrt2*math.Sqrt(square), x))
}
