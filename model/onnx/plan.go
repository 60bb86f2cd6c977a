package onnx

import (
	"slices"

	"github.com/tepalhq/tepal/model"
)

// How the memory of a run is planned: which nodes are run, and which values
// share a slot.

// dropUnused leaves out the steps that no output needs.
func (p *program) dropUnused() {
	needed := make(map[int]bool)
	for _, v := range p.outputs {
		needed[v.slot] = true
	}
	var kept []step
	for _, s := range slices.Backward(p.steps) {
		if !slices.ContainsFunc(s.out, func(v *value) bool { return needed[v.slot] }) {
			continue
		}
		for _, v := range s.in {
			if v != nil {
				needed[v.slot] = true
			}
		}
		kept = append(kept, s)
	}
	slices.Reverse(kept)
	p.steps = kept
}

// planner gives values their slots.
type planner struct {
	program *program
	widest  int
	// last is the last step that has the value of a slot; none is for values that
	// keep their slot to the end.
	last map[int]int
	// moved are the new slots by the old ones.
	moved map[int]int
	slots []model.Tensor
	// bytes is what the largest value in each slot takes for each row of a batch;
	// 0 for an input or a constant.
	bytes []int64
	// free are the slots, by type, whose values no later step reads.
	free map[model.Type][]int
}

// none stands for an index that is not there.
const none = -1

// shareSlots gives each computed value a slot of its type that no step needs any
// more, or a new one, so that a run takes the memory of the values that are
// needed at once. An output has its slot to itself, since it is handed over, or
// that of an operand of its own size.
func (p *program) shareSlots() {
	q := planner{program: p, widest: 1, last: make(map[int]int), moved: make(map[int]int), free: make(map[model.Type][]int)}
	for i, s := range p.steps {
		for _, v := range s.values() {
			q.last[v.slot] = i
		}
	}
	for _, v := range slices.Concat(p.inputs, p.outputs) {
		q.last[v.slot] = none
	}
	for _, v := range p.inputs {
		q.widest = max(q.widest, v.axes.columns())
		q.give(v, false)
	}
	for i, s := range p.steps {
		for _, v := range s.out {
			if !q.overwrite(i, v) {
				q.give(v, true)
			}
		}
		for _, v := range s.values() {
			q.give(v, false)
			if q.last[v.slot] == i && v.constant == nil {
				q.free[v.typ] = append(q.free[v.typ], q.moved[v.slot])
				q.last[v.slot] = none
			}
		}
	}
	q.apply()
}

// give finds the value a slot, unless it has one.
func (q *planner) give(v *value, computed bool) {
	if _, given := q.moved[v.slot]; given {
		return
	}
	bytes, at := int64(0), none
	if computed {
		bytes = v.rowBytes(q.widest)
		if q.last[v.slot] != none {
			at = q.reuse(v.typ, bytes)
		}
	}
	if at == none {
		at = len(q.slots)
		q.slots, q.bytes = append(q.slots, q.program.slots[v.slot]), append(q.bytes, 0)
	}
	q.bytes[at] = max(q.bytes[at], bytes)
	q.moved[v.slot] = at
}

// overwrite gives a result of a step the slot of an operand that is of the same
// type and shape, and that no later step reads. It reports whether there is one.
func (q *planner) overwrite(i int, v *value) bool {
	s := &q.program.steps[i]
	k, able := s.kernel.(overwriter)
	if !able || !k.overwrites() || slices.Contains(v.axes, openAxis) {
		return false
	}
	for _, in := range s.in {
		if in == nil || in.constant != nil || q.last[in.slot] != i || in.typ != v.typ || !slices.Equal(in.axes, v.axes) {
			continue
		}
		if at := q.moved[in.slot]; q.bytes[at] == v.rowBytes(q.widest) {
			q.moved[v.slot], q.last[in.slot] = at, none
			return true
		}
	}
	return false
}

// maxCompared is how many free slots are looked at for a value, so that the time
// that planning takes is in proportion to the graph.
const maxCompared = 16

// reuse takes the free slot whose size is nearest; none when there is none.
func (q *planner) reuse(typ model.Type, bytes int64) int {
	free := q.free[typ]
	if len(free) == 0 {
		return none
	}
	first := max(0, len(free)-maxCompared)
	best := first
	for i := first; i < len(free); i++ {
		if q.distance(free[i], bytes) < q.distance(free[best], bytes) {
			best = i
		}
	}
	at := free[best]
	q.free[typ] = slices.Delete(free, best, best+1)
	return at
}

func (q *planner) distance(slot int, bytes int64) int64 {
	return max(q.bytes[slot]-bytes, bytes-q.bytes[slot])
}

// apply moves the values, and sums what they take.
func (q *planner) apply() {
	p := q.program
	p.slots = q.slots
	values := slices.Concat(p.inputs, p.outputs)
	for _, s := range p.steps {
		values = append(values, s.values()...)
	}
	seen := make(map[*value]bool)
	for _, v := range values {
		if !seen[v] {
			v.slot = q.moved[v.slot]
		}
		seen[v] = true
	}
	for slot, bytes := range q.bytes {
		if bytes > 0 {
			p.owned = append(p.owned, slot)
		}
		p.rowBytes += bytes
	}
	for _, v := range p.outputs {
		if v.shared {
			p.rowBytes += v.rowBytes(q.widest)
		}
	}
	p.rowBytes = min(p.rowBytes, maxRowBytes)
}

// rowBytes is the most memory that the value takes for each row of a batch. What
// is of a fixed length counts for each row. An open axis is one of an input's,
// of which the widest has so many columns.
func (v *value) rowBytes(widest int) int64 { return v.axes.rowValues(widest) * v.typ.Size() }

// maxRowBytes is what a row may take by maxRowValues.
const maxRowBytes = maxRowValues * 16
