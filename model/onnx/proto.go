package onnx

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model"
)

// message is a protocol buffers message, described once for reading and for
// writing: its parts stand in the order in which they are written.
type message interface{ parts() []part }

// part is one field of a message.
type part struct {
	number protowire.Number
	// name is the field's name in errors; empty where the number does.
	name string
	wire wire
}

// wire is a field's value on the wire, bound to where it stands in Go.
type wire interface {
	// read takes the value over from a field of a file, or adds it to a list.
	read(f field) error
	// write appends the value as a field of that number. A zero value is left
	// out, as proto3 does, unless it is always to be written.
	write(b []byte, n protowire.Number, always bool) []byte
}

// group is a message that is nothing but its parts.
type group []part

func (g group) parts() []part { return g }

// unmarshal reads a message; fields that it does not have are passed over.
func unmarshal(data []byte, m message) error {
	if len(data) == 0 {
		return nil
	}
	parts := m.parts()
	for len(data) > 0 {
		f, n := consume(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		i := slices.IndexFunc(parts, func(p part) bool { return p.number == f.number })
		if i < 0 {
			continue
		}
		if err := parts[i].wire.read(f); err != nil {
			return named(parts[i].name, err)
		}
	}
	return nil
}

func named(what string, err error) error {
	if err == nil || what == "" {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

func marshal(m message) []byte {
	var b []byte
	for _, p := range m.parts() {
		b = p.wire.write(b, p.number, false)
	}
	return b
}

// field is one field of a file: its number and its value by wire type.
type field struct {
	number protowire.Number
	typ    protowire.Type
	bits   uint64
	bytes  []byte
}

// consume takes a field off the data and returns its length; a negative one
// stands for an error, as in protowire.
func consume(data []byte) (field, int) {
	number, typ, tag := protowire.ConsumeTag(data)
	if tag < 0 {
		return field{}, tag
	}
	f, n := field{number: number, typ: typ}, 0
	switch typ {
	case protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type:
		f.bits, n = consumeNumber(typ, data[tag:])
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(data[tag:])
	default:
		n = protowire.ConsumeFieldValue(number, typ, data[tag:])
	}
	if n < 0 {
		return f, n
	}
	return f, tag + n
}

func consumeNumber(typ protowire.Type, data []byte) (uint64, int) {
	switch typ {
	case protowire.VarintType:
		return protowire.ConsumeVarint(data)
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(data)
		return uint64(v), n
	default:
		return protowire.ConsumeFixed64(data)
	}
}

func appendNumber(b []byte, typ protowire.Type, bits uint64) []byte {
	switch typ {
	case protowire.VarintType:
		return protowire.AppendVarint(b, bits)
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(b, uint32(bits))
	default:
		return protowire.AppendFixed64(b, bits)
	}
}

// is fails when the field was not written as such a value.
func (f field) is(typ protowire.Type, what string) error {
	if f.typ != typ {
		return fmt.Errorf("field %d has wire type %d, which is no %s", f.number, f.typ, what)
	}
	return nil
}

// refused is a field that is not supported.
type refused string

func (r refused) read(field) error                                  { return unsupported("%s", string(r)) }
func (r refused) write(b []byte, _ protowire.Number, _ bool) []byte { return b }

// coding is how a number of Go stands on the wire.
type coding[E any] struct {
	typ  protowire.Type
	from func(bits uint64) E
	bits func(E) uint64
}

func whole[E ~int32 | ~int64](typ protowire.Type) coding[E] {
	return coding[E]{typ, func(bits uint64) E { return E(bits) }, func(v E) uint64 { return uint64(int64(v)) }}
}

func single() coding[float32] {
	return coding[float32]{
		protowire.Fixed32Type,
		func(bits uint64) float32 { return math.Float32frombits(uint32(bits)) },
		func(v float32) uint64 { return uint64(math.Float32bits(v)) },
	}
}

// scalar is a field of one number.
type scalar[E comparable] struct {
	to *E
	coding[E]
}

func integer[E ~int64](to *E) wire { return scalar[E]{to, whole[E](protowire.VarintType)} }
func float(to *float32) wire       { return scalar[float32]{to, single()} }

// elementType is a TensorProto.DataType; code, where it is not nil, holds one
// that is no model.Type.
func elementType(to *model.Type, code *int64) wire {
	return scalar[model.Type]{to, coding[model.Type]{
		protowire.VarintType,
		func(bits uint64) model.Type {
			t := dataType(int64(bits))
			if t == model.Invalid && code != nil {
				*code = int64(bits)
			}
			return t
		},
		func(t model.Type) uint64 { return uint64(dataTypeCode(t)) },
	}}
}

func (v scalar[E]) read(f field) error {
	*v.to = v.from(f.bits)
	return f.is(v.typ, "number of its kind")
}

func (v scalar[E]) write(b []byte, n protowire.Number, always bool) []byte {
	var zero E
	if *v.to == zero && !always {
		return b
	}
	return appendNumber(protowire.AppendTag(b, n, v.typ), v.typ, v.bits(*v.to))
}

// content is a field of text or of bytes.
type content[S string | []byte] struct {
	to   *S
	utf8 bool
}

func text(to *string) wire { return content[string]{to, true} }

func (v content[S]) read(f field) error {
	if v.utf8 && !utf8.Valid(f.bytes) {
		return fmt.Errorf("field %d is no valid UTF-8", f.number)
	}
	*v.to = S(f.bytes)
	return f.is(protowire.BytesType, "string")
}

func (v content[S]) write(b []byte, n protowire.Number, always bool) []byte {
	if len(*v.to) == 0 && !always {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), string(*v.to))
}

// always is a value that is written when it is zero, too.
type always struct{ wire }

func (v always) write(b []byte, n protowire.Number, _ bool) []byte { return v.wire.write(b, n, true) }

// nested is a message in a message.
type nested struct{ message }

func (v nested) read(f field) error {
	if err := f.is(protowire.BytesType, "message"); err != nil {
		return err
	}
	return unmarshal(f.bytes, v.message)
}

func (v nested) write(b []byte, n protowire.Number, always bool) []byte {
	inner := marshal(v.message)
	return content[[]byte]{to: &inner}.write(b, n, always)
}

// list is a repeated field; of is an element on the wire.
type list[E any] struct {
	to *[]E
	of func(*E) wire
}

func texts(to *[]string) wire { return list[string]{to, text} }

func messages[M any, P interface {
	*M
	message
}](to *[]M) wire {
	return list[M]{to, func(m *M) wire { return nested{P(m)} }}
}

func (v list[E]) read(f field) error {
	var e E
	if err := v.of(&e).read(f); err != nil {
		return fmt.Errorf("%d: %w", len(*v.to), err)
	}
	*v.to = append(*v.to, e)
	return nil
}

func (v list[E]) write(b []byte, n protowire.Number, _ bool) []byte {
	for i := range *v.to {
		b = v.of(&(*v.to)[i]).write(b, n, true)
	}
	return b
}

// numbers is a repeated field of numbers, packed or not.
type numbers[E any] struct {
	to *[]E
	coding[E]
}

func integers(to *[]int64) wire { return numbers[int64]{to, whole[int64](protowire.VarintType)} }
func floats(to *[]float32) wire { return numbers[float32]{to, single()} }
func doubles(to *[]float64) wire {
	return numbers[float64]{to, coding[float64]{protowire.Fixed64Type, math.Float64frombits, math.Float64bits}}
}

func (v numbers[E]) read(f field) error {
	if f.typ == v.typ {
		*v.to = append(*v.to, v.from(f.bits))
		return nil
	}
	if err := f.is(protowire.BytesType, "list of numbers"); err != nil {
		return err
	}
	for b := f.bytes; len(b) > 0; {
		bits, n := consumeNumber(v.typ, b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		*v.to = append(*v.to, v.from(bits))
		b = b[n:]
	}
	return nil
}

func (v numbers[E]) write(b []byte, n protowire.Number, _ bool) []byte {
	var packed []byte
	for _, e := range *v.to {
		packed = appendNumber(packed, v.typ, v.bits(e))
	}
	return content[[]byte]{to: &packed}.write(b, n, false)
}
