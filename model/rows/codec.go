// Package rows reads instances and writes predictions, in JSON and in CSV. It
// is the one place where text becomes a batch and back: POST /predict, tepal
// predict, and the replay of golden rows before a model is called ready all go
// through it.
package rows

import (
	"errors"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tepalhq/tepal/model"
)

// Codec reads instances and writes predictions of one model. It is immutable
// and safe for concurrent use.
type Codec struct {
	schema *model.Schema
	// index finds a feature by name.
	index map[string]int
	// classes are the classes as JSON object names, colon included.
	classes [][]byte
	// model is the member that names the model in an answer.
	model  []byte
	bounds bounds
}

// New returns the codec of a model.
func New(m *model.Model) *Codec {
	c := &Codec{schema: &m.Schema, index: make(map[string]int, len(m.Schema.Features))}
	for i := range m.Schema.Features {
		c.index[m.Schema.Features[i].Name] = i
	}
	for _, text := range m.Schema.Classes.Texts() {
		c.classes = append(c.classes, append(quote(nil, text), ':'))
	}
	c.model = append(c.model, `"model":{"name":`...)
	c.model = append(quote(c.model, m.Name), `,"version":`...)
	c.model = append(quote(c.model, m.Version), `,"digest":`...)
	c.model = append(quote(c.model, m.Digest), '}')
	c.measure()
	return c
}

// quote appends s as a JSON string. Invalid UTF-8 becomes the replacement
// character, so there is no error to return.
func quote(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// Form is how the instances of a request stood in it; the answer takes the
// corresponding form.
type Form uint8

// The forms of a request.
const (
	// Single is one instance as an object; the answer is an object.
	Single Form = iota
	// Array is an array of instances; the answer is an array.
	Array
	// Instances is an object with the member "instances"; the answer has the
	// member "predictions".
	Instances
)

// Request is what a body of instances holds. It is reused by one goroutine at
// a time.
type Request struct {
	Form  Form
	Batch model.Batch
	// Warnings are the values outside their training range, by row: the first
	// MaxWarnings of them, and then one that says there are more.
	Warnings []Warning
}

func (r *Request) reset(c *Codec) {
	r.Form = Single
	r.Batch.Reset(c.schema)
	r.Warnings = r.Warnings[:0]
}

// Locate makes of the row that an error of Model.Predict points at, if it does,
// a pointer into the body that held the instances. Other errors stay as they are.
func (r *Request) Locate(err error) error {
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Pointer == "" {
		return err
	}
	located := *e
	switch r.Form {
	case Single:
		located.Pointer = ""
	case Instances:
		located.Pointer = "/instances" + e.Pointer
	}
	return &located
}

// MaxWarnings bounds the warnings of a request: each is far longer than the
// value that it warns of, so a small request could ask for a huge answer.
const MaxWarnings = 1000

// Warning is a value that is answered although training never saw its like.
type Warning struct {
	Row int
	// Feature is the value's feature, or -1 for all the values beyond
	// MaxWarnings.
	Feature int
	Value   float64
}

// cell returns feature i, and the tensor and place of its value in a row.
func (r *Request) cell(c *Codec, row, i int) (*model.Feature, *model.Tensor, int) {
	f := &c.schema.Features[i]
	return f, &r.Batch.Inputs[f.Input], row*c.schema.Inputs[f.Input].Columns + f.Column
}

// store puts a JSON number into a cell; it fails when the cell's type cannot hold
// it. A float32 is rounded from the float64 that the text denotes, as NumPy does
// it.
func store(t *model.Tensor, at int, raw []byte) (float64, bool) {
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return v, false
	}
	switch t.Type {
	case model.Float64:
		t.Float64s[at] = v
		return v, true
	case model.Float32:
		t.Float32s[at] = float32(v)
		return v, !math.IsInf(float64(t.Float32s[at]), 0)
	default:
		return v, storeInteger(t, at, v, raw)
	}
}

// storeInteger takes integers in any spelling, 5.0 and 5e0 included, that are
// exact and fit.
func storeInteger(t *model.Tensor, at int, v float64, raw []byte) bool {
	// From there on a double may stand for a neighbour of what was written.
	const inexact = 1 << 53
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		if v != math.Trunc(v) || v >= inexact || v <= -inexact {
			return false
		}
		n = int64(v)
	}
	if t.Type == model.Int32 {
		t.Int32s[at] = int32(n)
		return int64(int32(n)) == n
	}
	t.Int64s[at] = n
	return true
}

// warn notes a value that is outside its training range.
func (r *Request) warn(row, feature int, value float64) {
	switch n := len(r.Warnings); {
	case n < MaxWarnings:
		r.Warnings = append(r.Warnings, Warning{Row: row, Feature: feature, Value: value})
	case n == MaxWarnings:
		r.Warnings = append(r.Warnings, Warning{Row: row, Feature: -1})
	}
}

// number appends v in the shortest form that reads back as the same number of
// the given size in bits; NaN and the infinities, which JSON cannot write,
// become null.
func number(dst []byte, v float64, bits int) []byte {
	if v != v || v-v != 0 {
		return append(dst, "null"...)
	}
	// Beyond 21 digits an exponent is shorter; so it is in JavaScript.
	format := byte('f')
	if a := max(v, -v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, bits)
}
