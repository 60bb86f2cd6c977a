package model

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

var allTypes = []Type{Float32, Float64, Int32, Int64, Bool, String}

// cells is the length of the slice that belongs to the tensor's type.
func cells(t *Tensor) int {
	return map[Type]int{
		Float32: len(t.Float32s), Float64: len(t.Float64s), Int32: len(t.Int32s),
		Int64: len(t.Int64s), Bool: len(t.Bools), String: len(t.Strings),
	}[t.Type]
}

func TestType(t *testing.T) {
	for _, c := range []struct {
		typ     Type
		name    string
		json    string
		isFloat bool
	}{
		{Float32, "float32", "number", true},
		{Float64, "float64", "number", true},
		{Int32, "int32", "integer", false},
		{Int64, "int64", "integer", false},
		{Bool, "bool", "boolean", false},
		{String, "string", "string", false},
	} {
		require.Equal(t, c.name, c.typ.String())
		require.Equal(t, c.json, c.typ.JSON())
		require.Equal(t, c.isFloat, c.typ.IsFloat())
	}
	require.Equal(t, "invalid", Invalid.String())
	require.Equal(t, "type(9)", Type(9).String())
}

func TestTensorShape(t *testing.T) {
	for _, c := range []struct {
		shape             []int
		len, rows, inARow int
	}{
		{nil, 1, 0, 1},
		{[]int{5}, 5, 5, 1},
		{[]int{5, 3}, 15, 5, 3},
		{[]int{5, 3, 2}, 30, 5, 6},
		{[]int{0, 3}, 0, 0, 3},
		{[]int{5, 0}, 0, 5, 0},
	} {
		x := Tensor{Shape: c.shape}
		require.Equal(t, c.len, x.Len(), "%v", c.shape)
		require.Equal(t, c.rows, x.Rows(), "%v", c.shape)
		require.Equal(t, c.inARow, x.Width(), "%v", c.shape)
	}
}

func TestTensorResize(t *testing.T) {
	for _, typ := range allTypes {
		var x Tensor
		x.Resize(typ, 4, 3)
		require.Equal(t, typ, x.Type)
		require.Equal(t, []int{4, 3}, x.Shape)
		require.Equal(t, 12, cells(&x), "%v", typ)
		x.Resize(typ, 2)
		require.Equal(t, []int{2}, x.Shape)
		require.Equal(t, 2, cells(&x), "%v", typ)
		require.Zero(t, testing.AllocsPerRun(100, func() { x.Resize(typ, 2, 6) }), "%v within its storage", typ)
		require.Equal(t, 12, cells(&x), "%v", typ)
		x.Resize(typ)
		require.Equal(t, 1, cells(&x), "a scalar of %v", typ)
	}
	var x Tensor
	x.Resize(Float32, 2)
	x.Float32s[0] = 5
	x.Resize(Int64, 1)
	x.Resize(Float32, 2)
	require.Equal(t, []float32{5}, x.Float32s[:1], "another type leaves the storage where it is")
}

func TestTensorCopyFrom(t *testing.T) {
	sources := []Tensor{
		{Type: Float32, Shape: []int{2, 1}, Float32s: []float32{1.5, -2}},
		{Type: Float64, Shape: []int{1, 2}, Float64s: []float64{0.1, 3}},
		{Type: Int32, Shape: []int{2}, Int32s: []int32{1, -1}},
		{Type: Int64, Shape: []int{2}, Int64s: []int64{1 << 40, 0}},
		{Type: Bool, Shape: []int{2}, Bools: []bool{true, false}},
		{Type: String, Shape: []int{2}, Strings: []string{"a", ""}},
	}
	for _, src := range sources {
		var got Tensor
		got.CopyFrom(&src)
		require.Equal(t, src, got)
		got.Shape[0] = 99
		require.NotEqual(t, 99, src.Shape[0], "the shape is a copy")
	}
	src := Tensor{Type: Float32, Shape: []int{1}, Float32s: []float32{1}}
	var got Tensor
	got.CopyFrom(&src)
	src.Float32s[0] = 2
	require.Equal(t, []float32{1}, got.Float32s, "the elements are a copy")
}

func TestBatch(t *testing.T) {
	s := &Schema{Inputs: []Input{
		{Name: "f32", Type: Float32, Columns: 2},
		{Name: "f64", Type: Float64, Columns: 1, Vector: true},
		{Name: "i32", Type: Int32, Columns: 3},
		{Name: "i64", Type: Int64, Columns: 1},
		{Name: "bool", Type: Bool, Columns: 1},
		{Name: "text", Type: String, Columns: 2},
	}}
	var b Batch
	b.Reset(s)
	require.Zero(t, b.Rows)
	for i := range 100 {
		require.Equal(t, i, b.Append(s))
		// Each row's first cell of each input, to see that growth keeps it.
		b.Inputs[0].Float32s[2*i] = float32(i)
		b.Inputs[1].Float64s[i] = float64(i)
		b.Inputs[2].Int32s[3*i] = int32(i)
		b.Inputs[3].Int64s[i] = int64(i)
		b.Inputs[4].Bools[i] = i%2 == 0
		b.Inputs[5].Strings[2*i+1] = "x"
	}
	b.Trim()
	for i, in := range b.Inputs {
		require.Equal(t, s.Inputs[i].Type, in.Type)
		want := []int{100, s.Inputs[i].Columns}
		if s.Inputs[i].Vector {
			want = want[:1]
		}
		require.Equal(t, want, in.Shape)
		require.Equal(t, 100*s.Inputs[i].Columns, cells(&in))
	}
	require.Equal(t, []float32{41}, b.Inputs[0].Float32s[82:83])
	require.Equal(t, []float64{41}, b.Inputs[1].Float64s[41:42])
	require.Equal(t, int32(41), b.Inputs[2].Int32s[123])
	require.Equal(t, int64(41), b.Inputs[3].Int64s[41])
	require.True(t, b.Inputs[4].Bools[42])
	require.Equal(t, "x", b.Inputs[5].Strings[83])
	require.Equal(t, 100, b.Append(s), "after Trim")
	b.Inputs[0].Float32s[201] = 7
	require.Equal(t, []float32{41}, b.Inputs[0].Float32s[82:83])

	require.Zero(t, testing.AllocsPerRun(10, func() {
		b.Reset(s)
		for range 100 {
			b.Append(s)
		}
	}), "storage is kept over Reset")

	// Growth doubles: appending many rows copies each a bounded number of times.
	b = Batch{}
	b.Reset(s)
	last, grown := 0, 0
	for range 10_000 {
		b.Append(s)
		if n := cap(b.Inputs[3].Int64s); n != last {
			last = n
			grown++
		}
	}
	require.Less(t, grown, 40)

	other := &Schema{Inputs: []Input{{Name: "x", Type: Int64, Columns: 1}}}
	b.Reset(other)
	require.Len(t, b.Inputs, 1, "another schema's inputs")
	b.Append(other)
	require.Equal(t, []int{1, 1}, b.Inputs[0].Shape)
}

// BenchmarkBatchAppend fills a batch of 1,000 rows; the figure is for one row.
func BenchmarkBatchAppend(b *testing.B) {
	const rows = 1000
	for _, inputs := range []int{1, 200} {
		b.Run(strconv.Itoa(inputs), func(b *testing.B) {
			s := &Schema{Inputs: slices.Repeat([]Input{{Type: Float32, Columns: 1}}, inputs)}
			var batch Batch
			for b.Loop() {
				batch.Reset(s)
				for range rows {
					batch.Append(s)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
