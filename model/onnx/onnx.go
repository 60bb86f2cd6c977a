// Package onnx reads and writes ONNX files and compiles their graphs into
// programs. It covers the operators of tabular models, in files by family, and
// needs nothing but Go: no C library, no generated code.
//
// The types here are the part of ONNX's protocol buffers schema (onnx.proto,
// IR version 3 and later) that such models use. Parse and Marshal work on
// them; Load turns a file into a model that can predict.
package onnx

import (
	"fmt"
	"slices"

	"github.com/tepalhq/tepal/model"
)

// Model is ONNX's ModelProto: a graph and where it comes from.
type Model struct {
	IRVersion       int64
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
	Graph           Graph
	OperatorSets    []OperatorSet
	// Metadata is metadata_props, in the file's order.
	Metadata []Property
}

// unsupported is the error for what ONNX allows and this package does not.
func unsupported(format string, args ...any) error {
	return &model.Refusal{Cause: model.CauseUnsupported, Err: fmt.Errorf(format, args...)}
}

// OperatorSet is OperatorSetIdProto: the version of a domain's operators that
// the graph is written against.
type OperatorSet struct {
	// Domain is empty for ai.onnx.
	Domain  string
	Version int64
}

// Property is StringStringEntryProto.
type Property struct{ Key, Value string }

// Graph is GraphProto.
type Graph struct {
	Name         string
	Nodes        []Node
	Initializers []Tensor
	Inputs       []ValueInfo
	Outputs      []ValueInfo
}

// Node is NodeProto: one operator with its inputs and outputs by name.
type Node struct {
	Name       string
	OpType     string
	Domain     string
	Inputs     []string
	Outputs    []string
	Attributes []Attribute
}

// AttributeType is the AttributeProto.AttributeType of an attribute's value.
type AttributeType int64

// The attribute types that this package reads.
const (
	AttributeFloat   AttributeType = 1
	AttributeInt     AttributeType = 2
	AttributeString  AttributeType = 3
	AttributeTensor  AttributeType = 4
	AttributeFloats  AttributeType = 6
	AttributeInts    AttributeType = 7
	AttributeStrings AttributeType = 8
)

// Attribute is AttributeProto: a named constant of a node. Type says which of
// the values it holds.
type Attribute struct {
	Name    string
	Type    AttributeType
	Float   float32
	Int     int64
	String  string
	Tensor  *Tensor
	Floats  []float32
	Ints    []int64
	Strings []string
}

// Tensor is TensorProto: a named constant. One of an element type that is not
// supported has the type model.Invalid and no values.
type Tensor struct {
	Name string
	// Element is the code of the element type, TensorProto.DataType, where the
	// type is model.Invalid.
	Element int64
	model.Tensor
}

// ValueInfo is ValueInfoProto: the name and type of a graph input or output.
type ValueInfo struct {
	Name string
	Type ValueType
}

// ValueType is TypeProto. Exactly one of Tensor and MapKey is set for the
// types that this package knows; both are unset for others.
type ValueType struct {
	// Tensor is the element type of a tensor; model.Invalid for others.
	Tensor model.Type
	// Element is the code of the element type, TensorProto.DataType, of a
	// tensor of the type model.Invalid.
	Element int64
	// Dims are the tensor's dimensions; nil when the rank is not known.
	Dims []Dim
	// MapKey and MapValue are set for a sequence of maps, the type of ZipMap's
	// output.
	MapKey, MapValue model.Type
}

// Dim is one dimension of a tensor's shape: a length, a name, or neither.
type Dim struct {
	// Value is the length when it is fixed, and 0 otherwise.
	Value int64
	// Param names a length that is only known at run time.
	Param string
}

// dataTypes are the element types by their code, TensorProto.DataType.
var dataTypes = [...]model.Type{
	1: model.Float32, 6: model.Int32, 7: model.Int64, 8: model.String, 9: model.Bool, 11: model.Float64,
}

func dataType(code int64) model.Type {
	if code < 0 || code >= int64(len(dataTypes)) {
		return model.Invalid
	}
	return dataTypes[code]
}

// elementNames are ONNX's element types by their code. It is never written to.
var elementNames = [...]string{
	"undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double",
	"uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz",
	"uint4", "int4", "float4e2m1",
}

// elementError is the error for an element type that dataType does not know.
func elementError(code int64) error {
	if code < 1 || code >= int64(len(elementNames)) {
		return fmt.Errorf("there is no element type %d", code)
	}
	return unsupported("the element type %s is not supported", elementNames[code])
}

func dataTypeCode(t model.Type) int64 { return int64(slices.Index(dataTypes[:], t)) }
