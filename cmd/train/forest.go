package main

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
)

// settings are the parameters of a forest.
type settings struct {
	Trees    int    `group:"Forest:" default:"70" help:"Trees to grow; each casts one vote."`
	Depth    int    `group:"Forest:" default:"6" help:"Splits that a row passes at most in a tree. Deeper trees learn more detail, noise included."`
	Features int    `group:"Forest:" default:"0" help:"Features drawn at each node, of which the one that gains most information splits it; 0 is the square root of how many there are."`
	MinLeaf  int    `group:"Forest:" default:"1" help:"Rows that a split leaves on either side at least."`
	Seed     uint64 `group:"Forest:" default:"1" help:"Seed of all chance."`
}

// Each use of chance has its own stream of the seed's generator, so that the
// number of folds, say, has no influence on the forest.
const (
	streamForest = iota
	streamTies
	// streamFolds deals the rows to folds; fold i's forest uses the i-th after.
	streamFolds
)

// chance returns the generator of one stream.
func (s settings) chance(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.Seed, stream))
}

// columns are a table's columns as golearn's attributes. Grids made from the
// same columns are compatible with each other and with the trees grown on them.
type columns struct {
	features []base.Attribute
	class    *base.CategoricalAttribute
	classes  []string
}

func newColumns(t *table) *columns {
	c := &columns{class: base.NewCategoricalAttribute(), classes: t.classes.Texts()}
	for _, name := range t.features {
		c.features = append(c.features, base.NewFloatAttribute(name))
	}
	c.class.SetName(t.label)
	for _, text := range c.classes {
		// golearn numbers classes in the order that it meets them; meeting them
		// here makes its numbers ours.
		c.class.GetSysValFromString(text)
	}
	return c
}

// all returns the features' attributes with the class behind them.
func (c *columns) all() []base.Attribute {
	return append(append([]base.Attribute{}, c.features...), c.class)
}

// grid fills golearn's data grid. labels may be nil for rows to predict.
func (c *columns) grid(rows [][]float64, labels []int) *base.DenseInstances {
	g := base.NewDenseInstances()
	var specs []base.AttributeSpec
	for _, a := range c.all() {
		specs = append(specs, g.AddAttribute(a))
	}
	if err := errors.Join(g.AddClassAttribute(c.class), g.Extend(len(rows))); err != nil {
		panic(err)
	}
	for i, row := range rows {
		for j, v := range row {
			g.Set(specs[j], i, base.PackFloatToBytes(v))
		}
		if labels != nil {
			g.Set(specs[len(row)], i, base.PackU64ToBytes(uint64(labels[i])))
		}
	}
	return g
}

// must returns what golearn gave. Its errors, like its panics, are about parts
// that do not fit together, and here all are made from the same columns; should
// one come all the same, train reports it.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// forest is a set of golearn's trees. Each casts one vote for a row.
type forest struct {
	columns *columns
	trees   []*trees.DecisionTreeNode
}

// trainForest grows a forest on bootstrap samples of a table's rows. All chance
// comes from one stream, so that the same seed gives the same forest. grown is
// called after each tree.
func trainForest(t *table, s settings, stream uint64, grown func()) *forest {
	g := newGrower(t, s, stream)
	f := &forest{columns: g.columns}
	for range s.Trees {
		f.trees = append(f.trees, g.node(g.bootstrap(), 0))
		grown()
	}
	return f
}

// grower grows trees from golearn's parts: its grid, its views, its rule for
// the split of an attribute and its nodes. The bootstrap, the recursion and
// the draw of attributes are done here, because golearn's own depend on the
// order of maps and never repeat.
type grower struct {
	settings
	columns *columns
	grid    *base.DenseInstances
	rows    [][]float64
	labels  []int
	random  *rand.Rand
	rule    trees.InformationGainRuleGenerator
}

func newGrower(t *table, s settings, stream uint64) *grower {
	c := newColumns(t)
	return &grower{settings: s, columns: c, grid: c.grid(t.rows, t.labels), rows: t.rows, labels: t.labels, random: s.chance(stream)}
}

// bootstrap draws as many rows as there are, with replacement.
func (g *grower) bootstrap() []int {
	sample := make([]int, len(g.rows))
	for i := range sample {
		sample[i] = g.random.IntN(len(g.rows))
	}
	return sample
}

// node grows the tree below a node that the sample's rows reach.
func (g *grower) node(sample []int, depth int) *trees.DecisionTreeNode {
	counts := g.count(sample)
	class := mostVotes(counts)
	// A leaf votes for the class with the most rows.
	n := &trees.DecisionTreeNode{Type: trees.LeafNode, Class: g.columns.classes[class], ClassAttr: g.columns.class}
	if depth == g.Depth || counts[class] == len(sample) {
		return n
	}
	best := g.bestSplit(sample)
	if best == nil {
		return n
	}
	n.Type = trees.RuleNode
	n.SplitRule = best.rule
	n.Children = map[string]*trees.DecisionTreeNode{
		below: g.node(best.low, depth+1),
		above: g.node(best.high, depth+1),
	}
	return n
}

// The keys of a node's children: golearn's Predict goes above when the value
// is greater than the split, and below when it is not.
const (
	below = "0"
	above = "1"
)

func (g *grower) count(sample []int) []int {
	counts := make([]int, len(g.columns.classes))
	for _, row := range sample {
		counts[g.labels[row]]++
	}
	return counts
}

// mostVotes returns the index of the largest count, the lowest on a tie.
func mostVotes(counts []int) int { return slices.Index(counts, slices.Max(counts)) }

// split is a rule with the rows on either side of it.
type split struct {
	rule      *trees.DecisionTreeRule
	low, high []int
	// entropy is what is left on both sides, in bits for each row.
	entropy float64
}

// bestSplit draws attributes and returns the split that gains most
// information. When no attribute drawn divides the rows, it goes on to those
// not drawn; it returns nil when none does.
func (g *grower) bestSplit(sample []int) *split {
	var best *split
	view := orderedView{base.NewInstancesViewFromVisible(g.grid, sample, g.columns.all())}
	for i, feature := range g.random.Perm(len(g.columns.features)) {
		if i >= g.Features && best != nil {
			break
		}
		s := g.split(view, sample, feature)
		if s != nil && (best == nil || s.entropy < best.entropy) {
			best = s
		}
	}
	return best
}

// split has golearn find where to split one attribute, and returns nil when
// that leaves a side without MinLeaf rows. golearn is asked for one attribute
// at a time and the attributes are compared here: it subtracts each entropy
// from a base that it sums in the order of a map, so that a rounding would
// decide between attributes that are equally good.
func (g *grower) split(view base.FixedDataGrid, sample []int, feature int) *split {
	s := &split{rule: g.rule.GetSplitRuleFromSelection(g.columns.features[feature:feature+1], view)}
	for _, row := range sample {
		if g.rows[row][feature] > s.rule.SplitVal {
			s.high = append(s.high, row)
		} else {
			s.low = append(s.low, row)
		}
	}
	if len(s.low) < g.MinLeaf || len(s.high) < g.MinLeaf {
		return nil
	}
	for _, side := range [][]int{s.low, s.high} {
		s.entropy += float64(len(side)) / float64(len(sample)) * entropy(g.count(side), len(side))
	}
	return s
}

// entropy is Shannon's, in bits, of a distribution given as counts and their sum.
func entropy(counts []int, total int) float64 {
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			p := float64(n) / float64(total)
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// orderedView is golearn's view with its rows mapped over in their order.
// golearn maps over them in the order of a Go map, and its split rule adds up
// entropies in the order in which it meets the classes: of two equally good
// splits a rounding would choose, differently at each run.
type orderedView struct{ *base.InstancesView }

// MapOverRows calls each for every row in order, until it answers false or an
// error.
func (v orderedView) MapOverRows(specs []base.AttributeSpec, each func([][]byte, int) (bool, error)) error {
	_, rows := v.Size()
	cells := make([][]byte, len(specs))
	for row := range rows {
		for i, spec := range specs {
			cells[i] = v.Get(spec, row)
		}
		if more, err := each(cells, row); err != nil || !more {
			return err
		}
	}
	return nil
}

// votes counts, for each row, the trees that answer each class, by golearn's
// own Predict.
func (f *forest) votes(rows [][]float64) [][]int {
	votes := make([][]int, len(rows))
	for i := range votes {
		votes[i] = make([]int, len(f.columns.classes))
	}
	grid := f.columns.grid(rows, nil)
	for _, tree := range f.trees {
		predictions := must(tree.Predict(grid))
		spec := must(predictions.GetAttribute(f.columns.class))
		for i := range votes {
			votes[i][base.UnpackBytesToU64(predictions.Get(spec, i))]++
		}
	}
	return votes
}
