package onnx

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
)

// wide is a file with everything that this package reads.
func wide() *Model {
	shape := []int{2, 1}
	return &Model{
		IRVersion: 8, ProducerName: "p", ProducerVersion: "1.2", Domain: "d", ModelVersion: -3, Doc: "é\n",
		OperatorSets: []OperatorSet{{"", 17}, {"ai.onnx.ml", 3}},
		Metadata:     []Property{{"k", "v"}, {"k", ""}, {"", "w"}},
		Graph: Graph{
			Name: "g",
			Nodes: []Node{
				{
					Name: "all", OpType: "O", Domain: "x.y", Inputs: []string{"a", "", "b"}, Outputs: []string{"", "c"},
					Attributes: []Attribute{
						{Name: "float", Type: AttributeFloat, Float: -1.5},
						{Name: "zero", Type: AttributeFloat},
						{Name: "int", Type: AttributeInt, Int: math.MinInt64},
						{Name: "string", Type: AttributeString, String: "é"},
						{Name: "empty", Type: AttributeString},
						{Name: "floats", Type: AttributeFloats, Floats: []float32{0, float32(math.Copysign(0, -1)), math.MaxFloat32, float32(math.Inf(-1))}},
						{Name: "ints", Type: AttributeInts, Ints: []int64{0, -1, math.MaxInt64, 300}},
						{Name: "strings", Type: AttributeStrings, Strings: []string{"", "a", ""}},
						{Name: "tensor", Type: AttributeTensor, Tensor: &Tensor{Name: "t", Tensor: model.Tensor{Type: model.Float64, Shape: []int{3}, Float64s: []float64{0.1, math.Inf(1), -2}}}},
					},
				},
				{},
			},
			Initializers: []Tensor{
				float32Tensor("f32", shape, 1.5, 0),
				float64Tensor("f64", shape, 0.1, -1e300),
				int32Tensor("i32", shape, math.MinInt32, 7),
				int64Tensor("i64", shape, math.MaxInt64, -7),
				{Name: "bool", Tensor: model.Tensor{Type: model.Bool, Shape: shape, Bools: []bool{true, false}}},
				stringTensor("text", shape, "", "é"),
				float32Tensor("scalar", []int{}, 5),
				float32Tensor("none", []int{0, 4}),
			},
			Inputs: []ValueInfo{
				{Name: "a", Type: ValueType{Tensor: model.String, Dims: []Dim{{Param: "N"}, {Value: 3}, {}}}},
				{Name: "b", Type: ValueType{Tensor: model.Bool, Dims: []Dim{}}},
				{Name: "c", Type: ValueType{Tensor: model.Int32}},
				{Name: "d"},
			},
			Outputs: []ValueInfo{
				{Name: "z", Type: ValueType{MapKey: model.Int64, MapValue: model.Float32}},
				{Name: "y", Type: ValueType{MapKey: model.String, MapValue: model.Float64}},
			},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	want := wide()
	data := want.Marshal()
	got, err := Parse(data)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.True(t, math.Signbit(float64(got.Graph.Nodes[0].Attributes[5].Floats[1])), "zero keeps its sign")
	require.Equal(t, data, got.Marshal(), "the same model gives the same bytes")

	clear(data)
	require.Equal(t, want, got, "no reference to the bytes is kept")

	iris, err := Parse(artifacts.Iris)
	require.NoError(t, err)
	require.Equal(t, artifacts.Iris, iris.Marshal(), "an artifact that was written before is written the same")
}

// TestAttributeWithoutTensor: a file may name a type and hold no value.
func TestAttributeWithoutTensor(t *testing.T) {
	file := classifierFile()
	file.Graph.Nodes[0].Attributes = append(file.Graph.Nodes[0].Attributes, Attribute{Name: "base_values_as_tensor", Type: AttributeTensor})
	got, err := Parse(file.Marshal())
	require.NoError(t, err)
	require.Equal(t, file, got)
	load(t, got)
}

// TestRoundTripCases sends every case through Parse and Marshal; what is
// written answers as ONNX Runtime did for the original.
func TestRoundTripCases(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.onnx")
	require.NoError(t, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := Parse(data)
		require.NoError(t, err)
		text, err := os.ReadFile(strings.TrimSuffix(name, ".onnx") + ".json")
		require.NoError(t, err)
		var c oracleCase
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&c))
		checkCase(t, strings.TrimSuffix(filepath.Base(name), ".onnx"), file.Marshal(), &c)
	}
}

// The functions below write fields by hand, as other writers may.

func varint(number protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), uint64(v))
}

func fixed32(number protowire.Number, v float32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, number, protowire.Fixed32Type), math.Float32bits(v))
}

func fixed64(number protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), math.Float64bits(v))
}

// enclosed is a field whose value are the bytes of the parts.
func enclosed(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

func stringField(number protowire.Number, s string) []byte { return enclosed(number, []byte(s)) }

// attributeFile is a file whose only node has one attribute of the given fields.
func attributeFile(parts ...[]byte) []byte {
	return bytes.Join([][]byte{varint(1, 8), enclosed(7, enclosed(1, enclosed(5, parts...)))}, nil)
}

// initializerFile is a file whose only initializer has the given fields.
func initializerFile(parts ...[]byte) []byte {
	return bytes.Join([][]byte{varint(1, 8), enclosed(7, enclosed(5, parts...))}, nil)
}

func TestUnpacked(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts [][]byte
		want  Attribute
	}{
		{"ints", [][]byte{stringField(1, "a"), varint(8, 5), varint(8, -1), varint(20, 7)}, intsAttribute("a", 5, -1)},
		{"ints in two packs and one alone", [][]byte{stringField(1, "a"), enclosed(8, []byte{1, 2}), varint(8, 3), enclosed(8, []byte{0x80, 0x02}), varint(20, 7)}, intsAttribute("a", 1, 2, 3, 256)},
		{"floats", [][]byte{stringField(1, "a"), fixed32(7, 0.5), fixed32(7, -2), varint(20, 6)}, floatsAttribute("a", 0.5, -2)},
		{"strings", [][]byte{varint(20, 8), stringField(9, "x"), stringField(9, ""), stringField(1, "a")}, stringsAttribute("a", "x", "")},
		{"the last of a single value", [][]byte{stringField(1, "b"), varint(3, 5), stringField(1, "a"), varint(3, 6), varint(20, 2)}, intAttribute("a", 6)},
		{"fields that are not known", [][]byte{stringField(1, "a"), varint(3, 6), varint(20, 2), stringField(13, "doc"), varint(99, 1), fixed64(98, 1), fixed32(97, 1)}, intAttribute("a", 6)},
		{"a group that is not known", [][]byte{stringField(1, "a"), varint(3, 6), varint(20, 2), {12<<3 | 3, 12<<3 | 4}}, intAttribute("a", 6)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(attributeFile(c.parts...))
			require.NoError(t, err)
			require.Equal(t, []Attribute{c.want}, m.Graph.Nodes[0].Attributes)
		})
	}
}

func TestTensors(t *testing.T) {
	two := varint(1, 2)
	for _, c := range []struct {
		name  string
		parts [][]byte
		want  Tensor
	}{
		{"floats, unpacked", [][]byte{two, varint(2, 1), fixed32(4, 0.5), fixed32(4, -1)}, float32Tensor("", []int{2}, 0.5, -1)},
		{"floats, raw", [][]byte{two, varint(2, 1), enclosed(9, []byte{0, 0, 0, 0x3f, 0, 0, 0x80, 0xbf})}, float32Tensor("", []int{2}, 0.5, -1)},
		{"doubles, unpacked", [][]byte{two, varint(2, 11), fixed64(10, 0.5), fixed64(10, -1)}, float64Tensor("", []int{2}, 0.5, -1)},
		{"doubles, raw", [][]byte{varint(2, 11), enclosed(9, []byte{0, 0, 0, 0, 0, 0, 0xe0, 0x3f})}, float64Tensor("", []int{}, 0.5)},
		{"int64, packed", [][]byte{two, varint(2, 7), enclosed(7, []byte{5}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})}, int64Tensor("", []int{2}, 5, -1)},
		{"int64, raw", [][]byte{two, varint(2, 7), enclosed(9, []byte{1, 0, 0, 0, 0, 0, 0, 0x80}, bytes.Repeat([]byte{0xff}, 8))}, int64Tensor("", []int{2}, math.MinInt64+1, -1)},
		{"int32, unpacked", [][]byte{two, varint(2, 6), varint(5, 5), varint(5, -1)}, int32Tensor("", []int{2}, 5, -1)},
		{"int32, packed", [][]byte{two, varint(2, 6), enclosed(5, []byte{5, 6})}, int32Tensor("", []int{2}, 5, 6)},
		{"int32, raw", [][]byte{two, varint(2, 6), enclosed(9, []byte{1, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff})}, int32Tensor("", []int{2}, math.MinInt32+1, -1)},
		{"bool, packed", [][]byte{two, varint(2, 9), enclosed(5, []byte{0, 1})}, Tensor{Name: "", Tensor: model.Tensor{Type: model.Bool, Shape: []int{2}, Bools: []bool{false, true}}}},
		{"bool, raw", [][]byte{two, varint(2, 9), enclosed(9, []byte{1, 0})}, Tensor{Name: "", Tensor: model.Tensor{Type: model.Bool, Shape: []int{2}, Bools: []bool{true, false}}}},
		{"strings", [][]byte{two, varint(2, 8), stringField(6, "x"), stringField(6, "")}, stringTensor("", []int{2}, "x", "")},
		{"dimensions, packed", [][]byte{enclosed(1, []byte{1, 2, 1}), varint(2, 1), fixed32(4, 0.5), fixed32(4, -1)}, float32Tensor("", []int{1, 2, 1}, 0.5, -1)},
		{"no values, raw", [][]byte{varint(1, 0), varint(2, 1), enclosed(9)}, float32Tensor("", []int{0})},
		{"its data is here", [][]byte{varint(2, 1), fixed32(4, 1), varint(14, 0)}, float32Tensor("", []int{}, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse(initializerFile(append(c.parts, stringField(8, c.name))...))
			require.NoError(t, err)
			c.want.Name = c.name
			require.Equal(t, []Tensor{c.want}, m.Graph.Initializers)
		})
	}
}

func TestParseFaults(t *testing.T) {
	file := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{varint(1, 8)}, parts...), nil) }
	graph := func(parts ...[]byte) []byte { return file(enclosed(7, parts...)) }
	tensor := func(parts ...[]byte) []byte {
		return initializerFile(append([][]byte{stringField(8, "c")}, parts...)...)
	}
	const (
		unreadable = "not a readable ONNX file: "
		inTensor   = unreadable + `graph: initializer: 0: tensor "c": `
	)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"an empty file", nil, "not an ONNX file: it has no ir_version"},
		{"a text", []byte("<html><body>404"), unreadable + "proto: mismatching end group marker"},
		{"a ZIP file", []byte("PK\x03\x04\x14\x00\x00\x00"), unreadable + "proto: invalid field number"},
		{"Python's pickle.dumps([])", []byte("\x80\x04]\x94."), "not an ONNX file, but a pickle of Python: export the model to ONNX"},
		{"no ir_version", enclosed(7), "not an ONNX file: it has no ir_version"},
		{"truncated in a tag", []byte{0x80}, unreadable + "unexpected EOF"},
		{"truncated in a varint", []byte{0x08, 0x80}, unreadable + "unexpected EOF"},
		{"truncated in a string", file([]byte{0x12, 5, 'a'}), unreadable + "unexpected EOF"},
		{"truncated in a node's attribute", graph(enclosed(1), enclosed(1, enclosed(5), []byte{0x2a, 2, 0x0a, 9})), unreadable + "graph: node: 1: attribute: 1: unexpected EOF"},
		{"field number 0", []byte{0x00, 0x00}, unreadable + "proto: invalid field number"},
		{"a varint without end", append([]byte{0x08}, bytes.Repeat([]byte{0xff}, 11)...), unreadable + "proto: variable length integer overflow"},
		{"an unknown wire type", []byte{0x0f}, unreadable + "proto: cannot parse reserved wire type"},
		{"a model function", file(enclosed(25)), "functions: model-local functions are not supported"},
		{"ir_version as text", stringField(1, "8"), unreadable + "ir_version: field 1 has wire type 2, which is no number of its kind"},
		{"producer as a number", file(varint(2, 1)), unreadable + "producer_name: field 2 has wire type 0, which is no string"},
		{"producer in Latin-1", file(stringField(2, "\xe9")), unreadable + "producer_name: field 2 is no valid UTF-8"},
		{"graph as a number", file(varint(7, 1)), unreadable + "graph: field 7 has wire type 0, which is no message"},
		{"operator set as a number", file(enclosed(8), varint(8, 1)), unreadable + "opset_import: 1: field 8 has wire type 0, which is no message"},
		{"operator set's version as text", file(enclosed(8, stringField(2, "x"))), unreadable + "opset_import: 0: field 2 has wire type 2, which is no number of its kind"},
		{"property as a number", file(enclosed(14, varint(1, 1))), unreadable + "metadata_props: 0: field 1 has wire type 0, which is no string"},
		{"a sparse tensor", graph(enclosed(15)), "graph: sparse_initializer: sparse tensors are not supported"},
		{"node's input as a number", graph(enclosed(1, varint(1, 1))), unreadable + "graph: node: 0: input: 0: field 1 has wire type 0, which is no string"},
		{"float attribute as a double", attributeFile(fixed64(2, 1)), unreadable + "graph: node: 0: attribute: 0: field 2 has wire type 1, which is no number of its kind"},
		{"floats as a number", attributeFile(varint(7, 1)), unreadable + "graph: node: 0: attribute: 0: field 7 has wire type 0, which is no list of numbers"},
		{"floats of five bytes", attributeFile(enclosed(7, make([]byte, 5))), unreadable + "graph: node: 0: attribute: 0: unexpected EOF"},
		{"ints as floats", attributeFile(fixed32(8, 1)), unreadable + "graph: node: 0: attribute: 0: field 8 has wire type 5, which is no list of numbers"},
		{"ints cut short", attributeFile(enclosed(8, []byte{1, 0x80})), unreadable + "graph: node: 0: attribute: 0: unexpected EOF"},
		{"input's type as text", graph(enclosed(11, enclosed(2, enclosed(1, stringField(1, "x"))))), unreadable + "graph: input: 0: field 1 has wire type 2, which is no number of its kind"},
		{"output's dimension as a float", graph(enclosed(12, enclosed(2, enclosed(1, enclosed(2, enclosed(1), enclosed(1, fixed32(1, 1))))))), unreadable + "graph: output: 0: 1: field 1 has wire type 5, which is no number of its kind"},

		{"an input of 16 bits", graph(enclosed(11, stringField(1, "X"), enclosed(2, enclosed(1, varint(1, 10))))), `graph input "X": the element type float16 is not supported`},
		{"no element type", tensor(fixed32(4, 1)), inTensor + "there is no element type 0"},
		{"an element type of 16 bits", tensor(varint(2, 10), enclosed(9, []byte{0, 0})), `initializer "c": the element type float16 is not supported`},
		{"an absurd element type", tensor(varint(2, -1)), inTensor + "there is no element type -1"},
		{"data in another file", tensor(varint(2, 1), varint(14, 1)), `graph: initializer: 0: tensor "c": its data is in another file, which is not supported`},
		{"data in another file, named", tensor(varint(2, 1), enclosed(13, stringField(1, "location"), stringField(2, "/etc/passwd"))), `graph: initializer: 0: tensor "c": its data is in another file, which is not supported`},
		{"too few values", tensor(varint(1, 3), varint(2, 1), fixed32(4, 1)), inTensor + "dimensions [3] ask for 3 values, and there are 1"},
		{"too many values", tensor(varint(2, 7), varint(7, 1), varint(7, 2)), inTensor + "dimensions [] ask for 1 values, and there are 2"},
		{"values of another type", tensor(varint(1, 1), varint(2, 1), fixed64(10, 1)), inTensor + "dimensions [1] ask for 1 values, and there are 0"},
		{"an absurd dimension", tensor(varint(1, 1<<40), varint(2, 1), fixed32(4, 1)), inTensor + "dimensions [1099511627776] are out of range"},
		{"a negative dimension", tensor(varint(1, -1), varint(2, 1), fixed32(4, 1)), inTensor + "dimensions [-1] are out of range"},
		{"dimensions that overflow", tensor(varint(1, 1<<31-1), varint(1, 1<<31-1), varint(1, 4), varint(2, 1)), inTensor + "dimensions [2147483647 2147483647 4] are out of range"},
		{"dimensions that overflow to the right number", tensor(varint(1, 1<<30), varint(1, 1<<30), varint(1, 16), varint(2, 1)), inTensor + "dimensions [1073741824 1073741824 16] are out of range"},
		{"raw bytes that make no number", tensor(varint(2, 7), enclosed(9, make([]byte, 12))), inTensor + "raw_data: unexpected EOF"},
		{"raw text", tensor(varint(2, 8), stringField(9, "x")), inTensor + "raw_data: it cannot hold strings"},
		{"raw data as a number", tensor(varint(2, 1), varint(9, 1)), inTensor + "field 9 has wire type 0, which is no string"},
		{"text in Latin-1", tensor(varint(2, 8), stringField(6, "\xe9")), inTensor + "0: field 6 is no valid UTF-8"},
		{"a tensor among attributes", attributeFile(enclosed(5, varint(1, 2), varint(2, 1))), unreadable + `graph: node: 0: attribute: 0: tensor "": dimensions [2] ask for 2 values, and there are 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.data, "m")
			require.Error(t, err)
			// protowire writes a no-break space in some builds.
			require.Equal(t, c.want, strings.ReplaceAll(err.Error(), "\u00a0", " "))
		})
	}
}

// TestTruncated loads every beginning of some small files.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"pipeline_zipmap_strings", "pipeline_cast_label_string", "div_f32_columns", "regressor_f64_lt"} {
		data, err := os.ReadFile("testdata/cases/" + name + ".onnx")
		require.NoError(t, err)
		for n := range len(data) {
			// A file that ends between two fields may still be a whole model.
			if m, err := Load(data[:n:n], "m"); err == nil {
				require.NotEmpty(t, m.Schema.Features)
			}
		}
		_, err = Load(data, "m")
		require.NoError(t, err)
	}
	whole := wide().Marshal()
	for n := range len(whole) {
		// What stands before the end of a field is all that the file has.
		if m, err := Parse(whole[:n:n]); err == nil {
			require.Equal(t, whole[:n], m.Marshal(), "the first %d bytes", n)
		}
	}
}
