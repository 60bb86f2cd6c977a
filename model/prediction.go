package model

import "fmt"

// Predictions are the answers for a batch, column by column: a label with the
// probabilities or scores of the classes, or a value, for each row. They are filled by Model.Predict
// and reused by one goroutine at a time.
type Predictions struct {
	// Rows is the number of instances answered.
	Rows int
	// Outputs has one tensor for each of Schema.Outputs.
	Outputs []Tensor

	schema *Schema
}

func (p *Predictions) reset(s *Schema) {
	p.schema = s
	p.Rows = 0
	if len(p.Outputs) != len(s.Outputs) {
		p.Outputs = make([]Tensor, len(s.Outputs))
	}
}

// check holds the program to its word: each output has a row for each instance,
// with one label in it, or one number for each class. It takes the rounding off
// probabilities that a sum left outside 0 to 1.
func (p *Predictions) check(rows int) error {
	for i := range p.Outputs {
		o, t := &p.schema.Outputs[i], &p.Outputs[i]
		if got := t.Rows(); got != rows {
			return fmt.Errorf("output %q has %d rows for %d instances", o.Name, got, rows)
		}
		width := t.Width()
		if o.Role == RoleLabel && width != 1 || o.Role.ByClass() && width != p.schema.Classes.Len() {
			return fmt.Errorf("output %q has %d columns, and its role is %s", o.Name, width, o.Role)
		}
		if o.Role == RoleProbabilities {
			t.clamp()
		}
	}
	p.Rows = rows
	return nil
}

// Label returns the tensor of labels, one a row, of type Int64 or String; nil
// when the model answers none.
func (p *Predictions) Label() *Tensor { return p.output(RoleLabel) }

// Probabilities returns the tensor of class probabilities, a column for each
// of Schema.Classes in their order; nil when the model answers none.
func (p *Predictions) Probabilities() *Tensor { return p.output(RoleProbabilities) }

// Scores returns the tensor of class scores that are no probabilities, of the
// same form; nil when the model answers none.
func (p *Predictions) Scores() *Tensor { return p.output(RoleScores) }

// Value returns the tensor of regressed values; nil when the model answers none.
func (p *Predictions) Value() *Tensor { return p.output(RoleValue) }

func (p *Predictions) output(r Role) *Tensor {
	for i := range p.schema.Outputs {
		if p.schema.Outputs[i].Role == r {
			return &p.Outputs[i]
		}
	}
	return nil
}

// Class returns the index in Schema.Classes of the label of row i; where the
// model answers none, of the highest probability or score. It is -1 when there
// is neither.
func (p *Predictions) Class(i int) int {
	t := p.Label()
	switch {
	case t == nil:
		class, _ := p.Probabilities().highest(i)
		if class < 0 {
			class, _ = p.Scores().highest(i)
		}
		return class
	case t.Type == String:
		return p.schema.Classes.indexString(t.Strings[i])
	default:
		return p.schema.Classes.indexInt(t.Int64s[i])
	}
}

// Confidence returns the highest of row i's probabilities, from 0 to 1; false
// when the model answers none, or one that is no number.
func (p *Predictions) Confidence(i int) (float64, bool) {
	_, probability := p.Probabilities().highest(i)
	return probability, probability >= 0
}
