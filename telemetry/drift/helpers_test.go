package drift

import (
	"context"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tepalhq/tepal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// programFunc is a program made of a function.
type programFunc func(inputs, outputs []model.Tensor)

func (f programFunc) Run(_ context.Context, inputs, outputs []model.Tensor) error {
	f(inputs, outputs)
	return nil
}

// halves is a reference of two bins, [0, 1) and [1, 2], half of the values in each.
func halves() *model.Histogram {
	return &model.Histogram{Edges: []float64{0, 1, 2}, Counts: []int64{50, 50}}
}

// regression is a model of float64 features that answers the first of them.
func regression(features ...model.Feature) *model.Model {
	for i := range features {
		features[i].Type, features[i].Column = model.Float64, i
		if features[i].Name == "" {
			features[i].Name = "f" + strconv.Itoa(i)
		}
	}
	return &model.Model{
		Name: "made", Version: "7",
		Schema: model.Schema{
			Task:     model.Regression,
			Features: features,
			Inputs:   []model.Input{{Name: "x", Type: model.Float64, Columns: len(features)}},
			Outputs:  []model.Output{{Name: "y", Role: model.RoleValue, Type: model.Float64, Columns: 1}},
		},
		Program: programFunc(func(in, out []model.Tensor) {
			out[0].Resize(model.Float64, in[0].Rows(), 1)
			for i := range in[0].Rows() {
				out[0].Float64s[i] = in[0].Float64s[i*in[0].Width()]
			}
		}),
	}
}

// classifier is a model of one float64 feature that answers the class of that number.
func classifier(classes model.Classes) *model.Model {
	m := regression(model.Feature{})
	m.Schema.Task, m.Schema.Classes = model.Classification, classes
	kind := model.String
	if len(classes.Ints) > 0 {
		kind = model.Int64
	}
	m.Schema.Outputs = []model.Output{{Name: "y", Role: model.RoleLabel, Type: kind, Columns: 1}}
	m.Program = programFunc(func(in, out []model.Tensor) {
		out[0].Resize(kind, in[0].Rows())
		for i, v := range in[0].Float64s[:in[0].Rows()] {
			if kind == model.Int64 {
				out[0].Int64s[i] = int64(v)
			} else {
				out[0].Strings[i] = classes.Text(int(v))
			}
		}
	})
	return m
}

// exchange is a batch with its answers.
type exchange struct {
	batch   model.Batch
	answers model.Predictions
}

// ask predicts rows of float64s.
func ask(t testing.TB, m *model.Model, rows ...[]float64) *exchange {
	t.Helper()
	x := &exchange{}
	x.batch.Reset(&m.Schema)
	for _, row := range rows {
		at := x.batch.Append(&m.Schema) * len(row)
		copy(x.batch.Inputs[0].Float64s[at:], row)
	}
	require.NoError(t, m.Predict(t.Context(), &x.batch, &x.answers))
	return x
}

// repeat is n rows of one value.
func repeat(n int, v float64) [][]float64 {
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = []float64{v}
	}
	return rows
}

// watch returns a monitor that must not drop anything.
func watch(t testing.TB, m *model.Model) *Monitor {
	return New(m, time.Hour, func(rows int) { t.Errorf("%d rows dropped", rows) })
}

func (d *Monitor) observe(x *exchange) { d.Observe(&x.batch, &x.answers) }

func nan() float64 { return math.NaN() }
