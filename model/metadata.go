package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Metrics say how good the model was found to be, and how that was found out.
type Metrics struct {
	// Method tells how the figures were obtained, such as "stratified 10-fold
	// cross-validation".
	Method string `json:"method"`
	// Values are figures by name, such as "accuracy", mostly from 0 to 1.
	Values map[string]float64 `json:"values"`
	// Classes holds the figures of each class, in the order of Schema.Classes.
	Classes []ClassMetrics `json:"classes,omitempty"`
	// Confusion counts rows by true class (outer index) and predicted class.
	Confusion [][]int64 `json:"confusion,omitempty"`
}

// ClassMetrics are one class's figures, each from 0 to 1.
type ClassMetrics struct {
	Class     string  `json:"class"`
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	// Support is the number of rows that truly are of this class.
	Support int64 `json:"support"`
}

// Training says what the model was made from.
type Training struct {
	// Data names the training data, Digest its bytes ("sha256:…"), Rows its size.
	Data   string `json:"data"`
	Digest string `json:"digest"`
	Rows   int64  `json:"rows"`
	// Trainer is the program that made the model.
	Trainer string `json:"trainer"`
	// Settings are the trainer's own parameters.
	Settings map[string]any `json:"settings,omitempty"`
	// Labels counts the labels that the model answers for its training rows:
	// the reference for drift of its predictions.
	Labels map[string]int64 `json:"labels,omitempty"`
	// Values is the distribution of what the model answers for its training
	// rows, of a regression with one target: the reference for drift likewise.
	Values *Histogram `json:"values,omitempty"`
}

// Validate reports the first thing that is wrong with what drift is measured
// against.
func (t *Training) Validate() error {
	for label, n := range t.Labels {
		if n < 0 {
			return fmt.Errorf("label %q has the count %d", label, n)
		}
	}
	if t.Values == nil {
		return nil
	}
	if err := t.Values.validate(); err != nil {
		return fmt.Errorf("values: %w", err)
	}
	return nil
}

// Golden holds inputs with the outputs expected of them. They are replayed
// before a model is called ready.
type Golden struct {
	// Source tells where the expected answers come from; never from the
	// evaluator that they are there to check.
	Source string `json:"source"`
	// Tolerance, from 0 to 0.1, is the largest difference allowed: in a
	// probability as it is, in a score or a value as a share of the expected
	// one. One near 0 is compared as if it were the largest that the rows expect
	// of its class or target, or 1 if that is less.
	Tolerance float64     `json:"tolerance"`
	Rows      []GoldenRow `json:"rows"`
}

// GoldenRow is one instance with its expected answer.
type GoldenRow struct {
	// Instance is the JSON of one instance: an array in the order of
	// Schema.Features, or an object.
	Instance json.RawMessage `json:"instance"`
	// Label is the expected label, a JSON string, number or boolean; absent or
	// null for a regression.
	Label json.RawMessage `json:"label,omitempty"`
	// Probabilities are in the order of Schema.Classes; absent where only the
	// label is checked.
	Probabilities Expected `json:"probabilities,omitempty"`
	// Scores are the same of a model that answers scores.
	Scores Expected `json:"scores,omitempty"`
	// Value is the expected result of a regression, a number for each target.
	Value Expected `json:"value,omitempty"`
	// Why says what the row is there for.
	Why string `json:"why,omitempty"`
}

// Expected are numbers that are expected. NaN, which JSON writes as null,
// expects nothing.
type Expected []float64

// Any reports whether there is a number that is expected.
func (e Expected) Any() bool {
	return slices.ContainsFunc(e, func(v float64) bool { return !math.IsNaN(v) })
}

// MarshalJSON writes an array of numbers and nulls.
func (e Expected) MarshalJSON() ([]byte, error) {
	cells := make([]*float64, len(e))
	for i := range e {
		if !math.IsNaN(e[i]) {
			cells[i] = &e[i]
		}
	}
	return json.Marshal(cells)
}

// UnmarshalJSON reads an array of numbers and nulls, or a number alone.
func (e *Expected) UnmarshalJSON(data []byte) error {
	*e = nil
	var one float64
	if string(data) != "null" && json.Unmarshal(data, &one) == nil {
		*e = Expected{one}
		return nil
	}
	var cells []*float64
	if json.Unmarshal(data, &cells) != nil {
		return errors.New("what is expected is neither a number nor an array of numbers and nulls")
	}
	for _, cell := range cells {
		v := math.NaN()
		if cell != nil {
			v = *cell
		}
		*e = append(*e, v)
	}
	return nil
}
