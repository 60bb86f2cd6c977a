package rows

import (
	"strconv"

	"github.com/tepalhq/tepal/model"
)

// Append appends the JSON answer to a request: what Decode read into req and
// Predict made of it.
func (c *Codec) Append(dst []byte, req *Request, p *model.Predictions) []byte {
	warnings := req.Warnings
	switch req.Form {
	case Single:
		dst = append(dst, '{')
		start := len(dst)
		dst, _ = c.appendRow(dst, 0, p, warnings)
		return append(append(separate(dst, start), c.model...), '}')
	case Array:
		return c.appendRows(dst, p, warnings)
	default:
		dst = append(dst, `{"predictions":`...)
		dst = append(c.appendRows(dst, p, warnings), ',')
		return append(append(dst, c.model...), '}')
	}
}

// AppendPrediction appends the JSON object of one prediction, without the
// model's name; warnings are the row's own.
func (c *Codec) AppendPrediction(dst []byte, p *model.Predictions, row int, warnings []Warning) []byte {
	dst = append(dst, '{')
	dst, _ = c.appendRow(dst, row, p, warnings)
	return append(dst, '}')
}

// AppendInstance appends a row of a batch as the JSON object that Decode would
// read it from.
func (c *Codec) AppendInstance(dst []byte, b *model.Batch, row int) []byte {
	dst = append(dst, '{')
	for i := range c.schema.Features {
		f := &c.schema.Features[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(quote(dst, f.Name), ':')
		dst = appendCell(dst, &b.Inputs[f.Input], row*c.schema.Inputs[f.Input].Columns+f.Column)
	}
	return append(dst, '}')
}

func (c *Codec) appendRows(dst []byte, p *model.Predictions, warnings []Warning) []byte {
	dst = append(dst, '[')
	for i := range p.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst, warnings = c.appendRow(dst, i, p, warnings)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendRow appends the members of one prediction, and returns the warnings
// that belong to later rows.
func (c *Codec) appendRow(dst []byte, row int, p *model.Predictions, warnings []Warning) ([]byte, []Warning) {
	start := len(dst)
	if t := p.Label(); t != nil {
		dst = appendCell(append(dst, `"label":`...), t, row)
	}
	if t := p.Probabilities(); t != nil {
		dst = c.appendProbabilities(separate(dst, start), t, row)
	}
	if t := p.Value(); t != nil {
		dst = appendValue(separate(dst, start), t, row)
	}
	n := 0
	for n < len(warnings) && warnings[n].Row == row {
		n++
	}
	if n > 0 {
		dst = c.appendWarnings(separate(dst, start), warnings[:n])
	}
	return dst, warnings[n:]
}

// separate appends a comma when there is something before it.
func separate(dst []byte, start int) []byte {
	if len(dst) > start {
		return append(dst, ',')
	}
	return dst
}

func (c *Codec) appendProbabilities(dst []byte, t *model.Tensor, row int) []byte {
	dst = append(dst, `"probabilities":{`...)
	width := len(c.classes)
	for j, name := range c.classes {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = appendCell(append(dst, name...), t, row*width+j)
	}
	return append(dst, '}')
}

// appendValue appends a number for one target, and an array for several.
func appendValue(dst []byte, t *model.Tensor, row int) []byte {
	dst = append(dst, `"value":`...)
	width := t.Width()
	if width == 1 {
		return appendCell(dst, t, row)
	}
	dst = append(dst, '[')
	for j := range width {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = appendCell(dst, t, row*width+j)
	}
	return append(dst, ']')
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
	for i, w := range warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		if w.Feature < 0 {
			dst = append(dst, `{"detail":"further values are outside the range seen in training"}`...)
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
		dst = append(dst, `,"detail":"outside the range seen in training"}`...)
	}
	return append(dst, ']')
}
