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
		in := &s.Inputs[i]
		if in.Vector {
			b.Inputs[i].Resize(in.Type, b.Rows)
		} else {
			b.Inputs[i].Resize(in.Type, b.Rows, in.Columns)
		}
	}
}
