package model

import (
	"fmt"
	"math"
)

// Type is the type of a tensor's elements.
type Type uint8

// The element types that a tensor can have, by their names in ONNX.
const (
	Invalid Type = iota
	Float32
	Float64
	Int32
	Int64
	Bool
	String
)

var typeNames = [...]string{"invalid", "float32", "float64", "int32", "int64", "bool", "string"}

// String returns the type's name, such as "float32".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Size is what an element of the type takes in memory, in bytes; of a string without its text.
func (t Type) Size() int64 { return [...]int64{0, 4, 8, 4, 8, 1, 16}[t] }

// IsFloat reports whether the type is a floating-point one.
func (t Type) IsFloat() bool { return t == Float32 || t == Float64 }

// Tensor is a row-major array. Exactly the slice that belongs to Type is in
// use; the others are spare storage that a reuse under another type leaves
// behind. A Tensor is not safe for concurrent writing.
type Tensor struct {
	Type Type
	// Shape holds the length of each dimension; the first is the rows.
	Shape []int

	Float32s []float32
	Float64s []float64
	Int32s   []int32
	Int64s   []int64
	Bools    []bool
	Strings  []string
}

// Resize gives the tensor a type and shape and makes room for its elements.
// Those that it had of this type stay, in their order; the others are
// unspecified. It allocates only when the storage at hand is too small.
func (t *Tensor) Resize(typ Type, shape ...int) {
	t.Type = typ
	t.Shape = append(t.Shape[:0], shape...)
	t.fit()
}

// fit gives the slice in use the length that the shape asks for.
func (t *Tensor) fit() {
	n := t.Len()
	switch t.Type {
	case Float32:
		t.Float32s = extend(t.Float32s, n)
	case Float64:
		t.Float64s = extend(t.Float64s, n)
	case Int32:
		t.Int32s = extend(t.Int32s, n)
	case Int64:
		t.Int64s = extend(t.Int64s, n)
	case Bool:
		t.Bools = extend(t.Bools, n)
	case String:
		t.Strings = extend(t.Strings, n)
	}
}

// extend gives s the length n. It keeps the elements, and room to grow on.
func extend[E any](s []E, n int) []E {
	if n <= cap(s) {
		return s[:n]
	}
	return append(s[:cap(s)], make([]E, n-cap(s))...)
}

// Capacity is the memory of the tensor's storage in bytes, without the text of
// strings.
func (t *Tensor) Capacity() int64 {
	return int64(4*cap(t.Float32s) + 8*cap(t.Float64s) + 4*cap(t.Int32s) + 8*cap(t.Int64s) + cap(t.Bools) + 16*cap(t.Strings))
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Rows returns the length of the first dimension, 0 for a scalar.
func (t *Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 0
	}
	return t.Shape[0]
}

// Width returns the number of elements in a row: 1 for a tensor of one
// dimension.
func (t *Tensor) Width() int {
	n := 1
	for _, d := range t.Shape[min(1, len(t.Shape)):] {
		n *= d
	}
	return n
}

// highest returns the column of the highest number in a row of a tensor of a
// floating-point type, the first of equals, and that number; -1 and NaN when
// there is no tensor.
func (t *Tensor) highest(row int) (column int, number float64) {
	switch {
	case t == nil:
		return -1, math.NaN()
	case t.Type == Float64:
		return highest(t.Float64s[row*t.Width():][:t.Width()])
	default:
		return highest(t.Float32s[row*t.Width():][:t.Width()])
	}
}

func highest[F float32 | float64](numbers []F) (int, float64) {
	best := 0
	for i, v := range numbers {
		if v > numbers[best] {
			best = i
		}
	}
	return best, float64(numbers[best])
}

// clamp moves what is outside 0 to 1 in a tensor of a floating-point type to
// the nearer end; NaN stays.
func (t *Tensor) clamp() {
	if t.Type == Float64 {
		clamp(t.Float64s)
	} else {
		clamp(t.Float32s)
	}
}

func clamp[F float32 | float64](numbers []F) {
	for i, v := range numbers {
		numbers[i] = min(max(v, 0), 1)
	}
}

// CopyFrom makes t an independent copy of src, reusing t's storage.
func (t *Tensor) CopyFrom(src *Tensor) {
	t.Resize(src.Type, src.Shape...)
	switch src.Type {
	case Float32:
		copy(t.Float32s, src.Float32s)
	case Float64:
		copy(t.Float64s, src.Float64s)
	case Int32:
		copy(t.Int32s, src.Int32s)
	case Int64:
		copy(t.Int64s, src.Int64s)
	case Bool:
		copy(t.Bools, src.Bools)
	case String:
		copy(t.Strings, src.Strings)
	}
}
