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

// within is what the numbers of an operand keep to; of a single constant in
// rows of so many columns.
func (v *value) within(columns int) *tree.Bounds {
	if v.constant == nil || !v.typ.IsFloat() || v.constant.Len() == 0 {
		return v.bounds
	}
	var b tree.Bounds
	numbers := v.constant.Float64s
	if v.typ == model.Float32 {
		numbers = nil
		for _, n := range v.constant.Float32s {
			numbers = append(numbers, float64(n))
		}
	}
	b.Low, b.High = slices.Min(numbers), slices.Max(numbers)
	for _, n := range numbers {
		b.Sum += n
	}
	if len(numbers) != columns {
		b.Sum = math.Inf(1)
	}
	if len(numbers) == 1 {
		b.Sum = numbers[0] * float64(columns)
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
