package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// grow trains a forest on all rows of a table.
func grow(t *testing.T, from *table, s settings, seed uint64) *forest {
	t.Helper()
	c := newColumns(from.features, from.label, from.classes)
	f, err := trainForest(c, from.rows, from.labels, s, chance(seed), func() {})
	require.NoError(t, err)
	return f
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
		assert.InDelta(t, test.want, entropy(test.counts), 1e-15, "%v", test.counts)
	}
}

func TestMostVotes(t *testing.T) {
	assert.Equal(t, 1, mostVotes([]int{1, 3, 2}))
	assert.Equal(t, 0, mostVotes([]int{2, 2, 1}), "a tie goes to the lowest class")
	assert.Equal(t, 1, mostVotes([]int{0, 2, 2}), "a tie goes to the lowest class")
}

// shape walks a tree and reports its depth and the rows of its smallest leaf.
func shape(n *trees.DecisionTreeNode) (depth, smallest int) {
	if n.Children == nil {
		for _, rows := range n.ClassDist {
			smallest += rows
		}
		return 0, smallest
	}
	smallest = math.MaxInt
	for _, child := range n.Children {
		d, s := shape(child)
		depth, smallest = max(depth, d+1), min(smallest, s)
	}
	return depth, smallest
}

func TestForestKeepsToItsSettings(t *testing.T) {
	iris := readIris(t)
	for _, s := range []settings{
		{trees: 1, depth: 1, features: 1, minLeaf: 1},
		{trees: 5, depth: 3, features: 2, minLeaf: 7},
		{trees: 7, depth: 64, features: 4, minLeaf: 1},
		{trees: 2, depth: 64, features: 1, minLeaf: 151},
	} {
		f := grow(t, iris, s, 1)
		require.Len(t, f.trees, s.trees)
		for _, tree := range f.trees {
			depth, smallest := shape(tree)
			assert.LessOrEqual(t, depth, s.depth, "%+v", s)
			assert.GreaterOrEqual(t, smallest, min(s.minLeaf, len(iris.rows)), "%+v", s)
			if s.minLeaf > len(iris.rows) {
				assert.Zero(t, depth, "no split leaves that many rows on both sides")
			}
		}
	}
}

// A tree that may grow as it likes tells all rows apart that it was grown on.
func TestTreeLearnsItsSample(t *testing.T) {
	xor := readText(t, "x,y,constant,kind\n0,0,5,a\n1,1,5,a\n0,1,5,b\n1,0,5,b\n")
	c := newColumns(xor.features, xor.label, xor.classes)
	grid, err := c.grid(xor.rows, xor.labels)
	require.NoError(t, err)
	for seed := range uint64(20) {
		g := grower{
			settings: settings{depth: 64, features: 1, minLeaf: 1},
			columns:  c, grid: grid, rows: xor.rows, labels: xor.labels, random: chance(seed),
		}
		f := &forest{columns: c, trees: []*trees.DecisionTreeNode{g.node([]int{0, 1, 2, 3}, 0)}}
		answers, err := f.answers(xor.rows)
		require.NoError(t, err)
		assert.Equal(t, [][]int{xor.labels}, answers, "seed %d: an attribute that divides nothing must not end the tree", seed)
	}
}

// Splits at 3.5 and 7.5 leave the same entropy: the classes on their sides are
// 3 1 0 | 2 1 5 and 5 1 2 | 0 1 3. Through golearn's own view, whose rows
// come in the order of a map, the rounding of sums chooses now this, now that.
func TestSplitRepeats(t *testing.T) {
	even := readText(t, "x,kind\n0,a\n1,b\n2,a\n3,a\n4,c\n5,c\n6,a\n7,a\n8,c\n9,c\n10,b\n11,c\n")
	c := newColumns(even.features, even.label, even.classes)
	grid, err := c.grid(even.rows, even.labels)
	require.NoError(t, err)
	g := grower{
		settings: settings{depth: 1, features: 1, minLeaf: 1},
		columns:  c, grid: grid, rows: even.rows, labels: even.labels, random: chance(1),
	}
	splits := make(map[float64]int)
	for range 100 {
		splits[g.bestSplit([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).rule.SplitVal]++
	}
	assert.Len(t, splits, 1)
}

func TestForestRepeats(t *testing.T) {
	iris := readIris(t)
	s := settings{trees: 20, depth: 64, features: 2, minLeaf: 1}
	for seed := range uint64(5) {
		first, second := grow(t, iris, s, seed), grow(t, iris, s, seed)
		require.Equal(t, first.trees, second.trees, "seed %d", seed)
		other := grow(t, iris, s, seed+1)
		require.NotEqual(t, first.trees, other.trees, "seed %d", seed)
	}
}

func TestOrderedView(t *testing.T) {
	iris := readIris(t)
	c := newColumns(iris.features, iris.label, iris.classes)
	grid, err := c.grid(iris.rows, iris.labels)
	require.NoError(t, err)
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

// golearn panics on a tree that asks for an attribute its grid does not have.
func TestGolearnPanicsBecomeErrors(t *testing.T) {
	iris := readIris(t)
	f := grow(t, iris, settings{trees: 1, depth: 2, features: 4, minLeaf: 1}, 1)
	f.trees[0].SplitRule.SplitAttr = base.NewFloatAttribute("petals")
	_, err := f.answers(iris.rows)
	require.ErrorContains(t, err, "golearn failed while predicting: ")
	require.ErrorContains(t, err, "petals")
}

func TestVotes(t *testing.T) {
	iris := readIris(t)
	f := grow(t, iris, settings{trees: 9, depth: 3, features: 2, minLeaf: 1}, 1)
	answers, err := f.answers(iris.rows)
	require.NoError(t, err)
	votes, err := f.votes(iris.rows)
	require.NoError(t, err)
	for row := range iris.rows {
		want := make([]int, 3)
		for tree := range f.trees {
			want[answers[tree][row]]++
		}
		assert.Equal(t, want, votes[row])
	}
	assert.Equal(t, []int{9, 0, 0}, votes[0], "the first row is a setosa, which every tree tells apart")
}
