package model

// Batch is n instances as the evaluator takes them: one row-major tensor for
// each of the graph's inputs, in the order of Schema.Inputs. It is filled,
// read and reused by one goroutine at a time.
type Batch struct {
	// Rows is the number of instances.
	Rows int
	// Inputs has one tensor for each graph input. While rows are appended, the
	// tensors have room for more than Rows rows; Trim ends that.
	Inputs []Tensor
	// room is the number of rows that each tensor has.
	room int
}

// Reset empties the batch and gives it the schema's inputs, keeping storage.
func (b *Batch) Reset(s *Schema) {
	b.Rows = 0
	if len(b.Inputs) != len(s.Inputs) {
		b.Inputs = make([]Tensor, len(s.Inputs))
	}
	b.makeRoom(s, 0)
}

// Append adds one row, with every cell unset, and returns its index. Room grows
// in proportion to the rows that are there, so that most rows touch no tensor;
// storage is kept over Reset.
func (b *Batch) Append(s *Schema) int {
	if b.Rows == b.room {
		b.makeRoom(s, b.Rows+max(1, min(b.Rows, 64), b.Rows/4))
	}
	b.Rows++
	return b.Rows - 1
}

// makeRoom gives every tensor so many rows.
func (b *Batch) makeRoom(s *Schema, rows int) {
	b.room = rows
	for i := range b.Inputs {
		if in := &s.Inputs[i]; in.Vector {
			b.Inputs[i].Resize(in.Type, rows)
		} else {
			b.Inputs[i].Resize(in.Type, rows, in.Columns)
		}
	}
}

// Trim gives every tensor Rows rows. Model.Predict begins with it.
func (b *Batch) Trim() {
	if b.room == b.Rows {
		return
	}
	b.room = b.Rows
	for i := range b.Inputs {
		b.Inputs[i].Shape[0] = b.Rows
		b.Inputs[i].fit()
	}
}
