package onnx

import (
	"fmt"

	"github.com/tepalhq/tepal/model"
)

// Operators that only give a value another name or another outward form, and
// cost nothing at run time: Identity and ai.onnx.ml ZipMap.

func rename(in, out *value) {
	name := out.name
	*out = *in
	out.name = name
}

func buildIdentity(n *node) (kernel, error) {
	rename(n.inputs[0], n.outputs[0])
	return nil, nil
}

// buildZipMap keeps the tensor that ZipMap would turn into a map for each row,
// and notes its keys.
func buildZipMap(n *node) (kernel, error) {
	in, out := n.inputs[0], n.outputs[0]
	if in.typ != model.Float32 {
		return nil, fmt.Errorf("input %q is of type %v where float32 is needed", in.name, in.typ)
	}
	classes, err := n.classes()
	if err != nil {
		return nil, err
	}
	if columns := in.axes.columns(); columns != classes.Len() {
		return nil, fmt.Errorf("it has %d class labels for %d columns", classes.Len(), columns)
	}
	rename(in, out)
	out.classes = classes
	if !in.role.ByClass() {
		out.role = out.classRole()
	}
	return nil, nil
}
