package rows

import (
	"cmp"

	"github.com/tepalhq/tepal/model"
)

// The most bytes that a value takes in JSON, with the comma after it.
var cellBytes = map[model.Type]int64{ // It is never written to.
	model.Float32: 26, model.Float64: 26, model.Int32: 12, model.Int64: 21, model.Bool: 6,
}

// mostColumns stands for a number of values that only running tells.
const mostColumns = 1 << 17

// quotedBytes is the most that a byte of text takes in a JSON string.
const quotedBytes = 6

// bounds are what is known of a model's answers before there is one.
type bounds struct {
	// in is the memory of a row of the batch; text says that some of it is text.
	in   int64
	text bool
	// answer is the text of a row's answer, and warning that of one warning.
	answer, warning int64
	// echo says that an answer may repeat the texts of its request.
	echo bool
}

func (c *Codec) measure() {
	s, b := c.schema, &c.bounds
	for i := range s.Inputs {
		in := &s.Inputs[i]
		b.in += int64(in.Columns) * in.Type.Size()
		b.text = b.text || in.Type == model.String
	}
	longest := 0
	for i := range s.Features {
		longest = max(longest, len(quote(nil, s.Features[i].Name)))
	}
	b.warning = int64(longest) + 3*cellBytes[model.Float64] + 110
	longest = 0
	names := int64(0)
	for _, name := range c.classes {
		longest = max(longest, len(name))
		names += int64(len(name))
	}
	b.answer = 64
	for i := range s.Outputs {
		o := &s.Outputs[i]
		switch o.Role {
		case model.RoleLabel:
			b.answer += max(int64(longest), cellBytes[model.Int64])
			b.echo = b.echo || o.Type == model.String && (b.text || longest == 0)
		case model.RoleProbabilities, model.RoleScores:
			b.answer += names + int64(len(c.classes))*cellBytes[o.Type]
		case model.RoleValue:
			b.answer += int64(cmp.Or(o.Columns, mostColumns)) * cellBytes[o.Type]
		}
	}
}

// BatchBytes is the most memory that the batch in a body of that length takes, of which limit rows are read at most.
func (c *Codec) BatchBytes(body, limit int) int64 {
	// The shortest row is an array of one character for each value, and a comma after each.
	rows := min(int64(limit), int64(body)/int64(2*len(c.schema.Features)+2)+1)
	bytes := rows * c.bounds.in
	if c.bounds.text {
		bytes += 2 * int64(body)
	}
	return bytes
}

// RowBytes is the most memory that a row of a batch takes, but for its texts.
func (c *Codec) RowBytes() int64 { return c.bounds.in }

// AnswerBytes is the most that Append appends for a request that was read from a body of that length: by how much the
// answer grows with each row, and what it takes besides.
func (c *Codec) AnswerBytes(req *Request, body int) (row, besides int64) {
	besides = int64(len(c.model)) + 64 + int64(len(req.Warnings))*c.bounds.warning
	if c.bounds.echo {
		besides += quotedBytes * int64(body)
	}
	return c.bounds.answer, besides
}
