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

// arithmetic is an operation on two numbers, for each of their types.
type arithmetic struct {
	float32 inner[float32]
	float64 inner[float64]
	int32   inner[int32]
	int64   inner[int64]
	// divides: not every pair of integers has a result.
	divides bool
	// eachRow: row i of the result is that of instance i.
	eachRow bool
	// typ is the type of the operands.
	typ model.Type
}

// overwrites implements overwriter. A division of integers looks for what has no
// quotient first, and writes while it looks.
func (op *arithmetic) overwrites() bool { return !op.divides || op.typ.IsFloat() }

func add[T number](l stride, a, b, out []T) {
	switch {
	case l.a == 0:
		addNumber(b, a[0], out)
	case l.b == 0:
		addNumber(a, b[0], out)
	default:
		b = b[:len(out)]
		for i, x := range a[:len(out)] {
			out[i] = x + b[i]
		}
	}
}

func addNumber[T number](a []T, y T, out []T) {
	for i := range out {
		out[i] = a[i] + y
	}
}

func div[T number](l stride, a, b, out []T) {
	switch {
	case l.a == 0:
		for i, y := range b[:len(out)] {
			out[i] = a[0] / y
		}
	case l.b == 0:
		for i, x := range a[:len(out)] {
			out[i] = x / b[0]
		}
	default:
		b = b[:len(out)]
		for i, x := range a[:len(out)] {
			out[i] = x / b[i]
		}
	}
}

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
	op.eachRow, op.typ = together.eachRow(), a.typ
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
	var dims [8]int
	shape, err := broadcast(dims[:0], a.Shape, b.Shape)
	if err != nil {
		return err
	}
	if err := budget.resize(o, a.Type, shape...); err != nil {
		return err
	}
	if o.Len() == 0 {
		return nil
	}
	var buffer [8]stride
	loops := plan(buffer[:0], a.Shape, b.Shape, o.Shape)
	switch a.Type {
	case model.Float32:
		combine(op.float32, loops, a.Float32s, b.Float32s, o.Float32s)
	case model.Float64:
		combine(op.float64, loops, a.Float64s, b.Float64s, o.Float64s)
	case model.Int32:
		if err := checkDivision(op, loops, o, a.Int32s, b.Int32s, o.Int32s); err != nil {
			return err
		}
		combine(op.int32, loops, a.Int32s, b.Int32s, o.Int32s)
	case model.Int64:
		if err := checkDivision(op, loops, o, a.Int64s, b.Int64s, o.Int64s); err != nil {
			return err
		}
		combine(op.int64, loops, a.Int64s, b.Int64s, o.Int64s)
	}
	return nil
}

// checkDivision finds the first division of integers that has no result: by 0,
// and of the least integer by -1, for which ONNX Runtime's process ends. What
// it leaves in out means nothing.
func checkDivision[T int32 | int64](op *arithmetic, loops []stride, o *model.Tensor, a, b, out []T) error {
	if !op.divides || !slices.Contains(b, 0) && !slices.Contains(b, -1) {
		return nil
	}
	combine(lacksQuotient, loops, a, b, out)
	i := slices.Index(out, 1)
	if i < 0 {
		return nil
	}
	x, y := pairAt(loops, a, b, i)
	return refuse(op.eachRow, o, i, "the model divides two integers of which there is no quotient",
		fmt.Sprintf("a divisor that is not 0, and a quotient that fits %v", o.Type), fmt.Sprintf("%d divided by %d", x, y))
}

// lacksQuotient gives 1 for two integers that have no quotient of their type.
func lacksQuotient[T int32 | int64](l stride, a, b, out []T) {
	pairs(func(a, b T) T {
		if b == 0 || b == -1 && a != 0 && a == -a {
			return 1
		}
		return 0
	}, l, a, b, out)
}
