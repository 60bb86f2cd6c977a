package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model"
)

// Parse reads an ONNX file. It keeps no reference to data, and its memory is
// in proportion to len(data). Fields that tabular models do not use are
// skipped; an error names where in the file the fault is, and is a
// *model.Refusal of CauseCorrupt or CauseUnsupported.
func Parse(data []byte) (*Model, error) {
	m := &Model{}
	switch err := unmarshal(data, m); {
	case err != nil && isPickle(data):
		return nil, &model.Refusal{Cause: model.CauseCorrupt, Err: errors.New("not an ONNX file, but a pickle of Python: export the model to ONNX")}
	case err != nil && model.CauseOf(err, model.CauseCorrupt) == model.CauseCorrupt:
		return nil, &model.Refusal{Cause: model.CauseCorrupt, Err: fmt.Errorf("not a readable ONNX file: %w", err)}
	case err != nil:
		return nil, err
	case m.IRVersion == 0:
		return nil, &model.Refusal{Cause: model.CauseCorrupt, Err: errors.New("not an ONNX file: it has no ir_version")}
	}
	return m, nil
}

// isPickle says whether data begins as pickles do since protocol 2: a byte that no ONNX file begins with, and the
// protocol's number (https://docs.python.org/3/library/pickletools.html, PROTO).
func isPickle(data []byte) bool {
	return len(data) > 1 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5
}

// Marshal writes the model as an ONNX file. The same model always gives the
// same bytes.
func (m *Model) Marshal() []byte { return marshal(m) }

func (m *Model) parts() []part {
	return []part{
		{1, "ir_version", integer(&m.IRVersion)},
		{2, "producer_name", text(&m.ProducerName)},
		{3, "producer_version", text(&m.ProducerVersion)},
		{4, "domain", text(&m.Domain)},
		{5, "model_version", integer(&m.ModelVersion)},
		{6, "doc_string", text(&m.Doc)},
		{7, "graph", nested{&m.Graph}},
		{8, "opset_import", messages(&m.OperatorSets)},
		{14, "metadata_props", messages(&m.Metadata)},
		{25, "functions", refused("model-local functions are not supported")},
	}
}

func (s *OperatorSet) parts() []part {
	return []part{{1, "", text(&s.Domain)}, {2, "", integer(&s.Version)}}
}

func (p *Property) parts() []part {
	return []part{{1, "", text(&p.Key)}, {2, "", text(&p.Value)}}
}

func (g *Graph) parts() []part {
	return []part{
		{1, "node", messages(&g.Nodes)},
		{2, "name", text(&g.Name)},
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
		{3, "name", text(&n.Name)},
		{4, "op_type", text(&n.OpType)},
		{5, "attribute", messages(&n.Attributes)},
		{7, "domain", text(&n.Domain)},
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
		{1, "", text(&a.Name)},
		{2, "", single(AttributeFloat, float(&a.Float))},
		{3, "", single(AttributeInt, integer(&a.Int))},
		{4, "", single(AttributeString, text(&a.String))},
		{5, "", tensor{&a.Tensor}},
		{7, "", floats(&a.Floats)},
		{8, "", integers(&a.Ints)},
		{9, "", texts(&a.Strings)},
		{20, "", integer(&a.Type)},
	}
}

func (v *ValueInfo) parts() []part {
	return []part{{1, "", text(&v.Name)}, {2, "", nested{&v.Type}}}
}

// parts knows one kind of sequence: of maps from a class to a number.
func (t *ValueType) parts() []part {
	tensor := group{{1, "", elementType(&t.Tensor, &t.Element)}, {2, "", shape{&t.Dims}}}
	mapped := group{{1, "", nested{group{{1, "", elementType(&t.MapValue, nil)}}}}}
	pairs := group{{1, "", elementType(&t.MapKey, nil)}, {2, "", nested{mapped}}}
	sequence := group{{1, "", nested{group{{5, "", nested{pairs}}}}}}
	return []part{{1, "", nested{tensor}}, {4, "", nested{sequence}}}
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
	return []part{{1, "", integer(&d.Value)}, {2, "", text(&d.Param)}}
}

// tensor is a TensorProto on the wire, left out where there is none.
type tensor struct{ to **Tensor }

// tensorData is a TensorProto as the file has it: the values stand in the field
// of their type, in raw or, when they are bools, among the integers.
type tensorData struct {
	Tensor
	code     int64
	dims     []int64
	raw      []byte
	location int64
}

func (d *tensorData) parts() []part {
	return []part{
		{1, "", integers(&d.dims)},
		{2, "", integer(&d.code)},
		{4, "", floats(&d.Float32s)},
		{10, "", doubles(&d.Float64s)},
		{7, "", integers(&d.Int64s)},
		{5, "", numbers[int32]{&d.Int32s, whole[int32](protowire.VarintType)}},
		{6, "", texts(&d.Strings)},
		{8, "", text(&d.Name)},
		{9, "", content[[]byte]{to: &d.raw}},
		{13, "", refused("its data is in another file, which is not supported")},
		{14, "", integer(&d.location)},
	}
}

func (v tensor) read(f field) error {
	var d tensorData
	err := nested{&d}.read(f)
	if err == nil {
		err = d.complete()
	}
	if *v.to == nil {
		*v.to = &Tensor{}
	}
	**v.to = d.Tensor
	return named(fmt.Sprintf("tensor %q", d.Name), err)
}

func (v tensor) write(b []byte, n protowire.Number, _ bool) []byte {
	if *v.to == nil {
		return b
	}
	d := tensorData{Tensor: Tensor{Name: (*v.to).Name}, code: cmp.Or(dataTypeCode((*v.to).Type), (*v.to).Element)}
	// Leaves out what a tensor keeps of other types.
	d.CopyFrom(&(*v.to).Tensor)
	for _, n := range d.Shape {
		d.dims = append(d.dims, int64(n))
	}
	for _, v := range d.Bools {
		d.Int32s = append(d.Int32s, int32(protowire.EncodeBool(v)))
	}
	return nested{&d}.write(b, n, true)
}

// complete puts the values where they belong, and checks that they are as many
// as the dimensions say before anything is sized by them.
func (d *tensorData) complete() error {
	d.Type = dataType(d.code)
	if d.location != 0 {
		return unsupported("its data is in another file, which is not supported")
	}
	if d.Type == model.Invalid {
		if err := elementError(d.code); model.CauseOf(err, model.CauseCorrupt) == model.CauseCorrupt {
			return err
		}
		// Whoever needs it refuses it, and knows what it is for.
		d.Tensor = Tensor{Name: d.Name, Element: d.code}
		return nil
	}
	if len(d.raw) > 0 {
		if err := d.unpack(); err != nil {
			return fmt.Errorf("raw_data: %w", err)
		}
	}
	values := 0
	switch d.Type {
	case model.Float32:
		values = len(d.Float32s)
	case model.Float64:
		values = len(d.Float64s)
	case model.Int32:
		values = len(d.Int32s)
	case model.Int64:
		values = len(d.Int64s)
	case model.String:
		values = len(d.Strings)
	case model.Bool:
		values = len(d.Int32s)
		for _, v := range d.Int32s {
			d.Bools = append(d.Bools, v != 0)
		}
		d.Int32s = nil
	}
	return d.shape(values)
}

// unpack reads raw_data, which is little endian.
func (d *tensorData) unpack() error {
	packed := field{typ: protowire.BytesType, bytes: d.raw}
	switch d.Type {
	case model.Float32:
		return floats(&d.Float32s).read(packed)
	case model.Float64:
		return doubles(&d.Float64s).read(packed)
	case model.Int32:
		return numbers[int32]{&d.Int32s, whole[int32](protowire.Fixed32Type)}.read(packed)
	case model.Int64:
		return numbers[int64]{&d.Int64s, whole[int64](protowire.Fixed64Type)}.read(packed)
	case model.Bool:
		for _, v := range d.raw {
			d.Int32s = append(d.Int32s, int32(v))
		}
	case model.String:
		return errors.New("it cannot hold strings")
	}
	return nil
}

func (d *tensorData) shape(values int) error {
	n := int64(1)
	d.Shape = make([]int, 0, len(d.dims))
	for _, dim := range d.dims {
		if dim < 0 || dim > math.MaxInt32 || n*dim > math.MaxInt32 {
			return fmt.Errorf("dimensions %v are out of range", d.dims)
		}
		n *= dim
		d.Shape = append(d.Shape, int(dim))
	}
	if n != int64(values) {
		return fmt.Errorf("dimensions %v ask for %d values, and there are %d", d.dims, n, values)
	}
	return nil
}
