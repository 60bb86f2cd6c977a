package rows

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tepalhq/tepal/clip"
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
	// skipped is the length of what was passed over in front of the JSON.
	skipped int
}

// Decode reads a body into req, which it empties first. The body is one
// instance as an object, an array of instances, or an object whose member
// "instances" is such an array; an instance is an object by feature name or,
// in an array, an array of values in the order of the schema. At most limit
// rows are taken. A byte order mark in front is passed over, as RFC 8259
// (section 8.1) allows it.
//
// Its errors are *model.Error: KindMalformed for what is no JSON, anywhere in
// the body; KindInvalid for JSON that does not fit the schema, with a JSON
// Pointer to the cell; KindTooLarge for too many rows.
func (d *Decoder) Decode(c *Codec, body *bytes.Buffer, req *Request, limit int) error {
	d.skipped = 0
	if bytes.HasPrefix(body.Bytes(), []byte(ByteOrderMark)) {
		d.skipped = len(body.Next(len(ByteOrderMark)))
	}
	d.json.Reset(body)
	d.codec, d.req, d.limit = c, req, limit
	req.reset(c)
	if len(d.filled) != len(c.schema.Features) {
		d.filled = make([]bool, len(c.schema.Features))
	}
	err := d.body()
	if err == nil {
		return d.malformed(d.end())
	}
	if model.KindOf(err) == model.KindInvalid {
		// A body that is no JSON is that first of all, wherever the fault stands.
		if syntax := d.drain(); syntax != nil {
			err = syntax
		}
	}
	return d.malformed(err)
}

// The functions below return errors of jsontext as they are.

func (d *Decoder) body() error {
	switch d.json.PeekKind() {
	case '{':
		return d.object()
	case '[':
		d.req.Form = Array
		return d.array()
	}
	return d.unexpected("an instance as an object, an array of instances, or an object with the member \"instances\"")
}

// object reads an object that is an instance or holds the instances.
func (d *Decoder) object() error {
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	if d.json.PeekKind() != '"' {
		return d.members(d.row())
	}
	name, err := d.json.ReadValue()
	if err != nil {
		return err
	}
	if string(d.unquote(name)) == "instances" {
		if _, isFeature := d.codec.index["instances"]; !isFeature {
			return d.instances()
		}
	}
	row := d.row()
	if err := d.member(row, name); err != nil {
		return err
	}
	return d.members(row)
}

// instances reads the rest of an object whose first name was "instances".
func (d *Decoder) instances() error {
	d.req.Form = Instances
	if d.json.PeekKind() != '[' {
		return d.unexpected("an array of instances")
	}
	if err := d.array(); err != nil {
		return err
	}
	token, err := d.json.ReadToken()
	if err == nil && token.Kind() != '}' {
		err = d.invalid("unknown-member", "the object has a member beside \"instances\"", "no other member", strconv.Quote(quoted(token.String())))
	}
	return err
}

func (d *Decoder) unquote(name jsontext.Value) []byte {
	d.name, _ = jsontext.AppendUnquote(d.name[:0], name)
	return d.name
}

// array reads an array of instances.
func (d *Decoder) array() error {
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for d.json.PeekKind() != ']' {
		if err := d.instance(); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	if err == nil && d.req.Batch.Rows == 0 {
		err = d.invalid("empty-batch", "the batch is empty", "at least one instance", "none")
	}
	return err
}

func (d *Decoder) instance() error {
	kind := d.json.PeekKind()
	if kind != '{' && kind != '[' {
		return d.unexpected("an instance as an object, or as an array of values in the order of the schema")
	}
	if d.req.Batch.Rows == d.limit {
		err := d.invalidParent("too-many-rows", fmt.Sprintf("the batch has more than %d instances", d.limit), fmt.Sprintf("at most %d instances", d.limit), "more")
		err.Kind = model.KindTooLarge
		return err
	}
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	if kind == '[' {
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
	const detail = "the instance has not one value for each feature"
	most := len(d.codec.schema.Features)
	i := 0
	for ; d.json.PeekKind() != ']'; i++ {
		if i == most {
			return d.invalidParent("wrong-width", detail, strconv.Itoa(most)+" values", "more than "+strconv.Itoa(i))
		}
		if err := d.value(row, i); err != nil {
			return err
		}
	}
	_, err := d.json.ReadToken()
	if err == nil && i < most {
		err = d.invalid("wrong-width", detail, strconv.Itoa(most)+" values", strconv.Itoa(i))
	}
	return err
}

// members reads the rest of an instance that is an object.
func (d *Decoder) members(row int) error {
	for d.json.PeekKind() == '"' {
		name, err := d.json.ReadValue()
		if err == nil {
			err = d.member(row, name)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for i, ok := range d.filled {
		if !ok {
			missing := d.codec.schema.Features[i].Name
			err := d.invalid("missing-feature", "the instance lacks a feature", "a value for "+strconv.Quote(quoted(missing)), "none")
			err.Pointer += string(jsontext.Pointer("").AppendToken(missing))
			return err
		}
	}
	return nil
}

// member reads the value of the feature whose name, as a raw JSON string, was
// just read.
func (d *Decoder) member(row int, name jsontext.Value) error {
	i, ok := d.codec.index[string(name[1:len(name)-1])]
	if !ok || bytes.IndexByte(name, '\\') >= 0 {
		i, ok = d.codec.index[string(d.unquote(name))]
	}
	if !ok {
		return d.invalid("unknown-feature", "the model has no such feature", d.codec.names(), strconv.Quote(quoted(string(d.name))))
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
	f, t, at := d.req.cell(d.codec, row, i)
	switch kind := d.json.PeekKind(); {
	case kind == '0' && f.Type != model.Bool && f.Type != model.String:
		raw, err := d.json.ReadValue()
		if err != nil {
			return err
		}
		v, ok := store(t, at, raw)
		if !ok {
			return d.invalid("invalid-value", "the number is not one that the feature can hold", article(f.Type.String()+" number"), quoted(string(raw)))
		}
		if f.Outside(v) {
			d.req.warn(row, i, v)
		}
		return nil
	case kind == '"' && f.Type == model.String:
		token, err := d.json.ReadToken()
		if err == nil {
			t.Strings[at] = token.String()
		}
		return err
	case (kind == 't' || kind == 'f') && f.Type == model.Bool:
		_, err := d.json.ReadToken()
		t.Bools[at] = kind == 't'
		return err
	}
	return d.unexpected(article(f.Type.JSON()))
}

// end sees to it that nothing follows the body's one value.
func (d *Decoder) end() error {
	end := d.json.InputOffset() + int64(d.skipped)
	_, err := d.json.ReadToken()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = &model.Error{
			Kind: model.KindMalformed, Type: "malformed-json", Detail: "the body goes on after its JSON value",
			Expected: "one JSON value", Got: "more after byte " + strconv.FormatInt(end, 10),
		}
	}
	return err
}

// drain reads on after an invalid part, to see whether the rest is JSON.
func (d *Decoder) drain() error {
	for d.json.StackDepth() > 0 {
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
	}
	return d.end()
}

// malformed tells the caller of an error of jsontext; others stay as they are.
func (d *Decoder) malformed(err error) error {
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok && err != io.EOF { //nolint:errorlint // io.EOF alone stands for an empty body, and what wraps it does not.
		return err
	}
	e := &model.Error{Kind: model.KindMalformed, Type: "malformed-json", Detail: "the body is not JSON", Expected: "JSON (RFC 8259) in UTF-8 with unique names"}
	if !ok {
		e.Got = "an empty body"
		return e
	}
	e.Pointer = pointer(syntactic.JSONPointer)
	e.Got = fmt.Sprintf("%v at byte %d", syntactic.Err, syntactic.ByteOffset+int64(d.skipped))
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

// invalidParent reports the array or object that holds what was read last.
func (d *Decoder) invalidParent(slug, detail, expected, got string) *model.Error {
	err := d.invalid(slug, detail, expected, got)
	err.Pointer = string(jsontext.Pointer(err.Pointer).Parent())
	return err
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
	kind := d.json.PeekKind()
	got := map[jsontext.Kind]string{'{': "an object", '[': "an array", '"': "the string ", '0': "the number "}[kind]
	if kind == '{' || kind == '[' {
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
	} else {
		raw, err := d.json.ReadValue()
		if err != nil {
			return err
		}
		got += quoted(string(raw))
	}
	return d.invalid("invalid-value", "the value is not of the right type", expected, got)
}

func article(noun string) string {
	if noun[0] == 'i' {
		return "an " + noun
	}
	return "a " + noun
}

// mostQuoted is how much of what a caller sent a message repeats, in bytes.
const mostQuoted = 64

// quoted shortens what a caller sent to what a message can hold.
func quoted(s string) string { return clip.Text(s, mostQuoted) }
