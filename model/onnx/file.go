package onnx

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model"
)

// Parse reads an ONNX file. It keeps no reference to data, and its memory is
// in proportion to len(data). Fields that tabular models do not use are
// skipped; an error names where in the file the fault is.
func Parse(data []byte) (*Model, error) {
	m := &Model{}
	if err := unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("not a readable ONNX file: %w", err)
	}
	if m.IRVersion == 0 {
		return nil, errors.New("not an ONNX file: it has no ir_version")
	}
	return m, nil
}

// Marshal writes the model as an ONNX file. The same model always gives the
// same bytes.
func (m *Model) Marshal() []byte { return marshal(m) }

func (m *Model) parts() []part {
	return []part{
		{1, "ir_version", (*integer)(&m.IRVersion)},
		{2, "producer_name", (*text)(&m.ProducerName)},
		{3, "producer_version", (*text)(&m.ProducerVersion)},
		{4, "domain", (*text)(&m.Domain)},
		{5, "model_version", (*integer)(&m.ModelVersion)},
		{6, "doc_string", (*text)(&m.Doc)},
		{7, "graph", nested{&m.Graph}},
		{8, "opset_import", messages(&m.OperatorSets)},
		{14, "metadata_props", messages(&m.Metadata)},
		{25, "functions", refused("model-local functions are not supported")},
	}
}

func (s *OperatorSet) parts() []part {
	return []part{{1, "", (*text)(&s.Domain)}, {2, "", (*integer)(&s.Version)}}
}

func (p *Property) parts() []part {
	return []part{{1, "", (*text)(&p.Key)}, {2, "", (*text)(&p.Value)}}
}

func (g *Graph) parts() []part {
	return []part{
		{1, "node", messages(&g.Nodes)},
		{2, "name", (*text)(&g.Name)},
		{5, "initializer", list[Tensor]{&g.Initializers, func(t *Tensor) wire { return tensor{&t} }}},
		{11, "input", messages(&g.Inputs)},
		{12, "output", messages(&g.Outputs)},
		{15, "sparse_initializer", refused("sparse tensors are not supported")},
	}
}

func (n *Node) parts() []part {
	return []part{
		{1, "input", texts(&n.Inputs)},
		{2, "output", texts(&n.Outputs)},
		{3, "name", (*text)(&n.Name)},
		{4, "op_type", (*text)(&n.OpType)},
		{5, "attribute", messages(&n.Attributes)},
		{7, "domain", (*text)(&n.Domain)},
	}
}

func (a *Attribute) parts() []part {
	// A single value is there when the type names it, also when it is zero.
	single := func(t AttributeType, v wire) wire {
		if a.Type == t {
			return always{v}
		}
		return v
	}
	return []part{
		{1, "", (*text)(&a.Name)},
		{2, "", single(AttributeFloat, (*float)(&a.Float))},
		{3, "", single(AttributeInt, (*integer)(&a.Int))},
		{4, "", single(AttributeString, (*text)(&a.String))},
		{5, "", tensor{&a.Tensor}},
		{7, "", floats(&a.Floats)},
		{8, "", integers(&a.Ints, protowire.VarintType)},
		{9, "", texts(&a.Strings)},
		{20, "", (*integer)(&a.Type)},
	}
}

func (v *ValueInfo) parts() []part {
	return []part{{1, "", (*text)(&v.Name)}, {2, "", nested{&v.Type}}}
}

// parts knows one kind of sequence: of maps from a class to a number.
func (t *ValueType) parts() []part {
	mapped := nested{group{{1, "", nested{group{{1, "", (*elementType)(&t.MapValue)}}}}}}
	element := nested{group{{5, "", nested{group{{1, "", (*elementType)(&t.MapKey)}, {2, "", mapped}}}}}}
	return []part{
		{1, "", nested{group{{1, "", (*elementType)(&t.Tensor)}, {2, "", shape{&t.Dims}}}}},
		{4, "", nested{group{{1, "", element}}}},
	}
}

// shape is a TensorShapeProto. One of no dimensions is another than none.
type shape struct{ dims *[]Dim }

func (v shape) message() nested { return nested{group{{1, "", messages(v.dims)}}} }

func (v shape) read(f field) error {
	*v.dims = []Dim{}
	return v.message().read(f)
}

func (v shape) write(b []byte, n protowire.Number, _ bool) []byte {
	if *v.dims == nil {
		return b
	}
	return v.message().write(b, n, true)
}

func (d *Dim) parts() []part {
	return []part{{1, "", (*integer)(&d.Value)}, {2, "", (*text)(&d.Param)}}
}

// tensorData is a TensorProto as the file has it: the values stand in one of
// several fields, depending on the type and on who wrote it.
type tensorData struct {
	name     string
	typ      int64
	dims     []int64
	floats   []float32
	int32s   []int32
	int64s   []int64
	strings  []string
	doubles  []float64
	raw      []byte
	location int64
}

func (d *tensorData) parts() []part {
	return []part{
		{1, "", integers(&d.dims, protowire.VarintType)},
		{2, "", (*integer)(&d.typ)},
		{4, "", floats(&d.floats)},
		{10, "", doubles(&d.doubles)},
		{7, "", integers(&d.int64s, protowire.VarintType)},
		{5, "", integers(&d.int32s, protowire.VarintType)},
		{6, "", texts(&d.strings)},
		{8, "", (*text)(&d.name)},
		{9, "", (*raw)(&d.raw)},
		{13, "", refused("its data is in another file, which is not supported")},
		{14, "", (*integer)(&d.location)},
	}
}

// tensor is a TensorProto on the wire, left out where there is none.
type tensor struct{ to **Tensor }

func (v tensor) read(f field) error {
	if *v.to == nil {
		*v.to = &Tensor{}
	}
	var d tensorData
	err := nested{&d}.read(f)
	if err == nil {
		err = d.into(&(*v.to).Tensor)
	}
	(*v.to).Name = d.name
	return named(fmt.Sprintf("tensor %q", d.name), err)
}

func (v tensor) write(b []byte, n protowire.Number, _ bool) []byte {
	t := *v.to
	if t == nil {
		return b
	}
	d := tensorData{name: t.Name, typ: dataTypeCode(t.Type)}
	for _, n := range t.Shape {
		d.dims = append(d.dims, int64(n))
	}
	switch t.Type {
	case model.Float32:
		d.floats = t.Float32s
	case model.Float64:
		d.doubles = t.Float64s
	case model.Int32:
		d.int32s = t.Int32s
	case model.Int64:
		d.int64s = t.Int64s
	case model.String:
		d.strings = t.Strings
	case model.Bool:
		for _, v := range t.Bools {
			d.int32s = append(d.int32s, int32(protowire.EncodeBool(v)))
		}
	}
	return nested{&d}.write(b, n, true)
}

// into checks that the values are as many as the dimensions say before
// anything is sized by them.
func (d *tensorData) into(t *model.Tensor) error {
	t.Type = dataType(d.typ)
	switch {
	case t.Type == model.Invalid:
		return fmt.Errorf("element type %d is not supported", d.typ)
	case d.location != 0:
		return errors.New("its data is in another file, which is not supported")
	}
	if len(d.raw) > 0 {
		if err := d.unpack(t.Type); err != nil {
			return fmt.Errorf("raw_data: %w", err)
		}
	}
	values := 0
	switch t.Type {
	case model.Float32:
		t.Float32s, values = d.floats, len(d.floats)
	case model.Float64:
		t.Float64s, values = d.doubles, len(d.doubles)
	case model.Int32:
		t.Int32s, values = d.int32s, len(d.int32s)
	case model.Int64:
		t.Int64s, values = d.int64s, len(d.int64s)
	case model.String:
		t.Strings, values = d.strings, len(d.strings)
	case model.Bool:
		values = len(d.int32s)
		for _, v := range d.int32s {
			t.Bools = append(t.Bools, v != 0)
		}
	}
	return d.shape(t, values)
}

// unpack turns raw_data, which is little endian, into the typed field.
func (d *tensorData) unpack(typ model.Type) error {
	packed := field{typ: protowire.BytesType, bytes: d.raw}
	switch typ {
	case model.Float32:
		return floats(&d.floats).read(packed)
	case model.Float64:
		return doubles(&d.doubles).read(packed)
	case model.Int32:
		return integers(&d.int32s, protowire.Fixed32Type).read(packed)
	case model.Int64:
		return integers(&d.int64s, protowire.Fixed64Type).read(packed)
	case model.Bool:
		for _, v := range d.raw {
			d.int32s = append(d.int32s, int32(v))
		}
		return nil
	default:
		return errors.New("it cannot hold strings")
	}
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
