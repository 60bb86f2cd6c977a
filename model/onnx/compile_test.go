package onnx

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// withVersion is a file of one node that is written against that version of its
// operator set.
func withVersion(n Node, version int64) *Model {
	file := operationFile(n, model.Float32, float32Tensor("C", []int{}, 1))
	file.OperatorSets[0].Version = version
	return file
}

// TestVersions: an operator is served in the versions that it is built for, and
// refused by name in older and newer ones. ONNX changed Add and Div, with
// broadcasting as it is today, in version 7 and Cast in version 6.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		node  Node
		since int64
		want  string
	}{
		{operation("Add", []string{"X", "C"}, []string{"Y"}), 7, "versions 7 to 28 are"},
		{operation("Div", []string{"X", "C"}, []string{"Y"}), 7, "versions 7 to 28 are"},
		{operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", 11)), 6, "versions 6 to 28 are"},
		{operation("Identity", []string{"X"}, []string{"Y"}), 1, "versions 1 to 28 are"},
	} {
		load(t, withVersion(c.node, c.since))
		load(t, withVersion(c.node, 28))
		for _, version := range []int64{math.MinInt64, c.since - 1, 29, 9999} {
			_, err := Load(withVersion(c.node, version).Marshal(), "m")
			require.ErrorContains(t, err, `node 0 "n" (`+c.node.OpType+`): version `)
			require.ErrorContains(t, err, " of its operator set is not supported; "+c.want)
			var refusal *model.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, model.CauseUnsupported, refusal.Cause)
		}
	}
	file := classifierFile()
	for version, ok := range map[int64]bool{0: false, 1: true, 3: true, 5: true, 6: false} {
		file.OperatorSets[1].Version = version
		_, err := Load(file.Marshal(), "m")
		require.Equal(t, ok, err == nil, "ai.onnx.ml %d: %v", version, err)
	}
}

// pass is a kernel that copies its first input.
type pass struct{}

func (pass) run(b *budget, in, out []*model.Tensor) error {
	if err := b.take(in[0].Shape...); err != nil {
		return err
	}
	out[0].CopyFrom(in[0])
	return nil
}

// TestArity: inputs and outputs after the least may be left out, also by an
// empty name, and none before.
func TestArity(t *testing.T) {
	for _, c := range []struct {
		inputs []string
		// given tells which inputs the builder sees.
		given   []bool
		outputs []string
		want    string
	}{
		{[]string{"X"}, []bool{true}, []string{"Y"}, ""},
		{[]string{"X", "C"}, []bool{true, true}, []string{"Y"}, ""},
		{[]string{"X", "", "C"}, []bool{true, false, true}, []string{"Y"}, ""},
		{[]string{"X", ""}, []bool{true, false}, []string{"Y", ""}, ""},
		{nil, nil, []string{"Y"}, "it has 0 inputs where 1 to 3 are possible"},
		{[]string{"X", "C", "C", "C"}, nil, []string{"Y"}, "it has 4 inputs where 1 to 3 are possible"},
		{[]string{"", "C"}, nil, []string{"Y"}, `input "" is not defined`},
		{[]string{"X", "other"}, nil, []string{"Y"}, `input "other" is not defined`},
		{[]string{"X"}, nil, nil, "it has 0 outputs where 1 to 2 are possible"},
		{[]string{"X"}, nil, []string{"Y", "a", "b"}, "it has 3 outputs where 1 to 2 are possible"},
	} {
		var given []bool
		build := func(n *node) (kernel, error) {
			for _, v := range n.inputs {
				given = append(given, v != nil)
			}
			n.outputs[0].typ, n.outputs[0].axes = n.inputs[0].typ, n.inputs[0].axes
			return pass{}, nil
		}
		file := withVersion(operation("Try", c.inputs, c.outputs), 7)
		compiled, err := compile(file, map[string]operator{"Try": {7, 7, arity{1, 3}, arity{1, 2}, build}})
		if c.want != "" {
			require.EqualError(t, err, `node 0 "n" (Try): `+c.want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.given, given)
		outputs := make([]model.Tensor, 1)
		require.NoError(t, compiled.program.Run(t.Context(), []model.Tensor{float32Rows(1, 4, 5)}, outputs))
		require.Equal(t, []float32{4, 5}, outputs[0].Float32s)
	}
}

// TestConstant has each form of the value that ONNX describes, added to or cast
// beside a row; the value is the attribute's own.
func TestConstant(t *testing.T) {
	floats := Attribute{Name: "value_floats", Type: AttributeFloats, Floats: []float32{0.5, 2}}
	for _, c := range []struct {
		value Attribute
		want  model.Tensor
	}{
		{tensorAttribute("value", float64Tensor("", []int{1, 2}, 0.1, 3)), float64Tensor("", []int{1, 2}, 0.1, 3).Tensor},
		{Attribute{Name: "value_float", Type: AttributeFloat, Float: 0.5}, float32Tensor("", nil, 0.5).Tensor},
		{floats, float32Tensor("", []int{2}, 0.5, 2).Tensor},
		{intAttribute("value_int", -7), int64Tensor("", nil, -7).Tensor},
		{intsAttribute("value_ints", 1, 2, 3), int64Tensor("", []int{3}, 1, 2, 3).Tensor},
		{stringAttribute("value_string", "a"), stringTensor("", nil, "a").Tensor},
		{stringsAttribute("value_strings", "a", ""), stringTensor("", []int{2}, "a", "").Tensor},
	} {
		n := operation("Constant", nil, []string{"C"}, c.value)
		file := fileOf(Graph{
			Nodes:  []Node{n, operation("Identity", []string{"X"}, []string{"Y"})},
			Inputs: []ValueInfo{rowsOf("X", model.Float32, 2)}, Outputs: []ValueInfo{{Name: "Y"}},
		})
		compiled, err := compile(file, operators)
		require.NoError(t, err, c.value.Name)
		require.Equal(t, &c.want, compiled.values["C"].constant, c.value.Name)
		file.OperatorSets[0].Version = 11
		_, err = compile(file, operators)
		if c.value.Name == "value" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, `node 0 "n" (Constant): unknown attribute "`+c.value.Name+`"`)
	}
	sum := load(t, fileOf(Graph{
		Nodes:  []Node{operation("Constant", nil, []string{"C"}, floats), operation("Add", []string{"X", "C"}, []string{"Y"})},
		Inputs: []ValueInfo{rowsOf("X", model.Float32, 2)}, Outputs: []ValueInfo{{Name: "Y"}},
	}))
	require.Equal(t, []float32{1.5, 3, 0.5, 2}, run(t, sum, float32Rows(2, 1, 1, 0, 0))[0].Float32s)
	for _, c := range []struct {
		attributes []Attribute
		want       string
	}{
		{nil, "it has 0 attributes where 1 is needed, its value"},
		{[]Attribute{floats, floats}, `attribute "value_floats" stands twice`},
		{[]Attribute{floats, intAttribute("value_int", 1)}, "it has 2 attributes where 1 is needed, its value"},
		{[]Attribute{intAttribute("sparse_value", 1)}, `unknown attribute "sparse_value"`},
		{[]Attribute{intAttribute("value", 1)}, `attribute "value" is of type 2 where 4 is needed`},
		{[]Attribute{tensorAttribute("value", Tensor{Element: 10})}, "its value: the element type float16 is not supported"},
	} {
		_, err := compile(operationFile(operation("Constant", nil, []string{"Y"}, c.attributes...), model.Float32), operators)
		require.EqualError(t, err, `node 0 "n" (Constant): `+c.want)
	}
}

// TestFolding: what constants alone make is computed when the file is loaded,
// and no more of it than is bounded.
func TestFolding(t *testing.T) {
	graph := func(constant Tensor, nodes ...Node) *Model {
		return fileOf(Graph{
			Nodes: nodes, Initializers: []Tensor{constant},
			Inputs: []ValueInfo{rowsOf("X", model.Float32, 1)}, Outputs: []ValueInfo{{Name: "Y"}},
		})
	}
	file := graph(float64Tensor("C", []int{1, 2}, 6, 8),
		operation("Div", []string{"C", "C"}, []string{"ones"}),
		operation("Add", []string{"ones", "C"}, []string{"more"}),
		operation("Cast", []string{"more"}, []string{"cast"}, intAttribute("to", 1)),
		operation("Add", []string{"X", "cast"}, []string{"Y"}))
	compiled, err := compile(file, operators)
	require.NoError(t, err)
	require.Len(t, compiled.program.steps, 1, "only the last needs the rows")
	require.Equal(t, []float32{8, 10, 9, 11}, run(t, load(t, file), float32Rows(1, 1, 2))[0].Float32s)

	_, err = compile(graph(stringTensor("C", []int{1}, "many"),
		operation("Cast", []string{"C"}, []string{"c"}, intAttribute("to", 1)),
		operation("Add", []string{"X", "c"}, []string{"Y"})), operators)
	require.EqualError(t, err, `node 0 "n" (Cast): all its inputs are constants: the model reads a number from a text that is none: expected a number in text, got "many"`)

	nodes := []Node{operation("Identity", []string{"X"}, []string{"Y"})}
	for range 4 {
		nodes = append(nodes, operation("Add", []string{"C", "C"}, []string{""}))
	}
	_, err = compile(graph(zeros("C", 1<<16), nodes...), operators)
	require.NoError(t, err, "four times 65,536 values")
	_, err = compile(graph(zeros("C", 1<<16), append(nodes, operation("Add", []string{"C", "C"}, []string{""}))...), operators)
	require.ErrorContains(t, err, `node 5 "n" (Add): all its inputs are constants: no room`)
}
