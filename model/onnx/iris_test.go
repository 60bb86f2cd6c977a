package onnx

import (
	"compress/gzip"
	"encoding/csv"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
)

// irisRow is one row of testdata/iris.csv.gz: features, and what ONNX Runtime
// answers for artifacts/iris.onnx.
type irisRow struct {
	features      [4]float64
	label         string
	probabilities [3]float64
}

func irisRows(tb testing.TB) []irisRow {
	tb.Helper()
	f, err := os.Open("testdata/iris.csv.gz")
	require.NoError(tb, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(tb, err)
	records, err := csv.NewReader(z).ReadAll()
	require.NoError(tb, err)
	rows := make([]irisRow, len(records)-1)
	for i, record := range records[1:] {
		for j := range rows[i].features {
			rows[i].features[j], err = strconv.ParseFloat(record[j], 64)
			require.NoError(tb, err)
		}
		rows[i].label = record[4]
		for j := range rows[i].probabilities {
			rows[i].probabilities[j], err = strconv.ParseFloat(record[5+j], 64)
			require.NoError(tb, err)
		}
	}
	return rows
}

// TestIrisOracle holds the default model against ONNX Runtime on the 150
// training rows and 10,000 random ones.
func TestIrisOracle(t *testing.T) {
	m, err := Load(artifacts.Iris, "iris")
	require.NoError(t, err)
	rows := irisRows(t)
	require.Len(t, rows, 10_150)
	var batch model.Batch
	var got model.Predictions
	batch.Reset(&m.Schema)
	for _, row := range rows {
		at := batch.Append(&m.Schema)
		copy(batch.Inputs[0].Float64s[at*4:], row.features[:])
	}
	require.NoError(t, m.Predict(t.Context(), &batch, &got))
	for i, row := range rows {
		require.Equal(t, row.label, got.Label().Strings[i], "row %d", i)
		for j, p := range row.probabilities {
			require.InDelta(t, p, got.Probabilities().Float32s[i*3+j], 1e-6, "row %d, class %d", i, j)
		}
	}
}

// BenchmarkIris is one instance through the default forest. Rows vary: a row
// that repeats would teach the branch predictor its way.
func BenchmarkIris(b *testing.B) {
	m, err := Load(artifacts.Iris, "iris")
	require.NoError(b, err)
	rows := irisRows(b)
	batches := make([]model.Batch, len(rows))
	for i, row := range rows {
		batches[i].Reset(&m.Schema)
		batches[i].Append(&m.Schema)
		copy(batches[i].Inputs[0].Float64s, row.features[:])
	}
	var got model.Predictions
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := m.Predict(b.Context(), &batches[i], &got); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(batches) {
			i = 0
		}
	}
}

// BenchmarkIrisBatch is the same forest over all rows at once; the figure is
// for one row.
func BenchmarkIrisBatch(b *testing.B) {
	m, err := Load(artifacts.Iris, "iris")
	require.NoError(b, err)
	var batch model.Batch
	var got model.Predictions
	batch.Reset(&m.Schema)
	rows := irisRows(b)
	for _, row := range rows {
		at := batch.Append(&m.Schema)
		copy(batch.Inputs[0].Float64s[at*4:], row.features[:])
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Predict(b.Context(), &batch, &got); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}

// BenchmarkAdd adds to 10,000 rows of 30 columns an operand of each shape; the
// figure is for one value.
func BenchmarkAdd(b *testing.B) {
	const rows, columns = 10_000, 30
	x := &model.Tensor{}
	x.Resize(model.Float32, rows, columns)
	for _, c := range []struct {
		name  string
		shape []int
	}{
		{"same", []int{rows, columns}},
		{"scalar", []int{1}},
		{"row", []int{columns}},
		{"column", []int{rows, 1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			y, sum := &model.Tensor{}, &model.Tensor{}
			y.Resize(model.Float32, c.shape...)
			k, err := buildAdd(&node{
				inputs:  []*value{{typ: model.Float32, axes: axes{rowsAxis, columns}}, {typ: model.Float32, axes: fixedAxes(c.shape)[max(0, len(c.shape)-1):]}},
				outputs: []*value{{}},
			})
			require.NoError(b, err)
			in, out := []*model.Tensor{x, y}, []*model.Tensor{sum}
			b.ReportAllocs()
			for b.Loop() {
				if err := k.run(&budget{rows * columns}, in, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows/columns, "ns/value")
		})
	}
}
