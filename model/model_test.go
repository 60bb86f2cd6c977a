package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// programFunc is a program that is one function.
type programFunc func(ctx context.Context, inputs, outputs []Tensor) error

func (f programFunc) Run(ctx context.Context, inputs, outputs []Tensor) error {
	return f(ctx, inputs, outputs)
}

// classifier is a model of two classes whose program is f.
func classifier(f programFunc) *Model {
	return &Model{
		Name: "coin", Version: "3",
		Schema: Schema{
			Task:    Classification,
			Classes: Classes{Strings: []string{"heads", "tails"}},
			Inputs:  []Input{{Name: "x", Type: Float32, Columns: 1}},
			Outputs: []Output{
				{Name: "label", Role: RoleLabel, Type: String, Columns: 1},
				{Name: "p", Role: RoleProbabilities, Type: Float32, Columns: 2},
			},
		},
		Program: f,
	}
}

// answer gives every row the second class.
func answer(_ context.Context, inputs, outputs []Tensor) error {
	rows := inputs[0].Rows()
	outputs[0].Resize(String, rows)
	outputs[1].Resize(Float32, rows, 2)
	for i := range rows {
		outputs[0].Strings[i] = "tails"
		outputs[1].Float32s[2*i], outputs[1].Float32s[2*i+1] = 0.25, 0.75
	}
	return nil
}

func batchOf(m *Model, rows int) *Batch {
	var b Batch
	b.Reset(&m.Schema)
	for range rows {
		b.Append(&m.Schema)
	}
	return &b
}

func TestPredict(t *testing.T) {
	m := classifier(answer)
	var p Predictions
	require.NoError(t, m.Predict(t.Context(), batchOf(m, 2), &p))
	require.Equal(t, 2, p.Rows)
	require.Equal(t, []string{"tails", "tails"}, p.Label().Strings)
	require.Equal(t, []float32{0.25, 0.75, 0.25, 0.75}, p.Probabilities().Float32s)
	require.Nil(t, p.Value())
	require.Equal(t, 1, p.Class(1))
	// Fewer rows the next time leave none of the first.
	require.NoError(t, m.Predict(t.Context(), batchOf(m, 1), &p))
	require.Equal(t, 1, p.Rows)
	require.Equal(t, []string{"tails"}, p.Label().Strings)
}

func TestPredictFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		run  programFunc
		want string
	}{
		{"the program fails", func(context.Context, []Tensor, []Tensor) error { return errors.New("no") }, "model coin version 3: no"},
		{"a row too few", func(_ context.Context, _, out []Tensor) error {
			out[0].Resize(String, 1)
			out[1].Resize(Float32, 2, 2)
			return nil
		}, `output "label" has 1 rows for 2 instances`},
		{"a scalar", func(_ context.Context, _, out []Tensor) error {
			out[0].Resize(String)
			return nil
		}, `output "label" has 0 rows for 2 instances`},
		{"two labels in a row", func(_ context.Context, _, out []Tensor) error {
			out[0].Resize(String, 2, 2)
			out[1].Resize(Float32, 2, 2)
			return nil
		}, `output "label" has 2 columns, and its role is label`},
		{"a probability too many", func(_ context.Context, _, out []Tensor) error {
			out[0].Resize(String, 2)
			out[1].Resize(Float32, 2, 3)
			return nil
		}, `output "p" has 3 columns, and its role is probabilities`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := classifier(c.run)
			var p Predictions
			err := m.Predict(t.Context(), batchOf(m, 2), &p)
			require.EqualError(t, err, c.want)
			require.Equal(t, KindInternal, KindOf(err))
			require.Zero(t, p.Rows)
		})
	}
}

func TestPredictEnds(t *testing.T) {
	var p Predictions
	ctx, cancel := context.WithCancel(t.Context())
	m := classifier(func(context.Context, []Tensor, []Tensor) error {
		cancel()
		return errors.New("interrupted")
	})
	err := m.Predict(ctx, batchOf(m, 1), &p)
	require.Equal(t, KindCanceled, KindOf(err), "the caller's leaving explains the program's error")
	m = classifier(func(context.Context, []Tensor, []Tensor) error {
		panic("a program is not started for a caller who has gone")
	})
	require.Equal(t, KindCanceled, KindOf(m.Predict(ctx, batchOf(m, 1), &p)))
}

func TestContextError(t *testing.T) {
	require.NoError(t, ContextError(t.Context()))

	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	require.Equal(t, &Error{
		Kind: KindDeadline, Type: "deadline-exceeded", Detail: "the request's time was over before it was answered",
	}, ContextError(late))

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, &Error{
		Kind: KindCanceled, Type: "client-closed-request", Detail: "the caller went away before the answer",
	}, ContextError(gone))
}

func TestError(t *testing.T) {
	e := &Error{Kind: KindInvalid, Detail: "no such feature"}
	require.EqualError(t, e, "no such feature")
	e.Pointer = "/0/x"
	require.EqualError(t, e, "/0/x: no such feature")

	require.Equal(t, KindInvalid, KindOf(fmt.Errorf("reading: %w", e)))
	require.Equal(t, KindInternal, KindOf(errors.New("disk")))
	require.Equal(t, KindInternal, KindOf(nil))
}

func TestPredictionsClass(t *testing.T) {
	words := Classes{Strings: []string{"a", "b"}}
	numbers := Classes{Ints: []int64{7, -3}}
	for _, c := range []struct {
		name    string
		classes Classes
		label   Tensor
		want    int
	}{
		{"a word", words, Tensor{Type: String, Shape: []int{1}, Strings: []string{"b"}}, 1},
		{"a word that is no class", words, Tensor{Type: String, Shape: []int{1}, Strings: []string{"c"}}, -1},
		{"a number", numbers, Tensor{Type: Int64, Shape: []int{1}, Int64s: []int64{-3}}, 1},
		{"a number that is no class", numbers, Tensor{Type: Int64, Shape: []int{1}, Int64s: []int64{1}}, -1},
		{"a number as text", numbers, Tensor{Type: String, Shape: []int{1}, Strings: []string{"-3"}}, 1},
		{"a text that is no number", numbers, Tensor{Type: String, Shape: []int{1}, Strings: []string{"x"}}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Schema{Classes: c.classes, Outputs: []Output{{Name: "label", Role: RoleLabel}}}
			p := Predictions{Rows: 1, Outputs: []Tensor{c.label}, schema: &s}
			assert.Equal(t, c.want, p.Class(0))
		})
	}
	p := Predictions{schema: &Schema{}}
	require.Equal(t, -1, p.Class(0), "a regression has no class")
	for _, scores := range []Tensor{
		{Type: Float32, Shape: []int{2, 3}, Float32s: []float32{0.2, 0.4, 0.4, 0.6, 0.3, 0.1}},
		{Type: Float64, Shape: []int{2, 3}, Float64s: []float64{0.2, 0.4, 0.4, 0.6, 0.3, 0.1}},
	} {
		for _, role := range []Role{RoleProbabilities, RoleScores} {
			p = Predictions{Rows: 2, Outputs: []Tensor{scores}, schema: &Schema{Outputs: []Output{{Name: "p", Role: role}}}}
			require.Equal(t, 1, p.Class(0), "the first of the highest")
			require.Equal(t, 0, p.Class(1))
			confidence, ok := p.Confidence(1)
			require.Equal(t, role == RoleProbabilities, ok, "scores are no confidence")
			if ok {
				require.InDelta(t, 0.6, confidence, 1e-6)
			}
		}
	}
	nan := Tensor{Type: Float32, Shape: []int{1, 2}, Float32s: []float32{float32(math.NaN()), float32(math.NaN())}}
	p = Predictions{Rows: 1, Outputs: []Tensor{nan}, schema: &Schema{Outputs: []Output{{Name: "p", Role: RoleProbabilities}}}}
	_, ok := p.Confidence(0)
	require.False(t, ok, "what is no number is no confidence")
}

// TestClamp: rounding is taken off probabilities, and off nothing else.
func TestClamp(t *testing.T) {
	answered := []float64{-1e-7, 0.25, 1.0000001}
	for role, want := range map[Role][]float64{RoleProbabilities: {0, 0.25, 1}, RoleScores: answered, RoleValue: answered} {
		m := &Model{Schema: Schema{
			Classes: Classes{Ints: []int64{0, 1, 2}}, Outputs: []Output{{Name: "single", Role: role}, {Name: "double", Role: role}},
		}}
		m.Program = programFunc(func(_ context.Context, _, out []Tensor) error {
			out[0].Resize(Float32, 1, 3)
			out[1].Resize(Float64, 1, 3)
			for i, v := range answered {
				out[0].Float32s[i], out[1].Float64s[i] = float32(v), v
			}
			return nil
		})
		var p Predictions
		require.NoError(t, m.Predict(t.Context(), &Batch{Rows: 1}, &p))
		for i, v := range want {
			require.Equal(t, float32(v), p.Outputs[0].Float32s[i], role)
			require.Equal(t, v, p.Outputs[1].Float64s[i], role)
		}
	}
}
