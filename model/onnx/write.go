package onnx

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model"
)

// Marshal writes the model as an ONNX file. The same model always gives the
// same bytes.
func (m *Model) Marshal() []byte {
	var b message
	b.int(1, m.IRVersion)
	b.string(2, m.ProducerName)
	b.string(3, m.ProducerVersion)
	b.string(4, m.Domain)
	b.int(5, m.ModelVersion)
	b.string(6, m.Doc)
	b.message(7, m.Graph.marshal())
	for _, s := range m.OperatorSets {
		var set message
		set.string(1, s.Domain)
		set.int(2, s.Version)
		b.message(8, set)
	}
	for _, p := range m.Metadata {
		var property message
		property.string(1, p.Key)
		property.string(2, p.Value)
		b.message(14, property)
	}
	return b
}

// message is a protocol buffers message being written. Zero values are left
// out, as proto3 does.
type message []byte

func (b *message) int(n protowire.Number, v int64) {
	if v != 0 {
		*b = protowire.AppendTag(*b, n, protowire.VarintType)
		*b = protowire.AppendVarint(*b, uint64(v))
	}
}

func (b *message) string(n protowire.Number, v string) {
	if v != "" {
		b.element(n, v)
	}
}

// element writes v even when it is empty, as an element of a list must be.
func (b *message) element(n protowire.Number, v string) {
	*b = protowire.AppendTag(*b, n, protowire.BytesType)
	*b = protowire.AppendString(*b, v)
}

func (b *message) message(n protowire.Number, v message) { b.element(n, string(v)) }

func (b *message) ints(n protowire.Number, values []int64) {
	var packed message
	for _, v := range values {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	b.string(n, string(packed))
}

func (b *message) floats(n protowire.Number, values []float32) {
	var packed message
	for _, v := range values {
		packed = protowire.AppendFixed32(packed, math.Float32bits(v))
	}
	b.string(n, string(packed))
}

func (b *message) doubles(n protowire.Number, values []float64) {
	var packed message
	for _, v := range values {
		packed = protowire.AppendFixed64(packed, math.Float64bits(v))
	}
	b.string(n, string(packed))
}

func (g *Graph) marshal() (b message) {
	for i := range g.Nodes {
		b.message(1, g.Nodes[i].marshal())
	}
	b.string(2, g.Name)
	for i := range g.Initializers {
		b.message(5, g.Initializers[i].marshal())
	}
	for i := range g.Inputs {
		b.message(11, g.Inputs[i].marshal())
	}
	for i := range g.Outputs {
		b.message(12, g.Outputs[i].marshal())
	}
	return b
}

func (n *Node) marshal() (b message) {
	for _, name := range n.Inputs {
		b.element(1, name)
	}
	for _, name := range n.Outputs {
		b.element(2, name)
	}
	b.string(3, n.Name)
	b.string(4, n.OpType)
	for i := range n.Attributes {
		b.message(5, n.Attributes[i].marshal())
	}
	b.string(7, n.Domain)
	return b
}

func (a *Attribute) marshal() (b message) {
	b.string(1, a.Name)
	switch a.Type {
	case AttributeFloat:
		b = protowire.AppendTag(b, 2, protowire.Fixed32Type)
		b = protowire.AppendFixed32(b, math.Float32bits(a.Float))
	case AttributeInt:
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(a.Int))
	case AttributeString:
		b.element(4, a.String)
	case AttributeTensor:
		if a.Tensor != nil {
			b.message(5, a.Tensor.marshal())
		}
	case AttributeFloats:
		b.floats(7, a.Floats)
	case AttributeInts:
		b.ints(8, a.Ints)
	case AttributeStrings:
		for _, s := range a.Strings {
			b.element(9, s)
		}
	}
	b.int(20, int64(a.Type))
	return b
}

func (t *Tensor) marshal() (b message) {
	dims := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = int64(d)
	}
	b.ints(1, dims)
	b.int(2, dataTypeCode(t.Type))
	switch t.Type {
	case model.Float32:
		b.floats(4, t.Float32s)
	case model.Float64:
		b.doubles(10, t.Float64s)
	case model.Int64:
		b.ints(7, t.Int64s)
	case model.Int32:
		for _, v := range t.Int32s {
			b = protowire.AppendTag(b, 5, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(int64(v)))
		}
	case model.Bool:
		for _, v := range t.Bools {
			b = protowire.AppendTag(b, 5, protowire.VarintType)
			b = protowire.AppendVarint(b, protowire.EncodeBool(v))
		}
	case model.String:
		for _, v := range t.Strings {
			b.element(6, v)
		}
	}
	b.string(8, t.Name)
	return b
}

func (v *ValueInfo) marshal() (b message) {
	b.string(1, v.Name)
	b.message(2, v.Type.marshal())
	return b
}

func (t *ValueType) marshal() (b message) {
	if t.MapKey != model.Invalid {
		value := ValueType{Tensor: t.MapValue, Dims: []Dim{}}
		var m, element, sequence message
		m.int(1, dataTypeCode(t.MapKey))
		m.message(2, value.marshal())
		element.message(5, m)
		sequence.message(1, element)
		b.message(4, sequence)
		return b
	}
	var tensor message
	tensor.int(1, dataTypeCode(t.Tensor))
	if t.Dims != nil {
		var shape message
		for _, d := range t.Dims {
			var dim message
			dim.int(1, d.Value)
			dim.string(2, d.Param)
			shape.message(1, dim)
		}
		tensor.message(2, shape)
	}
	b.message(1, tensor)
	return b
}
