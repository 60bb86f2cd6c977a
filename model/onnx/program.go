package onnx

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/tepalhq/tepal/model"
)

// kernel computes a node's outputs from its inputs. It is immutable and safe
// for concurrent use; it gives each output its shape and keeps its storage. It
// asks the budget before it makes room for anything.
type kernel interface {
	run(b *budget, in, out []*model.Tensor) error
}

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

// program is a compiled graph: steps over numbered slots. It implements
// model.Program.
type program struct {
	slots     int
	inputs    []int
	constants []constant
	steps     []step
	outputs   []output
	frames    sync.Pool
}

type constant struct {
	slot   int
	tensor *model.Tensor
}

type step struct {
	kernel  kernel
	in, out []int
	node    *node
}

// output is a slot that leaves the program. A shared one is also an input, a
// constant or another output, and is copied; any other is handed over.
type output struct {
	slot   int
	shared bool
}

func newStep(n *node, k kernel) step {
	slots := func(values []*value) []int {
		list := make([]int, len(values))
		for i, v := range values {
			list[i] = v.slot
		}
		return list
	}
	return step{kernel: k, node: n, in: slots(n.inputs), out: slots(n.outputs)}
}

// dropUnused leaves out the steps that no output needs.
func (p *program) dropUnused() {
	needed := make(map[int]bool)
	for _, o := range p.outputs {
		needed[o.slot] = true
	}
	var kept []step
	for _, s := range slices.Backward(p.steps) {
		if !slices.ContainsFunc(s.out, func(slot int) bool { return needed[slot] }) {
			continue
		}
		for _, slot := range s.in {
			needed[slot] = true
		}
		kept = append(kept, s)
	}
	slices.Reverse(kept)
	p.steps = kept
}

// frame is the working memory of one evaluation, kept for the next.
type frame struct {
	values []model.Tensor
	// in and out hold each step's tensors.
	in, out [][]*model.Tensor
	budget  budget
}

func (p *program) newFrame() *frame {
	f := &frame{values: make([]model.Tensor, p.slots)}
	at := func(slots []int) []*model.Tensor {
		tensors := make([]*model.Tensor, len(slots))
		for i, s := range slots {
			tensors[i] = &f.values[s]
		}
		return tensors
	}
	for _, s := range p.steps {
		f.in, f.out = append(f.in, at(s.in)), append(f.out, at(s.out))
	}
	for _, c := range p.constants {
		f.values[c.slot] = *c.tensor
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
	for i, slot := range p.inputs {
		f.values[slot] = inputs[i]
	}
	f.budget.left = maxRowValues * max(1, inputs[0].Rows())
	for i := range p.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := &p.steps[i]
		if err := s.kernel.run(&f.budget, f.in[i], f.out[i]); err != nil {
			return s.node.fault(err)
		}
	}
	for i, o := range p.outputs {
		if !o.shared {
			outputs[i], f.values[o.slot] = f.values[o.slot], outputs[i]
			continue
		}
		if err := f.budget.take(f.values[o.slot].Shape...); err != nil {
			return fmt.Errorf("graph output %d: %w", i, err)
		}
		outputs[i].CopyFrom(&f.values[o.slot])
	}
	return nil
}

// release forgets the caller's inputs and keeps the rest for the next run.
func (p *program) release(f *frame) {
	for _, slot := range p.inputs {
		f.values[slot] = model.Tensor{}
	}
	p.frames.Put(f)
}
