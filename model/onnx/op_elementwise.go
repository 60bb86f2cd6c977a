package onnx

import (
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
	// divides: not every pair of integers has a result.
	divides bool
	// eachRow: row i of the result is that of instance i.
	eachRow bool
}

func add[T number](a, b T) T { return a + b }
func div[T number](a, b T) T { return a / b }

func buildAdd(n *node) (kernel, error) {
	return buildArithmetic(n, &arithmetic{float32: add[float32], float64: add[float64], int32: add[int32], int64: add[int64]})
}

func buildDiv(n *node) (kernel, error) {
	if by := n.inputs[1]; by.constant != nil && hasIntegerZero(by.constant) {
		return nil, fmt.Errorf("it divides integers by %q, which has a 0", by.name)
	}
	return buildArithmetic(n, &arithmetic{float32: div[float32], float64: div[float64], int32: div[int32], int64: div[int64], divides: true})
}

func hasIntegerZero(t *model.Tensor) bool {
	return t.Type == model.Int32 && slices.Contains(t.Int32s, 0) || t.Type == model.Int64 && slices.Contains(t.Int64s, 0)
}

func buildArithmetic(n *node, op *arithmetic) (kernel, error) {
	a, b := n.inputs[0], n.inputs[1]
	if a.typ != b.typ {
		return nil, fmt.Errorf("inputs %q and %q are of types %v and %v, which must be one", a.name, b.name, a.typ, b.typ)
	}
	if a.typ == model.Bool || a.typ == model.String {
		return nil, fmt.Errorf("inputs of type %v cannot be computed with", a.typ)
	}
	together, err := broadcastAxes(a.axes, b.axes)
	if err != nil {
		return nil, err
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
	out.typ, out.axes = a.typ, together
	if other.constant != nil && other.constant.Len() == 1 && len(out.axes) == len(main.axes) {
		out.input = main.input
	}
	out.bounds = op.bound(a.within(together.columns()), b.within(together.columns()), together.columns())
	out.role, out.classes = main.role, main.classes
	switch {
	case !main.role.ByClass():
	case op.divides && main == b:
		// What a score divides falls as it rises.
		out.role = model.RoleOther
	default:
		out.role = out.classRole()
	}
	op.eachRow = together.eachRow()
	return op, nil
}

// maxConstantValues bounds what is computed from two constants, which no
// exporter leaves to do for more than a few values.
const maxConstantValues = 1 << 16

// checkConstants refuses two constants that are large together; nil is a value
// that is no constant.
func checkConstants(a, b *model.Tensor) error {
	if a == nil || b == nil {
		return nil
	}
	shape, err := broadcast(nil, a.Shape, b.Shape)
	if err != nil {
		return err
	}
	if (&budget{maxConstantValues}).take(shape...) != nil {
		return unsupported("two constants of the shapes %v and %v make more than %d values", a.Shape, b.Shape, maxConstantValues)
	}
	return nil
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
	switch a.Type {
	case model.Float32:
		combine(op.float32, a.Shape, b.Shape, o.Shape, a.Float32s, b.Float32s, o.Float32s)
	case model.Float64:
		combine(op.float64, a.Shape, b.Shape, o.Shape, a.Float64s, b.Float64s, o.Float64s)
	case model.Int32:
		if err := checkDivision(op, a, b, o, a.Int32s, b.Int32s); err != nil {
			return err
		}
		combine(op.int32, a.Shape, b.Shape, o.Shape, a.Int32s, b.Int32s, o.Int32s)
	case model.Int64:
		if err := checkDivision(op, a, b, o, a.Int64s, b.Int64s); err != nil {
			return err
		}
		combine(op.int64, a.Shape, b.Shape, o.Shape, a.Int64s, b.Int64s, o.Int64s)
	}
	return nil
}

// checkDivision finds the first division of integers that has no result: by 0,
// and of the least integer by -1, for which ONNX Runtime's process ends.
func checkDivision[T int32 | int64](op *arithmetic, ta, tb, o *model.Tensor, a, b []T) error {
	if !op.divides || !slices.Contains(b, 0) && !slices.Contains(b, -1) {
		return nil
	}
	for i := range o.Len() {
		x, y := a[offset(i, ta.Shape, o.Shape)], b[offset(i, tb.Shape, o.Shape)]
		if y == 0 || y == -1 && x != 0 && x == -x {
			return refuse(op.eachRow, o, i, "the model divides two integers of which there is no quotient",
				fmt.Sprintf("a divisor that is not 0, and a quotient that fits %v", o.Type), fmt.Sprintf("%d divided by %d", x, y))
		}
	}
	return nil
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
func dimFromEnd[D ~int](shape []D, i, rank int) D {
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
