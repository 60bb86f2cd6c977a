package main

import (
	"math"
	"slices"
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// grow trains a forest on all rows of a table.
func grow(t *testing.T, from *table, s settings, seed uint64) *forest {
	t.Helper()
	s.Seed = seed
	return trainForest(from, s, streamForest, func() {})
}

func TestEntropy(t *testing.T) {
	for _, test := range []struct {
		counts []int
		want   float64
	}{
		{[]int{4, 0}, 0},
		{[]int{1, 1}, 1},
		{[]int{2, 2, 2, 2}, 2},
		{[]int{1, 3}, 2 - 0.75*math.Log2(3)}, // ¼·log₂4 + ¾·log₂(4/3)
	} {
		total := 0
		for _, n := range test.counts {
			total += n
		}
		assert.InDelta(t, test.want, entropy(test.counts, total), 1e-15, "%v", test.counts)
	}
}

func TestMostVotes(t *testing.T) {
	assert.Equal(t, 1, mostVotes([]int{1, 3, 2}))
	assert.Equal(t, 0, mostVotes([]int{2, 2, 1}), "a tie goes to the lowest class")
	assert.Equal(t, 1, mostVotes([]int{0, 2, 2}), "a tie goes to the lowest class")
}

// shape walks a tree with the rows that it was grown on, and reports its depth
// and the rows of its smallest leaf.
func shape(c *columns, n *trees.DecisionTreeNode, rows [][]float64) (depth, smallest int) {
	if n.Children == nil {
		return 0, len(rows)
	}
	var low, high [][]float64
	for _, row := range rows {
		if row[slices.Index(c.features, n.SplitRule.SplitAttr)] > n.SplitRule.SplitVal {
			high = append(high, row)
		} else {
			low = append(low, row)
		}
	}
	lowDepth, lowSmallest := shape(c, n.Children["0"], low)
	highDepth, highSmallest := shape(c, n.Children["1"], high)
	return 1 + max(lowDepth, highDepth), min(lowSmallest, highSmallest)
}

func TestTreesKeepToTheirSettings(t *testing.T) {
	iris := readIris(t)
	for _, s := range []settings{
		{Depth: 1, Features: 1, MinLeaf: 1},
		{Depth: 3, Features: 2, MinLeaf: 7},
		{Depth: 64, Features: 4, MinLeaf: 1},
		{Depth: 64, Features: 1, MinLeaf: 151},
	} {
		for seed := range uint64(5) {
			s.Seed = seed
			g := newGrower(iris, s, streamForest)
			sample := g.bootstrap()
			rows := make([][]float64, len(sample))
			for i, row := range sample {
				rows[i] = iris.rows[row]
			}
			depth, smallest := shape(g.columns, g.node(sample, 0), rows)
			assert.LessOrEqual(t, depth, s.Depth, "%+v", s)
			assert.GreaterOrEqual(t, smallest, min(s.MinLeaf, len(rows)), "%+v", s)
			assert.Equal(t, s.MinLeaf > len(rows), depth == 0, "%+v: without a split only when none leaves enough rows on both sides", s)
		}
	}
	assert.Len(t, grow(t, iris, settings{Trees: 7, Depth: 1, Features: 1, MinLeaf: 1}, 1).trees, 7)
}

// A tree that may grow as it likes tells all rows apart that it was grown on.
func TestTreeLearnsItsSample(t *testing.T) {
	xor := readText(t, "x,y,constant,kind\n0,0,5,a\n1,1,5,a\n0,1,5,b\n1,0,5,b\n")
	for seed := range uint64(20) {
		g := newGrower(xor, settings{Depth: 64, Features: 1, MinLeaf: 1, Seed: seed}, streamForest)
		f := &forest{columns: g.columns, trees: []*trees.DecisionTreeNode{g.node([]int{0, 1, 2, 3}, 0)}}
		votes := f.votes(xor.rows)
		assert.Equal(t, [][]int{{1, 0}, {1, 0}, {0, 1}, {0, 1}}, votes, "seed %d: an attribute that divides nothing must not end the tree", seed)
	}
}

// Splits at 3.5 and 7.5 leave the same entropy: the classes on their sides are
// 3 1 0 | 2 1 5 and 5 1 2 | 0 1 3. Through golearn's own view, whose rows
// come in the order of a map, the rounding of sums chooses now this, now that.
func TestSplitRepeats(t *testing.T) {
	even := readText(t, "x,kind\n0,a\n1,b\n2,a\n3,a\n4,c\n5,c\n6,a\n7,a\n8,c\n9,c\n10,b\n11,c\n")
	g := newGrower(even, settings{Depth: 1, Features: 1, MinLeaf: 1}, streamForest)
	splits := make(map[float64]int)
	for range 100 {
		splits[g.bestSplit([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).rule.SplitVal]++
	}
	assert.Len(t, splits, 1)
}

func TestForestRepeats(t *testing.T) {
	iris := readIris(t)
	s := settings{Trees: 20, Depth: 64, Features: 2, MinLeaf: 1}
	for seed := range uint64(5) {
		first, second := grow(t, iris, s, seed), grow(t, iris, s, seed)
		require.Equal(t, first.trees, second.trees, "seed %d", seed)
		other := grow(t, iris, s, seed+1)
		require.NotEqual(t, first.trees, other.trees, "seed %d", seed)
	}
}

func TestOrderedView(t *testing.T) {
	iris := readIris(t)
	c := newColumns(iris)
	grid := c.grid(iris.rows, iris.labels)
	sample := []int{149, 3, 3, 77}
	view := orderedView{base.NewInstancesViewFromVisible(grid, sample, c.all())}
	spec, err := view.GetAttribute(c.features[2])
	require.NoError(t, err)

	var rows []int
	var values []float64
	collect := func(cells [][]byte, row int) (bool, error) {
		rows = append(rows, row)
		values = append(values, base.UnpackBytesToFloat(cells[0]))
		return len(rows) < 3, nil
	}
	require.NoError(t, view.MapOverRows([]base.AttributeSpec{spec}, collect))
	assert.Equal(t, []int{0, 1, 2}, rows, "in order, until the callback has enough")
	assert.Equal(t, []float64{5.1, 1.5, 1.5}, values, "petal_length of rows 150 and 4 in the file")

	fails := func([][]byte, int) (bool, error) { return true, assert.AnError }
	assert.ErrorIs(t, view.MapOverRows(nil, fails), assert.AnError)
}

// The first row is a setosa, which every tree tells apart.
func TestVotes(t *testing.T) {
	iris := readIris(t)
	f := grow(t, iris, settings{Trees: 9, Depth: 3, Features: 2, MinLeaf: 1}, 1)
	votes := f.votes(iris.rows)
	assert.Equal(t, []int{9, 0, 0}, votes[0])
	answers := answers(f, iris.rows)
	for row := range iris.rows {
		want := make([]int, 3)
		for tree := range f.trees {
			want[answers[tree][row]]++
		}
		assert.Equal(t, want, votes[row])
	}
}
