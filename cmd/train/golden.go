package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sjwhitworth/golearn/trees"

	"github.com/tepalhq/tepal/model"
)

// How many golden rows of each kind are chosen, and how far is searched.
const (
	closeRows         = 4
	tiedRows          = 2
	thresholdFeatures = 4
	thresholdSplits   = 8
	thresholdBases    = 10
	tieBatches        = 8
	tieBatchRows      = 250
)

// goldenTolerance is the largest difference allowed in a probability: ONNX
// computes them as float32.
const goldenTolerance = 1e-6

// goldenPicker chooses the rows that prove a program: those that are most
// easily answered wrongly. What is expected of them is what golearn's own
// Predict answers, tree by tree.
type goldenPicker struct {
	forest *forest
	table  *table
	// votes are those of the training rows.
	votes  [][]int
	random *rand.Rand

	rows []goldenCandidate
	seen map[string]bool
}

type goldenCandidate struct {
	row   []float64
	votes []int
	why   string
}

// goldenRows chooses rows for the artifact: one of each class at least, those
// with the closest votes, ties, and values on and next to a split.
func goldenRows(f *forest, t *table, votes [][]int, random *rand.Rand) (*model.Golden, error) {
	p := goldenPicker{forest: f, table: t, votes: votes, random: random, seen: make(map[string]bool)}
	p.pickClasses()
	hardest := p.hardest()
	p.pickClose(hardest)
	if err := p.pickTies(); err != nil {
		return nil, err
	}
	if err := p.pickThresholds(hardest); err != nil {
		return nil, err
	}
	golden := &model.Golden{
		Source:    "the votes of golearn's own Predict, tree by tree; a tie goes to the first class",
		Tolerance: goldenTolerance,
	}
	for _, c := range p.rows {
		row, err := c.golden(t.classes)
		if err != nil {
			return nil, err
		}
		golden.Rows = append(golden.Rows, row)
	}
	return golden, nil
}

func (c goldenCandidate) golden(classes model.Classes) (model.GoldenRow, error) {
	instance, err := json.Marshal(c.row)
	if err != nil {
		return model.GoldenRow{}, err
	}
	label, err := marshalClass(classes, mostVotes(c.votes))
	if err != nil {
		return model.GoldenRow{}, err
	}
	trees := 0
	for _, n := range c.votes {
		trees += n
	}
	row := model.GoldenRow{Instance: instance, Label: label, Why: c.why}
	for _, n := range c.votes {
		row.Probabilities = append(row.Probabilities, float64(n)/float64(trees))
	}
	return row, nil
}

// marshalClass writes class i as JSON: a string or an integer.
func marshalClass(classes model.Classes, i int) ([]byte, error) {
	if len(classes.Ints) > 0 {
		return json.Marshal(classes.Ints[i])
	}
	return json.Marshal(classes.Strings[i])
}

// add takes a row unless it is there already, and reports whether it did.
func (p *goldenPicker) add(row []float64, votes []int, format string, args ...any) bool {
	key := fmt.Sprint(row)
	if p.seen[key] {
		return false
	}
	p.seen[key] = true
	p.rows = append(p.rows, goldenCandidate{row, votes, fmt.Sprintf(format, args...)})
	return true
}

// pickClasses takes, of each class, the first row with the most votes for it.
func (p *goldenPicker) pickClasses() {
	for class := range p.table.classes.Len() {
		best := -1
		for row, label := range p.table.labels {
			if label == class && (best < 0 || p.votes[row][class] > p.votes[best][class]) {
				best = row
			}
		}
		p.add(p.table.rows[best], p.votes[best], "training row %d: class %s with %d of %s",
			best+1, p.table.classes.Text(class), p.votes[best][class], count(len(p.forest.trees), "vote"))
	}
}

// topTwo returns the classes with the most and the second most votes, the
// lower class first on a tie.
func topTwo(votes []int) (first, second int) {
	first = mostVotes(votes)
	second = -1
	for class, n := range votes {
		if class != first && (second < 0 || n > votes[second]) {
			second = class
		}
	}
	return first, second
}

func margin(votes []int) int {
	first, second := topTwo(votes)
	return votes[first] - votes[second]
}

// hardest returns the training rows by the lead of their winner, closest first.
func (p *goldenPicker) hardest() []int {
	order := make([]int, len(p.votes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(margin(p.votes[a]), margin(p.votes[b])) })
	return order
}

func (p *goldenPicker) pickClose(hardest []int) {
	picked := 0
	for _, row := range hardest {
		if picked == closeRows {
			return
		}
		first, second := topTwo(p.votes[row])
		if p.add(p.table.rows[row], p.votes[row], "training row %d: a close vote, %d for %s and %d for %s", row+1,
			p.votes[row][first], p.table.classes.Text(first), p.votes[row][second], p.table.classes.Text(second)) {
			picked++
		}
	}
}

// pickTies searches for ties on the way from a row of one class to a row of
// another, where the votes change sides. There may be none to find: an odd
// number of trees cannot tie between two classes.
func (p *goldenPicker) pickTies() error {
	picked := 0
	for range tieBatches {
		rows := make([][]float64, tieBatchRows)
		for i := range rows {
			rows[i] = p.between()
		}
		votes, err := p.forest.votes(rows)
		if err != nil {
			return err
		}
		for i, v := range votes {
			if margin(v) != 0 {
				continue
			}
			first, second := topTwo(v)
			if p.add(rows[i], v, "found by search: %s and %s tie with %s each, and the first class wins",
				p.table.classes.Text(first), p.table.classes.Text(second), count(v[first], "vote")) {
				picked++
			}
			if picked == tiedRows {
				return nil
			}
		}
	}
	return nil
}

// between draws a point between two training rows of different classes.
func (p *goldenPicker) between() []float64 {
	a := p.random.IntN(len(p.table.rows))
	b := p.random.IntN(len(p.table.rows))
	for p.table.labels[a] == p.table.labels[b] {
		b = p.random.IntN(len(p.table.rows))
	}
	t := p.random.Float64()
	row := make([]float64, len(p.table.features))
	for i, v := range p.table.rows[a] {
		row[i] = (1-t)*v + t*p.table.rows[b][i]
	}
	return row
}

// pickThresholds takes, for the features that split most nodes, a row whose
// value is a split and the same row with the next number after it, where that
// step changes the answer if it does anywhere: "less or equal" read as "less",
// or a threshold rounded to float32, cannot pass both.
func (p *goldenPicker) pickThresholds(hardest []int) error {
	splits := p.forest.splits()
	order := make([]int, len(splits))
	for i := range order {
		order[i] = i
	}
	total := func(feature int) (n int) {
		for _, s := range splits[feature] {
			n += s.nodes
		}
		return n
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(total(b), total(a)) })
	for _, feature := range order[:min(thresholdFeatures, len(order))] {
		if len(splits[feature]) == 0 {
			continue
		}
		if err := p.pickThreshold(feature, splits[feature], hardest); err != nil {
			return err
		}
	}
	return nil
}

func (p *goldenPicker) pickThreshold(feature int, splits []splitCount, hardest []int) error {
	// Rows stand in pairs: on a split, and just after it.
	var rows [][]float64
	var thresholds []float64
	for _, s := range splits[:min(thresholdSplits, len(splits))] {
		for _, base := range hardest[:min(thresholdBases, len(hardest))] {
			on, after := slices.Clone(p.table.rows[base]), slices.Clone(p.table.rows[base])
			on[feature], after[feature] = s.threshold, math.Nextafter(s.threshold, math.Inf(1))
			rows = append(rows, on, after)
			thresholds = append(thresholds, s.threshold)
		}
	}
	votes, err := p.forest.votes(rows)
	if err != nil {
		return err
	}
	best := 0
	for pair := range thresholds {
		if effect(votes[2*pair], votes[2*pair+1]) > effect(votes[2*best], votes[2*best+1]) {
			best = pair
		}
	}
	name := p.table.features[feature]
	p.add(rows[2*best], votes[2*best], "%s is exactly on the split %v", name, thresholds[best])
	p.add(rows[2*best+1], votes[2*best+1], "%s is the next number after the split %v", name, thresholds[best])
	return nil
}

// effect ranks how much a step across a split changes: 2 for the label, 1 for
// votes alone, 0 for nothing.
func effect(on, after []int) int {
	switch {
	case mostVotes(on) != mostVotes(after):
		return 2
	case !slices.Equal(on, after):
		return 1
	}
	return 0
}

// splitCount is a threshold and the number of nodes that split there.
type splitCount struct {
	threshold float64
	nodes     int
}

// splits returns each feature's thresholds, the most frequent first.
func (f *forest) splits() [][]splitCount {
	counts := make([]map[float64]int, len(f.columns.features))
	for i := range counts {
		counts[i] = make(map[float64]int)
	}
	var visit func(n *trees.DecisionTreeNode)
	visit = func(n *trees.DecisionTreeNode) {
		if n.Children == nil {
			return
		}
		counts[slices.Index(f.columns.features, n.SplitRule.SplitAttr)][n.SplitRule.SplitVal]++
		visit(n.Children[below])
		visit(n.Children[above])
	}
	for _, tree := range f.trees {
		visit(tree)
	}
	splits := make([][]splitCount, len(counts))
	for i, nodes := range counts {
		for _, threshold := range slices.Sorted(maps.Keys(nodes)) {
			splits[i] = append(splits[i], splitCount{threshold, nodes[threshold]})
		}
		slices.SortStableFunc(splits[i], func(a, b splitCount) int { return cmp.Compare(b.nodes, a.nodes) })
	}
	return splits
}
