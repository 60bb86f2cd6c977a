package onnx

import (
	"fmt"

	"github.com/tepalhq/tepal/model"
)

// Constant, as ai.onnx has it: the value stands in an attribute, of which there
// is one for each form that it can have. Sparse tensors are not supported.

func buildConstant(n *node) (kernel, error) {
	if len(n.Attributes) != 1 {
		return nil, fmt.Errorf("it has %d attributes where 1 is needed, its value", len(n.Attributes))
	}
	t, a := &model.Tensor{}, &n.Attributes[0]
	switch {
	case a.Name == "value":
		value := n.take(a.Name, AttributeTensor).Tensor
		if value == nil {
			return nil, n.err
		}
		if value.Type == model.Invalid {
			return nil, fmt.Errorf("its value: %w", elementError(value.Element))
		}
		t = &value.Tensor
	case n.version < 12: // The forms below came with version 12.
	case a.Name == "value_float":
		*t = model.Tensor{Type: model.Float32, Float32s: []float32{n.take(a.Name, AttributeFloat).Float}}
	case a.Name == "value_floats":
		list := n.take(a.Name, AttributeFloats).Floats
		*t = model.Tensor{Type: model.Float32, Shape: []int{len(list)}, Float32s: list}
	case a.Name == "value_int":
		*t = model.Tensor{Type: model.Int64, Int64s: []int64{n.int(a.Name, 0)}}
	case a.Name == "value_ints":
		list := n.ints(a.Name)
		*t = model.Tensor{Type: model.Int64, Shape: []int{len(list)}, Int64s: list}
	case a.Name == "value_string":
		*t = model.Tensor{Type: model.String, Strings: []string{n.string(a.Name)}}
	case a.Name == "value_strings":
		list := n.strings(a.Name)
		*t = model.Tensor{Type: model.String, Shape: []int{len(list)}, Strings: list}
	}
	// An attribute that is none of these is left, and refused by its name.
	n.outputs[0].hold(t)
	return nil, nil
}
