package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"

	"github.com/tepalhq/tepal/model"
)

// settings are the parameters of a forest.
type settings struct {
	// trees is how many there are, depth how many splits a row passes at most.
	trees, depth int
	// features is how many attributes are drawn at each node, minLeaf how many
	// rows each side of a split keeps at least.
	features, minLeaf int
}

// columns are a table's columns as golearn's attributes. Grids made from the
// same columns are compatible with each other and with the trees grown on them.
type columns struct {
	features []base.Attribute
	class    *base.CategoricalAttribute
	classes  []string
}

func newColumns(features []string, label string, classes model.Classes) *columns {
	c := &columns{class: base.NewCategoricalAttribute(), classes: classes.Texts()}
	for _, name := range features {
		c.features = append(c.features, base.NewFloatAttribute(name))
	}
	c.class.SetName(label)
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
func (c *columns) grid(rows [][]float64, labels []int) (*base.DenseInstances, error) {
	g := base.NewDenseInstances()
	var specs []base.AttributeSpec
	for _, a := range c.all() {
		specs = append(specs, g.AddAttribute(a))
	}
	if err := g.AddClassAttribute(c.class); err != nil {
		return nil, err
	}
	if err := g.Extend(len(rows)); err != nil {
		return nil, err
	}
	class := len(c.features)
	for i, row := range rows {
		for j, v := range row {
			g.Set(specs[j], i, base.PackFloatToBytes(v))
		}
		if labels != nil {
			g.Set(specs[class], i, base.PackU64ToBytes(uint64(labels[i])))
		}
	}
	return g, nil
}

// forest is a set of golearn's trees. Each casts one vote for a row.
type forest struct {
	columns *columns
	trees   []*trees.DecisionTreeNode
}

// trainForest grows a forest on bootstrap samples of rows. All chance comes
// from random, so that the same source gives the same forest. grown is called
// after each tree.
func trainForest(c *columns, rows [][]float64, labels []int, s settings, random *rand.Rand, grown func()) (f *forest, err error) {
	defer recoverGolearn("training the forest", &err)
	grid, err := c.grid(rows, labels)
	if err != nil {
		return nil, fmt.Errorf("golearn: %w", err)
	}
	g := grower{settings: s, columns: c, grid: grid, rows: rows, labels: labels, random: random}
	f = &forest{columns: c}
	for range s.trees {
		f.trees = append(f.trees, g.node(g.bootstrap(), 0))
		grown()
	}
	return f, nil
}

// recoverGolearn turns a panic into an error. golearn answers what it does not
// expect with a panic, and nothing of that may reach the user as a stack.
func recoverGolearn(doing string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("golearn failed while %s: %v", doing, r)
	}
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
	n := g.leaf(sample)
	if depth == g.depth || len(n.ClassDist) == 1 {
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

// leaf makes a leaf that votes for the class with the most rows, the lowest of
// those with equally many.
func (g *grower) leaf(sample []int) *trees.DecisionTreeNode {
	counts := g.count(sample)
	distribution := make(map[string]int)
	for c, n := range counts {
		if n > 0 {
			distribution[g.columns.classes[c]] = n
		}
	}
	return &trees.DecisionTreeNode{
		Type:      trees.LeafNode,
		ClassDist: distribution,
		Class:     g.columns.classes[mostVotes(counts)],
		ClassAttr: g.columns.class,
		SplitRule: &trees.DecisionTreeRule{},
	}
}

func (g *grower) count(sample []int) []int {
	counts := make([]int, len(g.columns.classes))
	for _, row := range sample {
		counts[g.labels[row]]++
	}
	return counts
}

// mostVotes returns the index of the largest count, the lowest on a tie.
func mostVotes(counts []int) int {
	best := 0
	for i, n := range counts {
		if n > counts[best] {
			best = i
		}
	}
	return best
}

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
		if i >= g.features && best != nil {
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
// that leaves a side without minLeaf rows. golearn is asked for one attribute
// at a time and the attributes are compared here: it subtracts each entropy
// from a base that it sums in the order of a map, so that a rounding would
// decide between attributes that are equally good.
func (g *grower) split(view base.FixedDataGrid, sample []int, feature int) *split {
	rule := g.rule.GetSplitRuleFromSelection(g.columns.features[feature:feature+1], view)
	s := &split{rule: rule}
	for _, row := range sample {
		if g.rows[row][feature] > rule.SplitVal {
			s.high = append(s.high, row)
		} else {
			s.low = append(s.low, row)
		}
	}
	if len(s.low) < g.minLeaf || len(s.high) < g.minLeaf {
		return nil
	}
	n := float64(len(sample))
	s.entropy = float64(len(s.low))/n*entropy(g.count(s.low)) + float64(len(s.high))/n*entropy(g.count(s.high))
	return s
}

// entropy is Shannon's, in bits, of a distribution given as counts.
func entropy(counts []int) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
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

// answers returns the index of the class that golearn's Predict gives each
// row, tree by tree: answers[tree][row].
func (f *forest) answers(rows [][]float64) (answers [][]int, err error) {
	defer recoverGolearn("predicting", &err)
	grid, err := f.columns.grid(rows, nil)
	if err != nil {
		return nil, fmt.Errorf("golearn: %w", err)
	}
	for _, tree := range f.trees {
		predictions, err := tree.Predict(grid)
		if err != nil {
			return nil, fmt.Errorf("golearn: %w", err)
		}
		spec, err := predictions.GetAttribute(f.columns.class)
		if err != nil {
			return nil, fmt.Errorf("golearn: %w", err)
		}
		classes := make([]int, len(rows))
		for i := range classes {
			classes[i] = int(base.UnpackBytesToU64(predictions.Get(spec, i)))
		}
		answers = append(answers, classes)
	}
	return answers, nil
}

// votes counts, for each row, the trees that answer each class.
func (f *forest) votes(rows [][]float64) ([][]int, error) {
	answers, err := f.answers(rows)
	if err != nil {
		return nil, err
	}
	votes := make([][]int, len(rows))
	for i := range votes {
		votes[i] = make([]int, len(f.columns.classes))
		for _, answer := range answers {
			votes[i][answer[i]]++
		}
	}
	return votes, nil
}
