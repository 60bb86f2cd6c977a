package onnx

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tepalhq/tepal/model"
)

// Elementwise operators with broadcasting: Add and Div, as ai.onnx has them
// since opset 7.

type number interface {
	~int32 | ~int64 | ~float32 | ~float64
}

// arithmetic is an operation on two numbers of each type.
type arithmetic struct {
	float32 func(a, b float32) float32
	float64 func(a, b float64) float64
	int32   func(a, b int32) int32
	int64   func(a, b int64) int64
	// divides: a zero among integer divisors is an error.
	divides bool
}

func add[T number](a, b T) T { return a + b }
func div[T number](a, b T) T { return a / b }

func buildAdd(n *node) (kernel, error) {
	return buildArithmetic(n, &arithmetic{add[float32], add[float64], add[int32], add[int64], false})
}

func buildDiv(n *node) (kernel, error) {
	return buildArithmetic(n, &arithmetic{div[float32], div[float64], div[int32], div[int64], true})
}

func buildArithmetic(n *node, op *arithmetic) (kernel, error) {
	a, b := n.inputs[0], n.inputs[1]
	if a.typ != b.typ {
		return nil, fmt.Errorf("inputs %q and %q are of types %v and %v, which must be one", a.name, b.name, a.typ, b.typ)
	}
	if a.typ == model.Bool || a.typ == model.String {
		return nil, fmt.Errorf("inputs of type %v cannot be computed with", a.typ)
	}
	if err := checkConstants(a.constant, b.constant); err != nil {
		return nil, err
	}
	// Scaled or shifted by a constant, scores keep their meaning.
	main, other := a, b
	if a.constant != nil {
		main, other = b, a
	}
	out := n.outputs[0]
	out.typ, out.rank = a.typ, max(a.rank, b.rank)
	out.columns = across(a, b, out.rank)
	if other.constant != nil && other.constant.Len() == 1 {
		out.columns, out.input = main.columns, main.input
	}
	out.bounds = op.bound(a.within(main.columns), b.within(main.columns), out.columns)
	out.role, out.classes = main.role, main.classes
	switch {
	case !main.role.ByClass():
	case op.divides && main == b:
		// What a score divides falls as it rises.
		out.role = model.RoleOther
	default:
		out.role = out.classRole()
	}
	return op, nil
}

// maxConstantValues bounds what is computed from two constants, which no
// exporter leaves to do for more than a few values.
const maxConstantValues = 1 << 16

// checkConstants refuses two constants that are large together, or that do not
// go together; nil is a value that is no constant.
func checkConstants(a, b *model.Tensor) error {
	if a == nil || b == nil {
		return nil
	}
	shape, err := broadcast(nil, a.Shape, b.Shape)
	if err != nil {
		return err
	}
	if (&budget{maxConstantValues}).take(shape...) != nil {
		return fmt.Errorf("two constants of the shapes %v and %v make more than %d values", a.Shape, b.Shape, maxConstantValues)
	}
	return nil
}

// across is the number of values in a row of a and b broadcast to rank; 0 when
// only running tells.
func across(a, b *value, rank int) int {
	wide := func(v *value) int {
		switch {
		case rank > 2 || v.rank < rank && v.constant == nil:
			return 0
		case v.rank < rank:
			return v.constant.Len()
		default:
			return v.columns
		}
	}
	widest := max(wide(a), wide(b))
	if widest == 1 && min(wide(a), wide(b)) == 0 {
		return 0
	}
	return widest
}

func (op *arithmetic) run(budget *budget, in, out []*model.Tensor) error {
	a, b, o := in[0], in[1], out[0]
	var buffer [8]int
	shape, err := broadcast(buffer[:0], a.Shape, b.Shape)
	if err != nil {
		return err
	}
	if err := budget.resize(o, a.Type, shape...); err != nil {
		return err
	}
	if op.divides && hasIntegerZero(b) {
		return errors.New("an integer is divided by zero")
	}
	switch a.Type {
	case model.Float32:
		combine(op.float32, a.Shape, b.Shape, o.Shape, a.Float32s, b.Float32s, o.Float32s)
	case model.Float64:
		combine(op.float64, a.Shape, b.Shape, o.Shape, a.Float64s, b.Float64s, o.Float64s)
	case model.Int32:
		combine(op.int32, a.Shape, b.Shape, o.Shape, a.Int32s, b.Int32s, o.Int32s)
	case model.Int64:
		combine(op.int64, a.Shape, b.Shape, o.Shape, a.Int64s, b.Int64s, o.Int64s)
	}
	return nil
}

func hasIntegerZero(t *model.Tensor) bool {
	return t.Type == model.Int32 && slices.Contains(t.Int32s[:t.Len()], 0) || t.Type == model.Int64 && slices.Contains(t.Int64s[:t.Len()], 0)
}

// broadcast appends to shape the shape that a and b have together by ONNX's
// multidirectional rule: aligned at their last dimensions, equal or 1.
func broadcast(shape, a, b []int) ([]int, error) {
	rank := max(len(a), len(b))
	for i := range rank {
		da, db := dimFromEnd(a, i, rank), dimFromEnd(b, i, rank)
		switch {
		case da == db || db == 1:
			shape = append(shape, da)
		case da == 1:
			shape = append(shape, db)
		default:
			return nil, fmt.Errorf("the shapes %v and %v do not go together", a, b)
		}
	}
	return shape, nil
}

// dimFromEnd returns dimension i of a shape that is padded on the left with
// ones to the given rank.
func dimFromEnd(shape []int, i, rank int) int {
	if j := i - (rank - len(shape)); j >= 0 {
		return shape[j]
	}
	return 1
}

// combine applies op to every pair of elements under broadcasting.
func combine[T number](op func(a, b T) T, sa, sb, so []int, a, b, out []T) {
	if len(b) == 1 {
		for i := range out {
			out[i] = op(a[i], b[0])
		}
		return
	}
	for i := range out {
		out[i] = op(a[offset(i, sa, so)], b[offset(i, sb, so)])
	}
}

// offset maps element i of the output to that of an operand.
func offset(i int, shape, out []int) int {
	at, stride := 0, 1
	for d := len(out) - 1; d >= 0; d-- {
		index := i % out[d]
		i /= out[d]
		if n := dimFromEnd(shape, d, len(out)); n > 1 {
			at += index * stride
			stride *= n
		}
	}
	return at
}
