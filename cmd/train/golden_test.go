package main

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sjwhitworth/golearn/trees"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// pick chooses the golden rows of a forest grown on a table.
func pick(t *testing.T, f *forest, from *table) *model.Golden {
	t.Helper()
	return goldenRows(f, from, f.votes(from.rows), settings{Seed: 2}.chance(streamTies))
}

func TestTopTwo(t *testing.T) {
	for _, test := range []struct {
		votes         []int
		first, second int
		margin        int
	}{
		{[]int{3, 2, 1}, 0, 1, 1},
		{[]int{1, 2, 5}, 2, 1, 3},
		{[]int{2, 2, 0}, 0, 1, 0},
		{[]int{1, 4, 4}, 1, 2, 0},
		{[]int{0, 7}, 1, 0, 7},
		{[]int{3, 0, 0}, 0, 1, 3},
	} {
		first, second := topTwo(test.votes)
		assert.Equal(t, [2]int{test.first, test.second}, [2]int{first, second}, "%v", test.votes)
		assert.Equal(t, test.margin, margin(test.votes), "%v", test.votes)
	}
}

func TestGoldenRows(t *testing.T) {
	iris := readIris(t)
	const trees = 10
	f := grow(t, iris, settings{Trees: trees, Depth: 6, Features: 2, MinLeaf: 1}, 1)
	golden := pick(t, f, iris)
	assert.Equal(t, 1e-6, golden.Tolerance)
	assert.GreaterOrEqual(t, len(golden.Rows), 12)
	assert.LessOrEqual(t, len(golden.Rows), 20)

	splits := f.splits()
	kinds := make(map[string]int)
	labels := make(map[string]bool)
	for _, row := range golden.Rows {
		var values []float64
		require.NoError(t, json.Unmarshal(row.Instance, &values))
		require.Len(t, values, 4)

		// What golearn answers for the row as it reads back.
		votes := f.votes([][]float64{values})[0]
		var label string
		require.NoError(t, json.Unmarshal(row.Label, &label))
		assert.Equal(t, iris.classes.Strings[mostVotes(votes)], label, row.Why)
		for class, n := range votes {
			assert.Equal(t, float64(n)/trees, row.Probabilities[class], row.Why)
		}
		labels[label] = true

		switch {
		case strings.Contains(row.Why, ": class "):
			kinds["class"]++
		case strings.Contains(row.Why, "a close vote"):
			kinds["close"]++
		case strings.Contains(row.Why, "tie with"):
			kinds["tie"]++
			assert.Zero(t, margin(votes), row.Why)
		case strings.Contains(row.Why, "exactly on the split"):
			kinds["on"]++
			name, _, _ := strings.Cut(row.Why, " ")
			feature := slices.Index(iris.features, name)
			assert.Contains(t, splits[feature], values[feature], row.Why)
		case strings.Contains(row.Why, "next number after the split"):
			kinds["after"]++
		}
	}
	assert.Len(t, labels, 3, "every class is answered")
	assert.Equal(t, map[string]int{"class": 3, "close": 4, "tie": 2, "on": 4, "after": 4}, kinds)
}

// An odd number of trees cannot tie between two classes, and one tree has
// nothing close: there are fewer rows then, and no row twice.
func TestGoldenRowsWithoutTies(t *testing.T) {
	two := readText(t, "x,kind\n1,0\n2,0\n3,1\n4,1\n")
	f := grow(t, two, settings{Trees: 1, Depth: 2, Features: 1, MinLeaf: 1}, 1)
	golden := pick(t, f, two)
	seen := make(map[string]bool)
	for _, row := range golden.Rows {
		assert.NotContains(t, row.Why, "tie with")
		assert.Contains(t, []string{"0", "1"}, string(row.Label), "integer classes are integers")
		assert.False(t, seen[string(row.Instance)], "%s stands twice", row.Instance)
		seen[string(row.Instance)] = true
	}
	assert.GreaterOrEqual(t, len(golden.Rows), 4)
}

func TestSplits(t *testing.T) {
	ab := readText(t, "x,y,kind\n1,1,a\n2,2,b\n1,1,a\n2,2,b\n")
	c := newColumns(ab)
	y := c.features[1]
	f := &forest{columns: c}
	for _, at := range []float64{3, 1, 2, 3, 2, 0.5} {
		f.trees = append(f.trees, splitOf(y, at, leafOf(c, "a"), leafOf(c, "b")))
	}
	assert.Equal(t, [][]float64{nil, {3, 1, 2, 3, 2, 0.5}}, f.splits())
	assert.Equal(t, []float64{2, 3, 0.5, 1}, mostFrequent(f.splits()[1]))
}

// TestGoldenRowsAreAddedOnce: nor is a row that JSON cannot write, such as the
// number after the largest.
func TestGoldenRowsAreAddedOnce(t *testing.T) {
	p := goldenPicker{
		forest: &forest{trees: make([]*trees.DecisionTreeNode, 4)},
		table:  &table{classes: model.Classes{Strings: []string{"a", "b"}}},
	}
	assert.True(t, p.add([]float64{math.MaxFloat64}, []int{1, 3}, "the largest"))
	assert.False(t, p.add([]float64{math.MaxFloat64}, []int{3, 1}, "again"))
	assert.False(t, p.add([]float64{math.Nextafter(math.MaxFloat64, math.Inf(1))}, []int{1, 3}, "the next"))
	require.Len(t, p.golden.Rows, 1)
	assert.Equal(t, model.Expected{0.25, 0.75}, p.golden.Rows[0].Probabilities)
	assert.JSONEq(t, `"b"`, string(p.golden.Rows[0].Label))
}
