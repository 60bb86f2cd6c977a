package onnx

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/tepalhq/tepal/model"
)

// kernel computes a node's outputs from its inputs. It is immutable and safe
// for concurrent use; it gives each output its shape and keeps its storage. It
// asks the budget before it makes room for anything.
type kernel interface {
	run(b *budget, in, out []*model.Tensor) error
}

// overwriter is a kernel that can tell whether its output may be the same tensor
// as an input of the same type and shape: it reads each element for the last
// time before it writes the element in that place.
type overwriter interface{ overwrites() bool }

// maxRowValues bounds the values that a run computes for each row of its
// batch, over all steps: a small file asks for as many as the product of the
// lengths of its constants, once for each of its nodes. It is room for two
// results of the widest row.
const maxRowValues = 2 * maxColumns

// budget is the number of values that a run may still compute.
type budget struct{ left int }

// take pays for a result of that shape.
func (b *budget) take(shape ...int) error {
	n := 1
	for _, d := range shape {
		if d > 0 && n > b.left/d {
			n = math.MaxInt
			break
		}
		n *= d
	}
	if n > b.left {
		return fmt.Errorf("no room for a result of the shape %v: a run computes at most %d values for each row", slices.Clone(shape), maxRowValues)
	}
	b.left -= n
	return nil
}

// resize pays for a tensor and makes room for its values.
func (b *budget) resize(t *model.Tensor, typ model.Type, shape ...int) error {
	if err := b.take(shape...); err != nil {
		return err
	}
	t.Resize(typ, shape...)
	return nil
}

// refuse is the error for a value of the caller's that an operator has no
// result for; i is the element of the result, and the pointer names its row.
// Where rows of the result are not those of instances, the value comes from
// the file, and the fault is no caller's.
func refuse(eachRow bool, result *model.Tensor, i int, detail, expected, got string) error {
	if !eachRow {
		return fmt.Errorf("%s: expected %s, got %s", detail, expected, got)
	}
	return &model.Error{
		Kind: model.KindInvalid, Type: "invalid-value", Detail: detail,
		Pointer: "/" + strconv.Itoa(i/result.Width()), Expected: expected, Got: got,
	}
}

// program is a compiled graph: steps over numbered slots. It implements
// model.Program.
type program struct {
	// slots are what a frame starts with: the constants, each in its slot.
	slots   []model.Tensor
	inputs  []*value
	steps   []step
	outputs []*value
	// owned are the slots that computed values stand in.
	owned []int
	// rowBytes is the most memory that a run takes for each row of its batch:
	// that of the slots, and of the copies among the outputs.
	rowBytes int64
	frames   sync.Pool
}

// step is a node as it is run; name is what errors call it. An input that is
// left out is nil.
type step struct {
	name    string
	kernel  kernel
	in, out []*value
}

// values are all that the step has to do with.
func (s *step) values() []*value {
	return slices.DeleteFunc(slices.Concat(s.in, s.out), func(v *value) bool { return v == nil })
}

// maxKeptBytes is how much memory a frame may hold to be kept for the next run,
// so that one huge batch does not hold its memory.
const maxKeptBytes = 1 << 20

// frame is the working memory of one evaluation, kept for the next.
type frame struct {
	values []model.Tensor
	// in and out hold each step's tensors.
	in, out [][]*model.Tensor
	budget  budget
}

func (p *program) newFrame() *frame {
	f := &frame{values: slices.Clone(p.slots)}
	at := func(values []*value) []*model.Tensor {
		tensors := make([]*model.Tensor, len(values))
		for i, v := range values {
			if v != nil {
				tensors[i] = &f.values[v.slot]
			}
		}
		return tensors
	}
	for _, s := range p.steps {
		f.in, f.out = append(f.in, at(s.in)), append(f.out, at(s.out))
	}
	return f
}

// Run implements model.Program. A warm frame makes it allocate nothing.
func (p *program) Run(ctx context.Context, inputs, outputs []model.Tensor) error {
	f, ok := p.frames.Get().(*frame)
	if !ok {
		f = p.newFrame()
	}
	defer p.release(f)
	for i, v := range p.inputs {
		f.values[v.slot] = inputs[i]
	}
	f.budget.left = maxRowValues * max(1, inputs[0].Rows())
	for i := range p.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := &p.steps[i]
		if err := s.kernel.run(&f.budget, f.in[i], f.out[i]); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for i, v := range p.outputs {
		computed := &f.values[v.slot]
		if !v.shared {
			outputs[i], *computed = *computed, outputs[i]
			continue
		}
		if err := f.budget.take(computed.Shape...); err != nil {
			return fmt.Errorf("graph output %d: %w", i, err)
		}
		outputs[i].CopyFrom(computed)
	}
	return nil
}

// release forgets the caller's inputs and keeps the rest for the next run.
func (p *program) release(f *frame) {
	for _, v := range p.inputs {
		f.values[v.slot] = model.Tensor{}
	}
	if p.frameBytes(f) <= maxKeptBytes {
		p.frames.Put(f)
	}
}

// frameBytes is the memory that a frame holds of its own.
func (p *program) frameBytes(f *frame) int64 {
	held := int64(0)
	for _, slot := range p.owned {
		held += f.values[slot].Capacity()
	}
	return held
}
