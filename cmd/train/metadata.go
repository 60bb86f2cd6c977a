package main

import (
	"math"
	"path/filepath"
	"slices"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

// golearnVersion is the version in go.mod. It stands here because a program
// under test cannot read the versions it was built from; a test compares them.
const golearnVersion = "v0.0.0-20221228163002-74ae077eafb2"

// histogramBins is how many quantile bins a feature's histogram has when its
// values are all different.
const histogramBins = 10

// newSchema describes what the model takes and answers, from the table that it
// is trained on.
func newSchema(t *table, units map[string]string) *onnx.Schema {
	s := &onnx.Schema{
		Task:    model.Classification,
		Classes: &t.classes,
		Outputs: []model.Output{
			{Name: outputLabel, Role: model.RoleLabel},
			{Name: outputProbabilities, Role: model.RoleProbabilities},
		},
	}
	for i, name := range t.features {
		values := make([]float64, len(t.rows))
		for row := range t.rows {
			values[row] = t.rows[row][i]
		}
		slices.Sort(values)
		s.Features = append(s.Features, model.Feature{
			Name:    name,
			Unit:    units[name],
			Minimum: &values[0],
			Maximum: &values[len(values)-1],
			// The first row, so that the examples together are a real instance.
			Example:   t.rows[0][i],
			Histogram: newHistogram(values),
		})
	}
	return s
}

// newHistogram counts sorted values in bins between their quantiles. Values
// that stand so often that quantiles coincide make fewer bins.
func newHistogram(sorted []float64) *model.Histogram {
	n := len(sorted)
	var h model.Histogram
	for i := range histogramBins {
		h.Edges = append(h.Edges, sorted[i*n/histogramBins])
	}
	h.Edges = slices.Compact(append(h.Edges, sorted[n-1]))
	if len(h.Edges) == 1 {
		// All values are one: its bin is as narrow as numbers allow.
		h.Edges = append(h.Edges, math.Nextafter(h.Edges[0], math.Inf(1)))
	}
	h.Counts = make([]int64, len(h.Edges)-1)
	bin := 0
	for _, v := range sorted {
		for bin+1 < len(h.Counts) && v >= h.Edges[bin+1] {
			bin++
		}
		h.Counts[bin]++
	}
	return &h
}

// newTraining tells what the model was made from. votes are the forest's for
// the training rows.
func newTraining(t *table, c *command, votes [][]int) *model.Training {
	labels := make(map[string]int64)
	for _, text := range t.classes.Texts() {
		labels[text] = 0
	}
	for _, v := range votes {
		labels[t.classes.Text(mostVotes(v))]++
	}
	return &model.Training{
		Data:    filepath.Base(t.file),
		Digest:  t.digest,
		Rows:    int64(len(t.rows)),
		Trainer: producer + ", golearn " + golearnVersion,
		Settings: map[string]any{
			"trees": c.Trees, "depth": c.Depth, "features": c.Features, "min_leaf": c.MinLeaf,
			"seed": c.Seed, "folds": c.Folds,
		},
		Labels: labels,
	}
}
