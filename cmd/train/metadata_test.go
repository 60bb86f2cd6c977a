package main

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

func TestGolearnVersion(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "github.com/sjwhitworth/golearn ")
	require.True(t, found)
	assert.Equal(t, golearnVersion, strings.Fields(rest)[0])
}

func TestNewHistogram(t *testing.T) {
	for _, test := range []struct {
		name   string
		sorted []float64
		want   model.Histogram
	}{
		{
			"two values in each bin",
			[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
			model.Histogram{
				Edges:  []float64{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 20},
				Counts: []int64{2, 2, 2, 2, 2, 2, 2, 2, 2, 2},
			},
		},
		{
			"fewer values than bins",
			[]float64{1, 2, 4},
			model.Histogram{Edges: []float64{1, 2, 4}, Counts: []int64{1, 2}},
		},
		{
			"a value that most rows have",
			[]float64{0, 0, 0, 0, 0, 0, 0, 5, 6, 7},
			model.Histogram{Edges: []float64{0, 5, 6, 7}, Counts: []int64{7, 1, 2}},
		},
		{
			"all values are one",
			[]float64{3, 3, 3},
			model.Histogram{Edges: []float64{3, math.Nextafter(3, 4)}, Counts: []int64{3}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, &test.want, newHistogram(test.sorted))
		})
	}
}

func TestNewSchema(t *testing.T) {
	ab := readText(t, "x,y,kind\n3,1,a\n1,2,b\n2,-4,a\n2,0,b\n")
	s := newSchema(ab, map[string]string{"y": "kg"})
	lowX, highX, lowY, highY := 1.0, 3.0, -4.0, 2.0
	assert.Equal(t, []model.Feature{
		{
			Name: "x", Minimum: &lowX, Maximum: &highX, Example: 3.0,
			Histogram: &model.Histogram{Edges: []float64{1, 2, 3}, Counts: []int64{1, 3}},
		},
		{
			Name: "y", Unit: "kg", Minimum: &lowY, Maximum: &highY, Example: 1.0,
			Histogram: &model.Histogram{Edges: []float64{-4, 0, 1, 2}, Counts: []int64{1, 1, 2}},
		},
	}, s.Features)
	assert.Equal(t, model.Classification, s.Task)
	assert.Equal(t, []string{"a", "b"}, s.Classes.Strings)
	assert.Equal(t, []model.Output{{Name: "label", Role: model.RoleLabel}, {Name: "probabilities", Role: model.RoleProbabilities}}, s.Outputs)
}

func TestNewTraining(t *testing.T) {
	abc := readText(t, "x,kind\n1,a\n2,b\n3,c\n1,a\n2,b\n3,c\n")
	abc.file = "some/folder/abc.csv"
	c := &command{settings: settings{Trees: 2, Depth: 4, Features: 1, MinLeaf: 5, Seed: math.MaxUint64}, Folds: 3}
	// The third is a tie, which goes to the first class; c is never answered.
	votes := [][]int{{2, 0, 0}, {0, 2, 0}, {1, 1, 0}, {2, 0, 0}, {0, 2, 0}, {1, 0, 1}}
	assert.Equal(t, &model.Training{
		Data: "abc.csv", Digest: abc.digest, Rows: 6,
		Trainer: "tepal train, golearn " + golearnVersion,
		Settings: map[string]any{
			"trees": 2, "depth": 4, "features": 1, "min_leaf": 5, "seed": uint64(math.MaxUint64), "folds": 3,
		},
		Labels: map[string]int64{"a": 4, "b": 2, "c": 0},
	}, newTraining(abc, c, votes))
}
