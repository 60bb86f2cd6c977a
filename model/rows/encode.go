package rows

import (
	"strconv"

	"github.com/tepalhq/tepal/model"
)

// Append appends the JSON answer to a request: what Decode read into req and
// Predict made of it.
func (c *Codec) Append(dst []byte, req *Request, p *model.Predictions) []byte {
	switch req.Form {
	case Single:
		dst, _ = c.appendMembers(append(dst, '{'), p, 0, req.Warnings)
		return append(append(dst, c.model...), '}')
	case Array:
		return c.appendRows(dst, p, req.Warnings)
	default:
		dst = append(dst, `{"predictions":`...)
		dst = append(c.appendRows(dst, p, req.Warnings), ',')
		return append(append(dst, c.model...), '}')
	}
}

// AppendPrediction appends the JSON object of one prediction, without the
// model's name; warnings are the row's own.
func (c *Codec) AppendPrediction(dst []byte, p *model.Predictions, row int, warnings []Warning) []byte {
	dst, _ = c.appendMembers(append(dst, '{'), p, row, warnings)
	return end(dst, '}')
}

// AppendInstance appends a row of a batch as the JSON object that Decode would
// read it from.
func (c *Codec) AppendInstance(dst []byte, b *model.Batch, row int) []byte {
	dst = append(dst, '{')
	for i := range c.schema.Features {
		f := &c.schema.Features[i]
		dst = append(quote(dst, f.Name), ':')
		dst = append(appendCell(dst, &b.Inputs[f.Input], row*c.schema.Inputs[f.Input].Columns+f.Column), ',')
	}
	return end(dst, '}')
}

// end closes an object or array in place of the comma that stands after each of
// its members.
func end(dst []byte, with byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = with
		return dst
	}
	return append(dst, with)
}

func (c *Codec) appendRows(dst []byte, p *model.Predictions, warnings []Warning) []byte {
	dst = append(dst, '[')
	for i := range p.Rows {
		dst, warnings = c.appendMembers(append(dst, '{'), p, i, warnings)
		dst = append(end(dst, '}'), ',')
	}
	return end(dst, ']')
}

// appendMembers appends the members of one prediction, a comma after each, and
// returns the warnings that belong to later rows.
func (c *Codec) appendMembers(dst []byte, p *model.Predictions, row int, warnings []Warning) ([]byte, []Warning) {
	if t := p.Label(); t != nil {
		dst = append(appendCell(append(dst, `"label":`...), t, row), ',')
	}
	if t := p.Probabilities(); t != nil {
		dst = c.appendClasses(append(dst, `"probabilities":{`...), t, row)
	}
	if t := p.Scores(); t != nil {
		dst = c.appendClasses(append(dst, `"scores":{`...), t, row)
	}
	if t := p.Value(); t != nil {
		dst = append(appendValue(append(dst, `"value":`...), t, row), ',')
	}
	n := 0
	for n < len(warnings) && warnings[n].Row == row {
		n++
	}
	if n > 0 {
		dst = append(c.appendWarnings(dst, warnings[:n]), ',')
	}
	return dst, warnings[n:]
}

// appendClasses appends a number by the name of each class, and the end of their
// object.
func (c *Codec) appendClasses(dst []byte, t *model.Tensor, row int) []byte {
	for j, name := range c.classes {
		dst = append(appendCell(append(dst, name...), t, row*len(c.classes)+j), ',')
	}
	return append(end(dst, '}'), ',')
}

// appendValue appends a number for one target, and an array for several.
func appendValue(dst []byte, t *model.Tensor, row int) []byte {
	width := t.Width()
	if width == 1 {
		return appendCell(dst, t, row)
	}
	dst = append(dst, '[')
	for j := range width {
		dst = append(appendCell(dst, t, row*width+j), ',')
	}
	return end(dst, ']')
}

func appendCell(dst []byte, t *model.Tensor, i int) []byte {
	switch t.Type {
	case model.Float32:
		return number(dst, float64(t.Float32s[i]), 32)
	case model.Float64:
		return number(dst, t.Float64s[i], 64)
	case model.Int64:
		return strconv.AppendInt(dst, t.Int64s[i], 10)
	case model.Int32:
		return strconv.AppendInt(dst, int64(t.Int32s[i]), 10)
	case model.Bool:
		return strconv.AppendBool(dst, t.Bools[i])
	default:
		return quote(dst, t.Strings[i])
	}
}

func (c *Codec) appendWarnings(dst []byte, warnings []Warning) []byte {
	dst = append(dst, `"warnings":[`...)
	for _, w := range warnings {
		if w.Feature < 0 {
			dst = append(dst, `{"detail":"further values are outside the range seen in training"},`...)
			continue
		}
		f := &c.schema.Features[w.Feature]
		dst = quote(append(dst, `{"feature":`...), f.Name)
		dst = number(append(dst, `,"value":`...), w.Value, 64)
		if f.Minimum != nil {
			dst = number(append(dst, `,"minimum":`...), *f.Minimum, 64)
		}
		if f.Maximum != nil {
			dst = number(append(dst, `,"maximum":`...), *f.Maximum, 64)
		}
		dst = append(dst, `,"detail":"outside the range seen in training"},`...)
	}
	return end(dst, ']')
}
