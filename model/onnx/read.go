package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model"
)

// Parse reads an ONNX file. It keeps no reference to data, and its memory is
// in proportion to len(data). Fields that tabular models do not use are
// skipped; an error names where in the file the fault is.
func Parse(data []byte) (*Model, error) {
	m := &Model{}
	if err := m.read(data); err != nil {
		return nil, fmt.Errorf("not a readable ONNX file: %w", err)
	}
	if m.IRVersion == 0 {
		return nil, errors.New("not an ONNX file: it has no ir_version")
	}
	return m, nil
}

// field is one field of a message: its number and its value by wire type.
type field struct {
	number protowire.Number
	typ    protowire.Type
	varint uint64
	bytes  []byte
}

// fields calls each for every field of a message.
func fields(data []byte, each func(f field) error) error {
	for len(data) > 0 {
		number, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		f := field{number: number, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			f.varint = uint64(v)
		case protowire.Fixed64Type:
			f.varint, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(number, typ, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

// The accessors below read a field as one kind of value and fail when it was
// written as another.

func (f field) wrong(want string) error {
	return fmt.Errorf("field %d has wire type %d, which is no %s", f.number, f.typ, want)
}

func (f field) int(to *int64) error {
	if f.typ != protowire.VarintType {
		return f.wrong("integer")
	}
	*to = int64(f.varint)
	return nil
}

func (f field) float(to *float32) error {
	if f.typ != protowire.Fixed32Type {
		return f.wrong("float")
	}
	*to = math.Float32frombits(uint32(f.varint))
	return nil
}

func (f field) string(to *string) error {
	if f.typ != protowire.BytesType {
		return f.wrong("string")
	}
	if !utf8.Valid(f.bytes) {
		return fmt.Errorf("field %d is no valid UTF-8", f.number)
	}
	*to = string(f.bytes)
	return nil
}

func (f field) appendString(to *[]string) error {
	var s string
	if err := f.string(&s); err != nil {
		return err
	}
	*to = append(*to, s)
	return nil
}

func (f field) message(read func([]byte) error) error {
	if f.typ != protowire.BytesType {
		return f.wrong("message")
	}
	return read(f.bytes)
}

// element reads one more element of a repeated message.
func element[M any](f field, to *[]M, read func(*M, []byte) error) error {
	var m M
	if err := f.message(func(b []byte) error { return read(&m, b) }); err != nil {
		return fmt.Errorf("%d: %w", len(*to), err)
	}
	*to = append(*to, m)
	return nil
}

// varints reads a repeated integer field, packed or not.
func varints[E any](f field, to *[]E, convert func(uint64) E) error {
	if f.typ == protowire.VarintType {
		*to = append(*to, convert(f.varint))
		return nil
	}
	if f.typ != protowire.BytesType {
		return f.wrong("list of integers")
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		*to = append(*to, convert(v))
		b = b[n:]
	}
	return nil
}

func asInt64(v uint64) int64 { return int64(v) }
func asInt32(v uint64) int32 { return int32(v) }

// fixed reads a repeated field of fixed width, packed or not.
func fixed[E any](f field, to *[]E, width int, convert func(uint64) E) error {
	single := protowire.Fixed32Type
	if width == 8 {
		single = protowire.Fixed64Type
	}
	switch {
	case f.typ == single:
		*to = append(*to, convert(f.varint))
		return nil
	case f.typ != protowire.BytesType:
		return f.wrong("list of floats")
	case len(f.bytes)%width != 0:
		return fmt.Errorf("field %d has %d bytes, which is no multiple of %d", f.number, len(f.bytes), width)
	}
	*to = appendFixed(*to, f.bytes, width, convert)
	return nil
}

func appendFixed[E any](to []E, b []byte, width int, convert func(uint64) E) []E {
	if to == nil {
		to = make([]E, 0, len(b)/width)
	}
	for ; len(b) >= width; b = b[width:] {
		switch width {
		case 1:
			to = append(to, convert(uint64(b[0])))
		case 4:
			to = append(to, convert(uint64(binary.LittleEndian.Uint32(b))))
		default:
			to = append(to, convert(binary.LittleEndian.Uint64(b)))
		}
	}
	return to
}

func asFloat32(v uint64) float32 { return math.Float32frombits(uint32(v)) }
func asFloat64(v uint64) float64 { return math.Float64frombits(v) }

func (m *Model) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return named("ir_version", f.int(&m.IRVersion))
		case 2:
			return named("producer_name", f.string(&m.ProducerName))
		case 3:
			return named("producer_version", f.string(&m.ProducerVersion))
		case 4:
			return named("domain", f.string(&m.Domain))
		case 5:
			return named("model_version", f.int(&m.ModelVersion))
		case 6:
			return named("doc_string", f.string(&m.Doc))
		case 7:
			return named("graph", f.message(m.Graph.read))
		case 8:
			return named("opset_import", element(f, &m.OperatorSets, (*OperatorSet).read))
		case 14:
			return named("metadata_props", element(f, &m.Metadata, (*Property).read))
		case 25:
			return errors.New("functions: model-local functions are not supported")
		}
		return nil
	})
}

func named(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *OperatorSet) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.string(&s.Domain)
		case 2:
			return f.int(&s.Version)
		}
		return nil
	})
}

func (p *Property) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.string(&p.Key)
		case 2:
			return f.string(&p.Value)
		}
		return nil
	})
}

func (g *Graph) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return named("node", element(f, &g.Nodes, (*Node).read))
		case 2:
			return named("name", f.string(&g.Name))
		case 5:
			return named("initializer", element(f, &g.Initializers, (*Tensor).read))
		case 11:
			return named("input", element(f, &g.Inputs, (*ValueInfo).read))
		case 12:
			return named("output", element(f, &g.Outputs, (*ValueInfo).read))
		case 15:
			return errors.New("sparse_initializer: sparse tensors are not supported")
		}
		return nil
	})
}

func (n *Node) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return named("input", f.appendString(&n.Inputs))
		case 2:
			return named("output", f.appendString(&n.Outputs))
		case 3:
			return named("name", f.string(&n.Name))
		case 4:
			return named("op_type", f.string(&n.OpType))
		case 5:
			return named("attribute", element(f, &n.Attributes, (*Attribute).read))
		case 7:
			return named("domain", f.string(&n.Domain))
		}
		return nil
	})
}

func (a *Attribute) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.string(&a.Name)
		case 2:
			return f.float(&a.Float)
		case 3:
			return f.int(&a.Int)
		case 4:
			return f.string(&a.String)
		case 5:
			a.Tensor = &Tensor{}
			return f.message(a.Tensor.read)
		case 7:
			return fixed(f, &a.Floats, 4, asFloat32)
		case 8:
			return varints(f, &a.Ints, asInt64)
		case 9:
			return f.appendString(&a.Strings)
		case 20:
			return f.int((*int64)(&a.Type))
		}
		return nil
	})
}

// tensorData is a TensorProto as the file has it: the values stand in one of
// several fields, depending on the type and on who wrote it.
type tensorData struct {
	typ      int64
	dims     []int64
	floats   []float32
	int32s   []int32
	int64s   []int64
	strings  []string
	doubles  []float64
	raw      []byte
	hasRaw   bool
	external bool
}

func (t *Tensor) read(data []byte) error {
	var d tensorData
	err := fields(data, func(f field) error {
		switch f.number {
		case 1:
			return varints(f, &d.dims, asInt64)
		case 2:
			return f.int(&d.typ)
		case 4:
			return fixed(f, &d.floats, 4, asFloat32)
		case 5:
			return varints(f, &d.int32s, asInt32)
		case 6:
			return f.appendString(&d.strings)
		case 7:
			return varints(f, &d.int64s, asInt64)
		case 8:
			return f.string(&t.Name)
		case 9:
			d.hasRaw = true
			return f.message(func(b []byte) error { d.raw = b; return nil })
		case 10:
			return fixed(f, &d.doubles, 8, asFloat64)
		case 13, 14:
			d.external = d.external || f.number == 13 || f.varint == 1
		}
		return nil
	})
	if err == nil {
		err = d.into(&t.Tensor)
	}
	return named(fmt.Sprintf("tensor %q", t.Name), err)
}

// into checks that the values are as many as the dimensions say before
// anything is sized by them.
func (d *tensorData) into(t *model.Tensor) error {
	typ := dataType(d.typ)
	switch {
	case typ == model.Invalid:
		return fmt.Errorf("element type %d is not supported", d.typ)
	case d.external:
		return errors.New("its data is in another file, which is not supported")
	}
	if d.hasRaw {
		if err := d.unpack(typ); err != nil {
			return err
		}
	}
	t.Type = typ
	switch typ {
	case model.Float32:
		t.Float32s = d.floats
	case model.Float64:
		t.Float64s = d.doubles
	case model.Int32:
		t.Int32s = d.int32s
	case model.Int64:
		t.Int64s = d.int64s
	case model.String:
		t.Strings = d.strings
	case model.Bool:
		for _, v := range d.int32s {
			t.Bools = append(t.Bools, v != 0)
		}
	}
	return d.shape(t, len(t.Float32s)+len(t.Float64s)+len(t.Int32s)+len(t.Int64s)+len(t.Strings)+len(t.Bools))
}

// unpack turns raw_data, which is little endian, into the typed field.
func (d *tensorData) unpack(typ model.Type) error {
	width := map[model.Type]int{model.Float32: 4, model.Int32: 4, model.Float64: 8, model.Int64: 8, model.Bool: 1}[typ]
	if width == 0 {
		return errors.New("raw_data cannot hold strings")
	}
	if len(d.raw)%width != 0 {
		return fmt.Errorf("raw_data has %d bytes, which is no multiple of %d", len(d.raw), width)
	}
	switch typ {
	case model.Float32:
		d.floats = appendFixed(nil, d.raw, width, asFloat32)
	case model.Float64:
		d.doubles = appendFixed(nil, d.raw, width, asFloat64)
	case model.Int64:
		d.int64s = appendFixed(nil, d.raw, width, asInt64)
	default:
		d.int32s = appendFixed(nil, d.raw, width, asInt32)
	}
	return nil
}

func (d *tensorData) shape(t *model.Tensor, values int) error {
	n := int64(1)
	t.Shape = make([]int, 0, len(d.dims))
	for _, dim := range d.dims {
		if dim < 0 || dim > math.MaxInt32 || n*dim > math.MaxInt32 {
			return fmt.Errorf("dimensions %v are out of range", d.dims)
		}
		n *= dim
		t.Shape = append(t.Shape, int(dim))
	}
	if n != int64(values) {
		return fmt.Errorf("dimensions %v ask for %d values, and there are %d", d.dims, n, values)
	}
	return nil
}

func (v *ValueInfo) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.string(&v.Name)
		case 2:
			return f.message(v.Type.read)
		}
		return nil
	})
}

func (t *ValueType) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.message(t.readTensor)
		case 4:
			return f.message(t.readSequence)
		}
		return nil
	})
}

func (t *ValueType) readTensor(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.dataType(&t.Tensor)
		case 2:
			t.Dims = []Dim{}
			return f.message(t.readShape)
		}
		return nil
	})
}

func (f field) dataType(to *model.Type) error {
	var code int64
	if err := f.int(&code); err != nil {
		return err
	}
	*to = dataType(code)
	return nil
}

func (t *ValueType) readShape(data []byte) error {
	return fields(data, func(f field) error {
		if f.number != 1 {
			return nil
		}
		return element(f, &t.Dims, (*Dim).read)
	})
}

func (d *Dim) read(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.int(&d.Value)
		case 2:
			return f.string(&d.Param)
		}
		return nil
	})
}

// readSequence knows one kind of sequence: of maps from a class to a number.
func (t *ValueType) readSequence(data []byte) error {
	inner := func(number protowire.Number, read func([]byte) error) func([]byte) error {
		return func(b []byte) error {
			return fields(b, func(f field) error {
				if f.number == number {
					return f.message(read)
				}
				return nil
			})
		}
	}
	return inner(1, inner(5, t.readMap))(data)
}

func (t *ValueType) readMap(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 1:
			return f.dataType(&t.MapKey)
		case 2:
			return f.message(func(b []byte) error {
				var value ValueType
				err := value.read(b)
				t.MapValue = value.Tensor
				return err
			})
		}
		return nil
	})
}
