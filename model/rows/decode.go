package rows

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tepalhq/tepal/model"
)

// Decoder reads JSON bodies of instances. It is reused by one goroutine at a
// time; its zero value is ready.
type Decoder struct {
	json  jsontext.Decoder
	codec *Codec
	req   *Request
	limit int
	// filled notes which features of the instance at hand were seen.
	filled []bool
	name   []byte
}

// Decode reads a body into req, which it empties first. The body is one
// instance as an object, an array of instances, or an object whose member
// "instances" is such an array; an instance is an object by feature name or,
// in an array, an array of values in the order of the schema. At most limit
// rows are taken.
//
// Its errors are *model.Error: KindMalformed for what is no JSON, anywhere in
// the body; KindInvalid for JSON that does not fit the schema, with a JSON
// Pointer to the cell; KindTooLarge for too many rows.
func (d *Decoder) Decode(c *Codec, body *bytes.Buffer, req *Request, limit int) error {
	d.json.Reset(body)
	d.codec, d.req, d.limit = c, req, limit
	req.reset(c)
	if len(d.filled) != len(c.schema.Features) {
		d.filled = make([]bool, len(c.schema.Features))
	}
	err := d.body()
	if err == nil {
		err = d.end()
	}
	if model.KindOf(err) == model.KindInvalid {
		// A body that is no JSON is that first of all, wherever the fault stands.
		if syntax := d.drain(); syntax != nil {
			return syntax
		}
	}
	return err
}

func (d *Decoder) body() error {
	switch d.json.PeekKind() {
	case '{':
		return d.object()
	case '[':
		d.req.Form = Array
		return d.array()
	case 0:
		return d.syntaxError()
	}
	return d.unexpected("an instance as an object, an array of instances, or an object with the member \"instances\"")
}

// object reads an object that is an instance or holds the instances.
func (d *Decoder) object() error {
	if _, err := d.json.ReadToken(); err != nil {
		return malformed(err)
	}
	if _, isFeature := d.codec.index["instances"]; isFeature || d.json.PeekKind() != '"' {
		return d.members(d.row())
	}
	raw, err := d.json.ReadValue()
	if err != nil {
		return malformed(err)
	}
	if d.name, _ = jsontext.AppendUnquote(d.name[:0], raw); string(d.name) != "instances" {
		row := d.row()
		if err := d.member(row, raw); err != nil {
			return err
		}
		return d.members(row)
	}
	d.req.Form = Instances
	if kind := d.json.PeekKind(); kind != '[' {
		return d.unexpected("an array of instances")
	}
	if err := d.array(); err != nil {
		return err
	}
	if d.json.PeekKind() == '"' {
		name, err := d.json.ReadToken()
		if err != nil {
			return malformed(err)
		}
		return d.invalid("unknown-member", "the object has a member beside \"instances\"", "no other member", strconv.Quote(clip(name.String())))
	}
	return d.close()
}

// array reads an array of instances.
func (d *Decoder) array() error {
	if _, err := d.json.ReadToken(); err != nil {
		return malformed(err)
	}
	for {
		switch d.json.PeekKind() {
		case ']':
			if err := d.close(); err != nil {
				return err
			}
			if d.req.Batch.Rows == 0 {
				return d.invalid("empty-batch", "the batch is empty", "at least one instance", "none")
			}
			return nil
		case '{', '[':
		case 0:
			return d.syntaxError()
		default:
			return d.unexpected("an instance as an object, or as an array of values in the order of the schema")
		}
		if d.req.Batch.Rows == d.limit {
			err := d.invalid("too-many-rows", fmt.Sprintf("the batch has more than %d instances", d.limit), fmt.Sprintf("at most %d instances", d.limit), "more")
			err.Kind = model.KindTooLarge
			// What was read last is an instance, and the array is too long.
			err.Pointer = string(jsontext.Pointer(err.Pointer).Parent())
			return err
		}
		if err := d.instance(); err != nil {
			return err
		}
	}
}

func (d *Decoder) instance() error {
	token, err := d.json.ReadToken()
	if err != nil {
		return malformed(err)
	}
	if token.Kind() == '[' {
		return d.list(d.row())
	}
	return d.members(d.row())
}

// row adds a row to the batch.
func (d *Decoder) row() int {
	clear(d.filled)
	return d.req.Batch.Append(d.codec.schema)
}

// list reads the rest of an instance that is an array.
func (d *Decoder) list(row int) error {
	features := d.codec.schema.Features
	for i := 0; ; i++ {
		switch d.json.PeekKind() {
		case ']':
			if err := d.close(); err != nil {
				return err
			}
			if i != len(features) {
				return d.wrongWidth(strconv.Itoa(i))
			}
			return nil
		case 0:
			return d.syntaxError()
		}
		if i == len(features) {
			err := d.wrongWidth("more than " + strconv.Itoa(i))
			// What was read last is the last value that fits, not the instance.
			err.Pointer = string(jsontext.Pointer(err.Pointer).Parent())
			return err
		}
		if err := d.value(row, i); err != nil {
			return err
		}
	}
}

func (d *Decoder) wrongWidth(got string) *model.Error {
	want := strconv.Itoa(len(d.codec.schema.Features))
	return d.invalid("wrong-width", "the instance has not one value for each feature", want+" values", got)
}

// members reads the rest of an instance that is an object.
func (d *Decoder) members(row int) error {
	for d.json.PeekKind() == '"' {
		raw, err := d.json.ReadValue()
		if err != nil {
			return malformed(err)
		}
		if err := d.member(row, raw); err != nil {
			return err
		}
	}
	if err := d.close(); err != nil {
		return err
	}
	for i, ok := range d.filled {
		if !ok {
			err := d.invalid("missing-feature", "the instance lacks a feature", "a value for "+strconv.Quote(d.codec.schema.Features[i].Name), "none")
			err.Pointer += string(jsontext.Pointer("").AppendToken(d.codec.schema.Features[i].Name))
			return err
		}
	}
	return nil
}

// member reads the value of the feature whose name, as a raw JSON string, was
// just read.
func (d *Decoder) member(row int, raw jsontext.Value) error {
	i, ok := d.codec.index[string(raw[1:len(raw)-1])]
	if !ok || bytes.IndexByte(raw, '\\') >= 0 {
		d.name, _ = jsontext.AppendUnquote(d.name[:0], raw)
		i, ok = d.codec.index[string(d.name)]
	}
	if !ok {
		return d.invalid("unknown-feature", "the model has no such feature", d.codec.names(), strconv.Quote(clip(string(d.name))))
	}
	d.filled[i] = true
	return d.value(row, i)
}

// names lists the features for a message.
func (c *Codec) names() string {
	var list []byte
	for i := range c.schema.Features {
		if i > 0 {
			list = append(list, ", "...)
		}
		if len(list) > 256 {
			return "one of " + string(append(list, "…"...))
		}
		list = append(list, c.schema.Features[i].Name...)
	}
	return "one of " + string(list)
}

// value reads the value of feature i into the batch.
func (d *Decoder) value(row, i int) error {
	f := &d.codec.schema.Features[i]
	t := &d.req.Batch.Inputs[f.Input]
	at := row*d.codec.schema.Inputs[f.Input].Columns + f.Column
	switch kind := d.json.PeekKind(); {
	case kind == 0:
		return d.syntaxError()
	case f.Type == model.String && kind == '"', f.Type == model.Bool && (kind == 't' || kind == 'f'):
		token, err := d.json.ReadToken()
		if err != nil {
			return malformed(err)
		}
		if f.Type == model.String {
			t.Strings[at] = token.String()
		} else {
			t.Bools[at] = token.Bool()
		}
		return nil
	case f.Type != model.String && f.Type != model.Bool && kind == '0':
		return d.number(t, at, row, i)
	}
	return d.unexpected(article(f.Type.JSON()))
}

func (d *Decoder) number(t *model.Tensor, at, row, i int) error {
	raw, err := d.json.ReadValue()
	if err != nil {
		return malformed(err)
	}
	v, ok := parseNumber(t, at, raw)
	if !ok {
		return d.invalid("invalid-value", "the number is not one that the feature can hold", article(t.Type.String()+" number"), clip(string(raw)))
	}
	if d.codec.ranged && d.codec.schema.Features[i].Outside(v) {
		d.req.warn(row, i, v)
	}
	return nil
}

// parseNumber stores a JSON number in a cell; it fails when the cell's type
// cannot hold it. A float32 is rounded from the float64 that the text denotes,
// as NumPy does it.
func parseNumber(t *model.Tensor, at int, raw []byte) (float64, bool) {
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, false
	}
	switch t.Type {
	case model.Float64:
		t.Float64s[at] = v
	case model.Float32:
		t.Float32s[at] = float32(v)
		return v, !math.IsInf(float64(t.Float32s[at]), 0)
	default:
		return storeInteger(t, at, v, raw)
	}
	return v, true
}

// storeInteger takes integers in any spelling, 5.0 and 5e0 included, that are
// exact and fit.
func storeInteger(t *model.Tensor, at int, v float64, raw []byte) (float64, bool) {
	// From there on a double may stand for a neighbour of what was written.
	const inexact = 1 << 53
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		if v != math.Trunc(v) || v >= inexact || v <= -inexact {
			return 0, false
		}
		n = int64(v)
	}
	if t.Type == model.Int32 {
		t.Int32s[at] = int32(n)
		return v, int64(int32(n)) == n
	}
	t.Int64s[at] = n
	return v, true
}

// close reads the end of the array or object at hand.
func (d *Decoder) close() error {
	if _, err := d.json.ReadToken(); err != nil {
		return malformed(err)
	}
	return nil
}

// end sees to it that nothing follows the body's one value.
func (d *Decoder) end() error {
	end := d.json.InputOffset()
	switch _, err := d.json.ReadToken(); {
	case err == nil:
		return &model.Error{
			Kind: model.KindMalformed, Type: "malformed-json", Detail: "the body goes on after its JSON value",
			Expected: "one JSON value", Got: "more after byte " + strconv.FormatInt(end, 10),
		}
	case !errors.Is(err, io.EOF):
		return malformed(err)
	}
	return nil
}

// drain reads on after an invalid part, to see whether the rest is JSON.
func (d *Decoder) drain() error {
	for d.json.StackDepth() > 0 {
		if _, err := d.json.ReadToken(); err != nil {
			return malformed(err)
		}
	}
	return d.end()
}

// syntaxError returns the error behind a PeekKind of 0.
func (d *Decoder) syntaxError() error {
	_, err := d.json.ReadToken()
	return malformed(err)
}

func malformed(err error) error {
	e := &model.Error{Kind: model.KindMalformed, Type: "malformed-json", Detail: "the body is not JSON", Expected: "JSON (RFC 8259) in UTF-8 with unique names"}
	if errors.Is(err, io.EOF) {
		e.Got = "an empty body"
		return e
	}
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return err
	}
	e.Pointer = pointer(syntactic.JSONPointer)
	e.Got = fmt.Sprintf("%v at byte %d", syntactic.Err, syntactic.ByteOffset)
	if errors.Is(syntactic.Err, jsontext.ErrDuplicateName) {
		e.Type, e.Detail = "duplicate-name", "the body has an object with the same name twice"
	}
	return e
}

// invalid reports the value or name that was read last.
func (d *Decoder) invalid(slug, detail, expected, got string) *model.Error {
	return &model.Error{
		Kind: model.KindInvalid, Type: slug, Detail: detail,
		Pointer: pointer(d.json.StackPointer()), Expected: expected, Got: got,
	}
}

// pointer returns p, or its nearest parent that a message can hold: names and
// nesting are as long as the caller likes.
func pointer(p jsontext.Pointer) string {
	const most = 256
	if len(p) <= most {
		return string(p)
	}
	return string(p[:strings.LastIndexByte(string(p[:most+1]), '/')])
}

// unexpected reports the value that comes next as being of the wrong kind.
func (d *Decoder) unexpected(expected string) error {
	var got string
	switch kind := d.json.PeekKind(); kind {
	case 0:
		return d.syntaxError()
	case '{', '[':
		got = map[jsontext.Kind]string{'{': "an object", '[': "an array"}[kind]
		if _, err := d.json.ReadToken(); err != nil {
			return malformed(err)
		}
	default:
		raw, err := d.json.ReadValue()
		if err != nil {
			return malformed(err)
		}
		got = map[jsontext.Kind]string{'"': "the string ", '0': "the number ", 'n': "", 't': "", 'f': ""}[kind] + clip(string(raw))
	}
	return d.invalid("invalid-value", "the value is not of the right type", expected, got)
}

func article(noun string) string {
	if noun[0] == 'i' {
		return "an " + noun
	}
	return "a " + noun
}

// clip shortens what a caller sent to what a message can hold.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
