package model

import (
	"fmt"
	"math"
	"slices"
)

// Task is what a model is for.
type Task string

// The tasks.
const (
	Classification Task = "classification"
	Regression     Task = "regression"
)

// Role is what an output of the graph means.
type Role string

// The roles of outputs. A graph has at most one output of each of them but the
// last; RoleOther is a further output that only typed protocols show.
const (
	RoleLabel Role = "label"
	// RoleProbabilities is a number from 0 to 1 for each class.
	RoleProbabilities Role = "probabilities"
	// RoleScores is a number for each class that is no probability: a margin,
	// a decision function. The higher, the likelier.
	RoleScores Role = "scores"
	RoleValue  Role = "value"
	RoleOther  Role = "other"
)

// ByClass reports whether an output of the role has a number for each class.
func (r Role) ByClass() bool { return r == RoleProbabilities || r == RoleScores }

// Schema is the single source of what a model takes and answers: validation,
// documents and metadata are all derived from it.
type Schema struct {
	Task     Task
	Features []Feature
	// Classes are the labels that a classifier can answer, in the order of its
	// probabilities or scores.
	Classes Classes
	Inputs  []Input
	Outputs []Output
}

// Feature is one named input value, bound to a cell of a row of a graph input.
type Feature struct {
	Name        string `json:"name"`
	Unit        string `json:"unit,omitempty"`
	Description string `json:"description,omitempty"`
	// Minimum and Maximum bound the values seen in training, in Unit; nil
	// where they are not known.
	Minimum *float64 `json:"minimum,omitempty"`
	Maximum *float64 `json:"maximum,omitempty"`
	// Example is a value that the model takes: a float64, bool or string.
	Example any `json:"example,omitempty"`
	// Histogram is the distribution of the training values.
	Histogram *Histogram `json:"histogram,omitempty"`

	// Type, Input and Column place the feature: the element type, the index in
	// Schema.Inputs, and the column there.
	Type   Type `json:"-"`
	Input  int  `json:"-"`
	Column int  `json:"-"`
}

// Outside reports whether v is outside the range seen in training.
func (f *Feature) Outside(v float64) bool {
	return f.Minimum != nil && v < *f.Minimum || f.Maximum != nil && v > *f.Maximum
}

func (f *Feature) validate() error {
	if f.Minimum != nil && f.Maximum != nil && *f.Minimum > *f.Maximum {
		return fmt.Errorf("its minimum %v is above its maximum %v", *f.Minimum, *f.Maximum)
	}
	if !f.takes(f.Example) {
		return fmt.Errorf("its example %v is no %s", f.Example, f.Type.JSON())
	}
	if h := f.Histogram; h != nil {
		return h.validate()
	}
	return nil
}

// takes reports whether the example is of the feature's type, or not there.
func (f *Feature) takes(example any) bool {
	switch v := example.(type) {
	case nil:
		return true
	case string:
		return f.Type == String
	case bool:
		return f.Type == Bool
	case float64:
		whole := v == math.Trunc(v)
		return f.Type.IsFloat() || whole && (f.Type == Int64 || f.Type == Int32)
	default:
		return false
	}
}

func (h *Histogram) validate() error {
	if len(h.Counts) == 0 || len(h.Edges) != len(h.Counts)+1 {
		return fmt.Errorf("its histogram has %d edges for %d counts", len(h.Edges), len(h.Counts))
	}
	for i, n := range h.Counts {
		if !(h.Edges[i] < h.Edges[i+1]) {
			return fmt.Errorf("its histogram's edges %v and %v do not increase", h.Edges[i], h.Edges[i+1])
		}
		if n < 0 {
			return fmt.Errorf("its histogram has the count %d", n)
		}
	}
	return nil
}

// Histogram is a distribution in bins that are half open, [Edges[i],
// Edges[i+1]), but for the last, which holds its upper edge.
type Histogram struct {
	// Edges are strictly increasing, one more than Counts.
	Edges  []float64 `json:"edges"`
	Counts []int64   `json:"counts"`
}

// Input is one input tensor of the graph.
type Input struct {
	Name string
	Type Type
	// Columns is the number of values in a row.
	Columns int
	// Vector marks an input of one dimension, [rows], where others are
	// [rows, columns].
	Vector bool
}

// Output is one output tensor of the graph.
type Output struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Type is the element type; Columns the values in a row, 0 when only
	// running tells.
	Type    Type `json:"-"`
	Columns int  `json:"-"`
}

// Has reports whether an output has the role.
func (s *Schema) Has(r Role) bool {
	return slices.ContainsFunc(s.Outputs, func(o Output) bool { return o.Role == r })
}

// Validate reports the first thing that is wrong with the schema: names that
// are empty or stand twice, cells outside their input, cells that no feature
// or more than one feature fills, ranges and histograms that are none.
func (s *Schema) Validate() error {
	filled := make([][]string, len(s.Inputs))
	for i, in := range s.Inputs {
		filled[i] = make([]string, in.Columns)
	}
	seen := make(map[string]bool, len(s.Features))
	for i := range s.Features {
		f := &s.Features[i]
		switch {
		case f.Name == "":
			return fmt.Errorf("feature %d has no name", i)
		case seen[f.Name]:
			return fmt.Errorf("two features are called %q", f.Name)
		case f.Input < 0 || f.Input >= len(s.Inputs) || f.Column < 0 || f.Column >= s.Inputs[f.Input].Columns:
			return fmt.Errorf("feature %q is bound to a cell that no input has", f.Name)
		case filled[f.Input][f.Column] != "":
			return fmt.Errorf("features %q and %q are bound to the same cell", filled[f.Input][f.Column], f.Name)
		}
		if err := f.validate(); err != nil {
			return fmt.Errorf("feature %q: %w", f.Name, err)
		}
		seen[f.Name] = true
		filled[f.Input][f.Column] = f.Name
	}
	for i, in := range s.Inputs {
		if c := slices.Index(filled[i], ""); c >= 0 {
			return fmt.Errorf("no feature fills column %d of input %q", c, in.Name)
		}
	}
	return nil
}
