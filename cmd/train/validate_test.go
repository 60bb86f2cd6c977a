package main

import (
	"math/rand/v2"
	"testing"

	"github.com/sjwhitworth/golearn/evaluation"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

func TestStratifiedFolds(t *testing.T) {
	var labels []int
	for class, rows := range []int{5, 7, 11} {
		for range rows {
			labels = append(labels, class)
		}
	}
	const folds = 4
	deal := func(seed uint64) []int {
		return stratifiedFolds(labels, 3, folds, rand.New(rand.NewPCG(seed, 0)))
	}
	foldOf := deal(1)
	var sizes [folds]int
	var byClass [3][folds]int
	for row, fold := range foldOf {
		sizes[fold]++
		byClass[labels[row]][fold]++
	}
	// 23 rows in 4 folds are 5 or 6 a fold; of each class, the share rounded
	// down or up.
	for fold := range folds {
		assert.Contains(t, []int{5, 6}, sizes[fold])
		assert.Contains(t, []int{1, 2}, byClass[0][fold], "5 rows")
		assert.Contains(t, []int{1, 2}, byClass[1][fold], "7 rows")
		assert.Contains(t, []int{2, 3}, byClass[2][fold], "11 rows")
	}
	assert.Equal(t, foldOf, deal(1))
	assert.NotEqual(t, foldOf, deal(2))
}

func TestCrossValidateIris(t *testing.T) {
	iris := readIris(t)
	grown := 0
	m := crossValidate(iris, settings{Trees: 20, Depth: 6, Features: 2, MinLeaf: 1, Seed: 1}, 5, func() { grown++ })
	assert.Equal(t, 100, grown, "20 trees for each of 5 folds")
	assert.GreaterOrEqual(t, m.Values[accuracyMean], 0.92)

	total, correct := int64(0), int64(0)
	for class, counts := range m.Confusion {
		assert.Equal(t, int64(50), m.Classes[class].Support, "each row is held out once")
		for answer, n := range counts {
			total += n
			if class == answer {
				correct += n
			}
		}
	}
	assert.Equal(t, int64(150), total)
	assert.InDelta(t, float64(correct)/150, m.Values[accuracyMean], 1e-12, "folds of equal size")
	assert.Equal(t, int64(50), m.Confusion[0][0], "setosa is linearly separable")
}

// By hand, from the definitions.
func TestNewMetrics(t *testing.T) {
	m := newMetrics([]string{"a", "b", "c"}, []evaluation.ConfusionMatrix{
		{"a": {"a": 2, "b": 1}, "b": {"b": 4}}, // 6 of 7 are right
		{"a": {"a": 1}, "c": {"b": 5}},         // 1 of 6 is
	})
	assert.Equal(t, [][]int64{{3, 1, 0}, {0, 4, 0}, {0, 5, 0}}, m.Confusion)
	assert.InDeltaMapValues(t, map[string]float64{
		accuracyMean: 43.0 / 84, accuracySpread: 29.0 / 84, accuracyLowest: 1.0 / 6, accuracyHighest: 6.0 / 7,
	}, m.Values, 1e-15)
	want := []model.ClassMetrics{
		{Class: "a", Precision: 1, Recall: 0.75, F1: 6.0 / 7, Support: 4},
		{Class: "b", Precision: 0.4, Recall: 1, F1: 4.0 / 7, Support: 4},
		{Class: "c", Precision: 0, Recall: 0, F1: 0, Support: 5}, // never answered
	}
	require.Len(t, m.Classes, len(want))
	for i, w := range want {
		got := m.Classes[i]
		assert.Equal(t, w.Class, got.Class)
		assert.Equal(t, w.Support, got.Support)
		assert.InDelta(t, w.Precision, got.Precision, 1e-15, w.Class)
		assert.InDelta(t, w.Recall, got.Recall, 1e-15, w.Class)
		assert.InDelta(t, w.F1, got.F1, 1e-15, w.Class)
	}
}
