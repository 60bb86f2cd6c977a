package main

import (
	"bytes"
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
	tieSearch         = 2000
	thresholdFeatures = 4
	thresholdSplits   = 8
	thresholdBases    = 10
)

// goldenPicker chooses the rows that prove a program: those that are most
// easily answered wrongly. What is expected of them is what golearn's own
// Predict answers, tree by tree.
type goldenPicker struct {
	forest *forest
	table  *table
	// votes are those of the training rows, and hardest their indices by the
	// lead of the winner, closest first.
	votes   [][]int
	hardest []int
	golden  model.Golden
}

// goldenRows chooses rows for the artifact: one of each class at least, those
// with the closest votes, ties, and values on and next to a split. votes are
// the forest's for the training rows.
func goldenRows(f *forest, t *table, votes [][]int, random *rand.Rand) *model.Golden {
	p := goldenPicker{forest: f, table: t, votes: votes, golden: model.Golden{
		Source: "the votes of golearn's own Predict, tree by tree; a tie goes to the first class",
		// ONNX computes probabilities as float32.
		Tolerance: 1e-6,
	}}
	p.hardest = indicesBy(len(votes), func(row int) int { return margin(votes[row]) })
	p.pickClasses()
	p.pickClose()
	p.pickTies(random)
	p.pickThresholds()
	return &p.golden
}

// indicesBy returns the indices below n in the order of their keys.
func indicesBy(n int, key func(i int) int) []int {
	indices := make([]int, n)
	for i := range indices {
		indices[i] = i
	}
	slices.SortStableFunc(indices, func(a, b int) int { return cmp.Compare(key(a), key(b)) })
	return indices
}

// add takes a row and reports whether it did: not one that is there already,
// nor one that JSON cannot write.
func (p *goldenPicker) add(row []float64, votes []int, format string, args ...any) bool {
	golden := model.GoldenRow{Why: fmt.Sprintf(format, args...)}
	for _, n := range votes {
		golden.Probabilities = append(golden.Probabilities, float64(n)/float64(len(p.forest.trees)))
	}
	var err error
	if golden.Instance, err = json.Marshal(row); err != nil {
		return false
	}
	if classes, winner := p.table.classes, mostVotes(votes); len(classes.Ints) > 0 {
		golden.Label, err = json.Marshal(classes.Ints[winner])
	} else {
		golden.Label, err = json.Marshal(classes.Strings[winner])
	}
	there := func(r model.GoldenRow) bool { return bytes.Equal(r.Instance, golden.Instance) }
	if err != nil || slices.ContainsFunc(p.golden.Rows, there) {
		return false
	}
	p.golden.Rows = append(p.golden.Rows, golden)
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
	others := slices.Clone(votes)
	others[first] = -1
	return first, mostVotes(others)
}

func margin(votes []int) int {
	first, second := topTwo(votes)
	return votes[first] - votes[second]
}

func (p *goldenPicker) pickClose() {
	picked := 0
	for _, row := range p.hardest {
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
func (p *goldenPicker) pickTies(random *rand.Rand) {
	rows := make([][]float64, tieSearch)
	for i := range rows {
		rows[i] = p.table.between(random)
	}
	picked := 0
	for i, v := range p.forest.votes(rows) {
		if margin(v) > 0 || picked == tiedRows {
			continue
		}
		first, second := topTwo(v)
		if p.add(rows[i], v, "found by search: %s and %s tie with %s each, and the first class wins",
			p.table.classes.Text(first), p.table.classes.Text(second), count(v[first], "vote")) {
			picked++
		}
	}
}

// between draws a point between two rows of different classes.
func (t *table) between(random *rand.Rand) []float64 {
	a := random.IntN(len(t.rows))
	b := random.IntN(len(t.rows))
	for t.labels[a] == t.labels[b] {
		b = random.IntN(len(t.rows))
	}
	share := random.Float64()
	row := make([]float64, len(t.features))
	for i, v := range t.rows[a] {
		row[i] = (1-share)*v + share*t.rows[b][i]
	}
	return row
}

// pickThresholds takes, for the features that split most nodes, a row whose
// value is a split and the same row with the next number after it, where that
// step changes the answer if it does anywhere: "less or equal" read as "less",
// or a threshold rounded to float32, cannot pass both.
func (p *goldenPicker) pickThresholds() {
	splits := p.forest.splits()
	byNodes := indicesBy(len(splits), func(feature int) int { return -len(splits[feature]) })
	for _, feature := range byNodes[:min(thresholdFeatures, len(byNodes))] {
		if len(splits[feature]) == 0 {
			break
		}
		p.pickThreshold(feature, mostFrequent(splits[feature]))
	}
}

func (p *goldenPicker) pickThreshold(feature int, thresholds []float64) {
	// Rows stand in pairs: on a split, and just after it.
	var rows [][]float64
	for _, threshold := range thresholds[:min(thresholdSplits, len(thresholds))] {
		for _, base := range p.hardest[:min(thresholdBases, len(p.hardest))] {
			on, after := slices.Clone(p.table.rows[base]), slices.Clone(p.table.rows[base])
			on[feature], after[feature] = threshold, math.Nextafter(threshold, math.Inf(1))
			rows = append(rows, on, after)
		}
	}
	votes := p.forest.votes(rows)
	best := 0
	for on := 0; on < len(rows); on += 2 {
		if effect(votes[on], votes[on+1]) > effect(votes[best], votes[best+1]) {
			best = on
		}
	}
	name, threshold := p.table.features[feature], rows[best][feature]
	p.add(rows[best], votes[best], "%s is exactly on the split %v", name, threshold)
	p.add(rows[best+1], votes[best+1], "%s is the next number after the split %v", name, threshold)
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

// splits returns the thresholds of each feature, one for each node that splits.
func (f *forest) splits() [][]float64 {
	splits := make([][]float64, len(f.columns.features))
	var visit func(n *trees.DecisionTreeNode)
	visit = func(n *trees.DecisionTreeNode) {
		if n.Children == nil {
			return
		}
		feature := slices.Index(f.columns.features, n.SplitRule.SplitAttr)
		splits[feature] = append(splits[feature], n.SplitRule.SplitVal)
		visit(n.Children[below])
		visit(n.Children[above])
	}
	for _, tree := range f.trees {
		visit(tree)
	}
	return splits
}

// mostFrequent returns the distinct values, those that stand most often first,
// and the lower of those that stand as often.
func mostFrequent(values []float64) []float64 {
	times := make(map[float64]int)
	for _, v := range values {
		times[v]++
	}
	distinct := slices.Sorted(maps.Keys(times))
	slices.SortStableFunc(distinct, func(a, b float64) int { return cmp.Compare(times[b], times[a]) })
	return distinct
}
