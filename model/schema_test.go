package model

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClasses(t *testing.T) {
	words := Classes{Strings: []string{"a", "b", "a", "b"}}
	numbers := Classes{Ints: []int64{10, -3, 7}}
	require.Equal(t, 4, words.Len())
	require.Equal(t, 3, numbers.Len())
	require.Zero(t, Classes{}.Len())
	require.Equal(t, "b", words.Text(1))
	require.Equal(t, []string{"10", "-3", "7"}, numbers.Texts())

	label, twice := words.Repeated()
	require.True(t, twice)
	require.Equal(t, "a", label)
	_, twice = numbers.Repeated()
	require.False(t, twice)

	require.True(t, numbers.Equal(Classes{Ints: []int64{10, -3, 7}}))
	require.False(t, numbers.Equal(Classes{Ints: []int64{-3, 10, 7}}), "order counts")
	require.False(t, numbers.Equal(Classes{Strings: []string{"10", "-3", "7"}}), "type counts")
	require.True(t, Classes{}.Equal(Classes{Ints: []int64{}}))
}

func TestClassesJSON(t *testing.T) {
	for _, c := range []struct {
		text string
		want Classes
	}{
		{`["setosa","<&>"]`, Classes{Strings: []string{"setosa", "<&>"}}},
		{`[1,-2,9007199254740993]`, Classes{Ints: []int64{1, -2, 9007199254740993}}},
		{`["1","2"]`, Classes{Strings: []string{"1", "2"}}},
		{`[]`, Classes{}},
	} {
		var got Classes
		require.NoError(t, json.Unmarshal([]byte(c.text), &got), c.text)
		require.True(t, c.want.Equal(got), c.text)
		text, err := json.Marshal(c.want)
		require.NoError(t, err)
		require.JSONEq(t, c.text, string(text))
	}
	for _, text := range []string{`[1,"a"]`, `[1.5]`, `{"a":1}`, `"a"`, `[true]`, `[9223372036854775808]`, `[null]`, `[1,null]`, `["a",null]`} {
		var got Classes
		require.EqualError(t, json.Unmarshal([]byte(text), &got), "classes must be an array of strings or an array of integers", text)
		require.Zero(t, got.Len(), text)
	}
}

func TestFeatureOutside(t *testing.T) {
	low, high := 1.0, 2.0
	both := Feature{Minimum: &low, Maximum: &high}
	require.False(t, both.Outside(1))
	require.False(t, both.Outside(2))
	require.True(t, both.Outside(0.9999))
	require.True(t, both.Outside(2.0001))
	require.False(t, (&Feature{Minimum: &low}).Outside(99))
	require.True(t, (&Feature{Minimum: &low}).Outside(0))
	require.False(t, (&Feature{}).Outside(99))
}

func TestFeatureRangesAndHistograms(t *testing.T) {
	low, high := 1.0, 2.0
	for _, c := range []struct {
		name    string
		feature Feature
		want    string
	}{
		{"good", Feature{Minimum: &low, Maximum: &high, Histogram: &Histogram{Edges: []float64{1, 1.5, 2}, Counts: []int64{0, 3}}}, ""},
		{"one value", Feature{Minimum: &low, Maximum: &low}, ""},
		{"range", Feature{Minimum: &high, Maximum: &low}, `feature "a": its minimum 2 is above its maximum 1`},
		{"no bins", Feature{Histogram: &Histogram{Edges: []float64{1}}}, `feature "a": its histogram has 1 edges for 0 counts`},
		{"edges", Feature{Histogram: &Histogram{Edges: []float64{1, 2}, Counts: []int64{1, 2}}}, `feature "a": its histogram has 2 edges for 2 counts`},
		{"order", Feature{Histogram: &Histogram{Edges: []float64{1, 2, 2}, Counts: []int64{1, 2}}}, `feature "a": its histogram's edges 2 and 2 do not increase`},
		{"no number", Feature{Histogram: &Histogram{Edges: []float64{1, math.NaN()}, Counts: []int64{1}}}, `feature "a": its histogram's edges 1 and NaN do not increase`},
		{"an example", Feature{Type: Float32, Example: 1.5}, ""},
		{"an integer", Feature{Type: Int64, Example: 1.0}, ""},
		{"a text", Feature{Type: String, Example: "x"}, ""},
		{"a flag", Feature{Type: Bool, Example: true}, ""},
		{"a text for a number", Feature{Type: Float64, Example: "1"}, `feature "a": its example 1 is no number`},
		{"a fraction for an integer", Feature{Type: Int32, Example: 1.5}, `feature "a": its example 1.5 is no integer`},
		{"a number for a flag", Feature{Type: Bool, Example: 1.0}, `feature "a": its example 1 is no boolean`},
		{"a list", Feature{Type: String, Example: []any{}}, `feature "a": its example [] is no string`},
		{"count", Feature{Histogram: &Histogram{Edges: []float64{1, 2}, Counts: []int64{-1}}}, `feature "a": its histogram has the count -1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.feature.Name = "a"
			s := Schema{Features: []Feature{c.feature}, Inputs: []Input{{Name: "a", Columns: 1}}}
			err := s.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

func TestTrainingValidate(t *testing.T) {
	for _, c := range []struct {
		name     string
		training Training
		want     string
	}{
		{"empty", Training{}, ""},
		{"good", Training{Labels: map[string]int64{"a": 0}, Values: &Histogram{Edges: []float64{1, 1.5, 2}, Counts: []int64{0, 3}}}, ""},
		{"a negative count", Training{Labels: map[string]int64{"a": -1}}, `label "a" has the count -1`},
		{"edges", Training{Values: &Histogram{Edges: []float64{1}, Counts: []int64{1}}}, "values: its histogram has 1 edges for 1 counts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.training.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

func TestSchemaValidate(t *testing.T) {
	inputs := []Input{{Name: "x", Type: Float32, Columns: 2}, {Name: "y", Type: String, Columns: 1}}
	place := func(name string, input, column int) Feature {
		return Feature{Name: name, Input: input, Column: column}
	}
	good := []Feature{place("a", 0, 0), place("b", 1, 0), place("c", 0, 1)}
	for _, c := range []struct {
		name     string
		features []Feature
		want     string
	}{
		{"good", good, ""},
		{"no name", []Feature{place("a", 0, 0), place("", 0, 1)}, "feature 1 has no name"},
		{"a name twice", []Feature{place("a", 0, 0), place("a", 0, 1)}, `two features are called "a"`},
		{"an input too far", []Feature{place("a", 2, 0)}, `feature "a" is bound to a cell that no input has`},
		{"a negative input", []Feature{place("a", -1, 0)}, `feature "a" is bound to a cell that no input has`},
		{"a column too far", []Feature{place("a", 1, 1)}, `feature "a" is bound to a cell that no input has`},
		{"a negative column", []Feature{place("a", 0, -1)}, `feature "a" is bound to a cell that no input has`},
		{"a cell twice", []Feature{place("a", 0, 1), place("b", 0, 1)}, `features "a" and "b" are bound to the same cell`},
		{"a cell empty", good[:2], `no feature fills column 1 of input "x"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Schema{Features: c.features, Inputs: inputs}
			err := s.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

// TestDocument writes out the JSON that GET /models answers.
func TestDocument(t *testing.T) {
	low, high := 4.3, 7.9
	m := &Model{
		Name: "iris", Version: "2", Digest: "sha256:00", Size: 123,
		Schema: Schema{
			Task: Classification,
			Features: []Feature{
				{
					Name: "sepal_length", Unit: "cm", Description: "of the sepal", Minimum: &low, Maximum: &high, Example: 5.1,
					Histogram: &Histogram{Edges: []float64{4.3, 5, 7.9}, Counts: []int64{22, 128}},
					Type:      Float64,
				},
				{Name: "wild", Type: Bool, Input: 1},
			},
			Classes: Classes{Ints: []int64{0, 1}},
			Inputs:  []Input{{Name: "x", Type: Float64, Columns: 1}, {Name: "w", Type: Bool, Columns: 1}},
			Outputs: []Output{{Name: "label", Role: RoleLabel, Type: Int64, Columns: 1}},
		},
		Operators: map[string]int{"Div": 1},
		Metrics: &Metrics{
			Method: "held out", Values: map[string]float64{"accuracy": 0.5},
			Classes:   []ClassMetrics{{Class: "0", Precision: 1, Recall: 0.5, F1: 2.0 / 3, Support: 4}},
			Confusion: [][]int64{{2, 2}, {0, 4}},
		},
		Training: &Training{Data: "iris.csv", Digest: "sha256:11", Rows: 8, Trainer: "hand", Labels: map[string]int64{"0": 2, "1": 6}},
	}
	text, err := json.Marshal(m.Document(GoldenDocument{Status: GoldenProven, Rows: 5}))
	require.NoError(t, err)
	require.JSONEq(t, `{
		"name": "iris", "version": "2", "digest": "sha256:00", "size_bytes": 123,
		"task": "classification",
		"schema": {
			"features": [
				{"name": "sepal_length", "unit": "cm", "description": "of the sepal", "minimum": 4.3, "maximum": 7.9,
				 "example": 5.1, "histogram": {"edges": [4.3, 5, 7.9], "counts": [22, 128]}, "type": "number"},
				{"name": "wild", "type": "boolean"}
			],
			"outputs": [{"name": "label", "role": "label"}]
		},
		"classes": [0, 1],
		"operators": {"Div": 1},
		"metrics": {
			"method": "held out", "values": {"accuracy": 0.5},
			"classes": [{"class": "0", "precision": 1, "recall": 0.5, "f1": 0.6666666666666666, "support": 4}],
			"confusion": [[2, 2], [0, 4]]
		},
		"training": {"data": "iris.csv", "digest": "sha256:11", "rows": 8, "trainer": "hand", "labels": {"0": 2, "1": 6}},
		"golden": {"status": "proven", "rows": 5}
	}`, string(text))

	bare := &Model{
		Name: "r", Version: "1", Digest: "sha256:22", Size: 9,
		Schema: Schema{
			Task:     Regression,
			Features: []Feature{{Name: "x", Type: Int32}},
			Outputs:  []Output{{Name: "y", Role: RoleValue}},
		},
		Operators: map[string]int{"Identity": 2},
	}
	text, err = json.Marshal(bare.Document(GoldenDocument{Status: GoldenFailed, Reason: "no answer"}))
	require.NoError(t, err)
	require.JSONEq(t, `{
		"name": "r", "version": "1", "digest": "sha256:22", "size_bytes": 9, "task": "regression",
		"schema": {"features": [{"name": "x", "type": "integer"}], "outputs": [{"name": "y", "role": "value"}]},
		"operators": {"Identity": 2}, "golden": {"status": "failed", "rows": 0, "reason": "no answer"}
	}`, string(text))
}
