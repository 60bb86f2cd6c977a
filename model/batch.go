package model

// Batch is n instances as the evaluator takes them: one row-major tensor for
// each of the graph's inputs, in the order of Schema.Inputs. It is filled,
// read and reused by one goroutine at a time.
type Batch struct {
	// Rows is the number of instances.
	Rows int
	// Inputs has one tensor for each graph input, each with Rows rows.
	Inputs []Tensor
}

// Reset empties the batch and gives it the schema's inputs, keeping storage.
func (b *Batch) Reset(s *Schema) {
	b.Rows = 0
	if len(b.Inputs) != len(s.Inputs) {
		b.Inputs = make([]Tensor, len(s.Inputs))
	}
	b.resize(s)
}

// Append adds one row, with every cell unset, and returns its index. Storage
// grows by doubling and is kept over Reset.
func (b *Batch) Append(s *Schema) int {
	b.Rows++
	b.resize(s)
	return b.Rows - 1
}

func (b *Batch) resize(s *Schema) {
	for i := range b.Inputs {
		in, t := &s.Inputs[i], &b.Inputs[i]
		n := b.Rows * in.Columns
		t.Type = in.Type
		if in.Vector {
			t.Shape = append(t.Shape[:0], b.Rows)
		} else {
			t.Shape = append(t.Shape[:0], b.Rows, in.Columns)
		}
		switch in.Type {
		case Float32:
			t.Float32s = extend(t.Float32s, n)
		case Float64:
			t.Float64s = extend(t.Float64s, n)
		case Int32:
			t.Int32s = extend(t.Int32s, n)
		case Int64:
			t.Int64s = extend(t.Int64s, n)
		case Bool:
			t.Bools = extend(t.Bools, n)
		case String:
			t.Strings = extend(t.Strings, n)
		}
	}
}

// extend gives s the length n, keeping its elements.
func extend[E any](s []E, n int) []E {
	if n <= cap(s) {
		return s[:n]
	}
	return append(s[:cap(s)], make([]E, n-cap(s))...)
}
