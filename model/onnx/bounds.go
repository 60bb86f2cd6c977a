package onnx

import (
	"math"
	"slices"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/tree"
)

// What is known of a value's numbers before there is a row. It tells the
// probabilities of a forest from the margins of boosted trees, which the same
// operator makes, and a sum of votes from the share that it is divided to.

// bound notes what a value's numbers keep to.
func (v *value) bound(b tree.Bounds) { v.bounds = &b }

// rounding is how far outside 0 to 1 the sums of a forest may come to lie.
const rounding = 1e-5

// classRole is the role of a value that has a number for each class. They are
// probabilities when a transform made them so, or when none can be below 0 and
// all together cannot be above 1.
func (v *value) classRole() model.Role {
	if b := v.bounds; b != nil && (b.Probabilities || b.Low >= -rounding && b.Sum <= 1+rounding) {
		return model.RoleProbabilities
	}
	return model.RoleScores
}

// fractional reports whether the numbers can only be from 0 to 1.
func (v *value) fractional() bool {
	return v.bounds != nil && v.bounds.Low >= -rounding && v.bounds.High <= 1+rounding
}

// boundsOf is what the numbers of a constant keep to; nil for one without any,
// or of another type than a floating-point one.
func boundsOf(t *model.Tensor) *tree.Bounds {
	switch {
	case t.Len() == 0 || !t.Type.IsFloat():
		return nil
	case t.Type == model.Float64:
		return extent(t.Float64s)
	default:
		return extent(t.Float32s)
	}
}

func extent[F float32 | float64](numbers []F) *tree.Bounds {
	b := &tree.Bounds{Low: float64(slices.Min(numbers)), High: float64(slices.Max(numbers))}
	for _, n := range numbers {
		b.Sum += float64(n)
	}
	return b
}

// within is what the numbers of an operand keep to once they are broadcast to
// rows of so many columns.
func (v *value) within(columns int) *tree.Bounds {
	if v.bounds == nil {
		return nil
	}
	own, b := v.axes.columns(), *v.bounds
	if v.constant != nil {
		own = v.constant.Len()
	}
	switch own {
	case columns:
	case 1:
		b.Sum = b.High * float64(columns)
	default:
		b.Sum = math.Inf(1)
	}
	return &b
}

// bound is what the results of an operation keep to, in rows of so many
// columns; 0 is for columns that are not known.
func (op *arithmetic) bound(a, b *tree.Bounds, columns int) *tree.Bounds {
	if a == nil || b == nil || columns == 0 {
		return nil
	}
	if !op.divides {
		return &tree.Bounds{Low: a.Low + b.Low, High: a.High + b.High, Sum: a.Sum + b.Sum}
	}
	if b.Low <= 0 && b.High >= 0 || math.IsNaN(b.Low) {
		return nil
	}
	ends := []float64{a.Low / b.Low, a.Low / b.High, a.High / b.Low, a.High / b.High}
	out := &tree.Bounds{Low: slices.Min(ends), High: slices.Max(ends)}
	out.Sum = out.High * float64(columns)
	if b.Low == b.High && b.Low > 0 {
		out.Sum = a.Sum / b.Low
	}
	return out
}
