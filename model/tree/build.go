// Package tree evaluates ensembles of decision trees, the hot path of Tepal.
// It takes the attributes of ONNX's TreeEnsembleClassifier and
// TreeEnsembleRegressor (ai.onnx.ml, opsets 1 and 3), checks them once, and
// lays every tree out as a flat array that is walked without a branch that
// could be mispredicted and without an allocation.
package tree

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Attributes are the node and weight columns of a tree ensemble operator, as
// ONNX stores them. The slices of nodes have one length, those of weights
// another; MissingTracksTrue and Covers may be empty.
type Attributes struct {
	TreeIDs, NodeIDs, FeatureIDs []int64
	Modes                        []string
	TrueIDs, FalseIDs            []int64
	// Thresholds are nodes_values; float32 values stand here exactly.
	Thresholds        []float64
	MissingTracksTrue []int64
	// Covers are nodes_hitrates: how many training rows reached each node, or
	// their share. They have no part in an answer.
	Covers []float64

	WeightTreeIDs, WeightNodeIDs []int64
	// WeightTargets are class indices or target indices, from 0 to Targets-1.
	WeightTargets []int64
	Weights       []float64
	// Targets is the number of classes or targets.
	Targets int
}

// MaxTargets bounds the classes or targets of an ensemble, so that a row's
// scores stay small whatever a file claims.
const MaxTargets = 1 << 16

// float is the type that scores are summed in: ONNX Runtime's threshold type,
// float for float inputs and double for double ones.
type float interface{ float32 | float64 }

// node is one node in the flat form. A row goes to child when its feature is
// at or below threshold, and to child+1 otherwise, so every comparison of
// ONNX is rewritten to that one.
//
// A leaf's feature is the column after the last, which always holds NaN: no
// comparison with it succeeds, so a leaf whose child is itself minus one is
// stepped onto again and again, and its threshold is free to hold the place
// of its votes.
type node struct {
	threshold float64
	feature   uint32
	child     uint32
}

// vote is what a leaf adds to a target.
type vote[F float] struct {
	target uint32
	weight F
}

// votes is the range of a leaf's votes.
func (n *node) votes() (first, count uint32) {
	bits := math.Float64bits(n.threshold)
	return uint32(bits >> 32), uint32(bits)
}

// root is where a tree starts, how many steps reach its deepest leaf, and the
// tree's place in the file.
type root struct{ node, depth, tree uint32 }

// forest is the flat form of all trees.
type forest[F float] struct {
	nodes []node
	// roots are sorted by depth, the deepest first.
	roots []root
	votes []vote[F]
	// missingLeft tells for each node whether a missing (NaN) value goes to
	// child instead of child+1; nil when it never does.
	missingLeft []bool
	// covers are Attributes.Covers by node; nil when the file has none. A node
	// that stands twice has its cover twice, and so have both comparisons that
	// an "equal" is made of.
	covers  []float64
	targets int
	// columns is the number of features that a row must have at least.
	columns int
}

// build checks the attributes and lays the trees out.
func build[F float](a *Attributes) (*forest[F], error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	b := builder[F]{attributes: a, forest: &forest[F]{targets: a.Targets}, reached: make([]bool, len(a.NodeIDs))}
	if err := b.link(); err != nil {
		return nil, err
	}
	if err := b.collectVotes(); err != nil {
		return nil, err
	}
	for i, f := range a.FeatureIDs {
		if b.yes[i] >= 0 {
			b.forest.columns = max(b.forest.columns, int(f)+1)
		}
	}
	for _, r := range b.roots {
		b.layOut(r)
	}
	// As no node has two parents, those that no root leads to are on a cycle or
	// below one; so are all nodes of a tree without a root.
	if i := slices.Index(b.reached, false); i >= 0 {
		return nil, fmt.Errorf("%v cannot be reached from the root of its tree: it is on a cycle or below one", b.key(i))
	}
	slices.SortStableFunc(b.forest.roots, func(x, y root) int { return cmp.Compare(y.depth, x.depth) })
	if !slices.Contains(b.forest.missingLeft, true) {
		b.forest.missingLeft = nil
	}
	return b.forest, nil
}

func (a *Attributes) check() error {
	if len(a.NodeIDs) == 0 {
		return errors.New("no nodes")
	}
	n := len(a.NodeIDs)
	if n > math.MaxInt32/4 {
		return fmt.Errorf("%d nodes are more than can be indexed", n)
	}
	for _, c := range []struct {
		name string
		got  int
	}{
		{"nodes_treeids", len(a.TreeIDs)}, {"nodes_featureids", len(a.FeatureIDs)}, {"nodes_modes", len(a.Modes)},
		{"nodes_truenodeids", len(a.TrueIDs)}, {"nodes_falsenodeids", len(a.FalseIDs)}, {"nodes_values", len(a.Thresholds)},
		{"nodes_missing_value_tracks_true", cmp.Or(len(a.MissingTracksTrue), n)}, {"nodes_hitrates", cmp.Or(len(a.Covers), n)},
	} {
		if c.got != n {
			return fmt.Errorf("%s has %d values for the %d of nodes_nodeids", c.name, c.got, n)
		}
	}
	w := len(a.Weights)
	if len(a.WeightTreeIDs) != w || len(a.WeightNodeIDs) != w || len(a.WeightTargets) != w {
		return fmt.Errorf("the columns of weights differ in length: %d tree ids, %d node ids, %d targets, %d weights",
			len(a.WeightTreeIDs), len(a.WeightNodeIDs), len(a.WeightTargets), w)
	}
	if a.Targets < 1 || a.Targets > MaxTargets {
		return fmt.Errorf("%d classes or targets are outside 1 to %d", a.Targets, MaxTargets)
	}
	return nil
}

// key names a node as ONNX does.
type key struct{ tree, node int64 }

func (k key) String() string { return fmt.Sprintf("tree %d node %d", k.tree, k.node) }

// builder turns attributes into a forest. Its slices run parallel to the
// columns of nodes.
type builder[F float] struct {
	attributes *Attributes
	forest     *forest[F]
	// places are the nodes by their ids.
	places map[key]int
	// yes and no are the places of a node's children, -1 for a leaf.
	yes, no []int
	// roots are the places of the roots.
	roots []int
	// first is where a leaf's votes begin; they end where those of the next do.
	first []uint32
	// reached are the nodes that are laid out.
	reached []bool
}

func (b *builder[F]) key(i int) key {
	return key{b.attributes.TreeIDs[i], b.attributes.NodeIDs[i]}
}

// link resolves ids to places, and sees that every node has one parent but for
// a single root of each tree.
func (b *builder[F]) link() error {
	a := b.attributes
	b.places = make(map[key]int, len(a.NodeIDs))
	for i := range a.NodeIDs {
		if _, twice := b.places[b.key(i)]; twice {
			return fmt.Errorf("%v stands twice", b.key(i))
		}
		b.places[b.key(i)] = i
	}
	b.yes, b.no = make([]int, len(a.NodeIDs)), make([]int, len(a.NodeIDs))
	parented := make([]bool, len(a.NodeIDs))
	for i := range a.NodeIDs {
		b.yes[i], b.no[i] = -1, -1
		if a.Modes[i] == "LEAF" {
			continue
		}
		if err := b.checkSplit(i); err != nil {
			return err
		}
		for _, side := range []struct {
			id    int64
			place *int
		}{{a.TrueIDs[i], &b.yes[i]}, {a.FalseIDs[i], &b.no[i]}} {
			child, ok := b.places[key{a.TreeIDs[i], side.id}]
			if !ok {
				return fmt.Errorf("%v has the child %d, which its tree does not have", b.key(i), side.id)
			}
			if parented[child] {
				return fmt.Errorf("%v is the child of more than one node", b.key(child))
			}
			parented[child] = true
			*side.place = child
		}
	}
	return b.findRoots(parented)
}

func (b *builder[F]) checkSplit(i int) error {
	a := b.attributes
	if _, known := modes[a.Modes[i]]; !known {
		return fmt.Errorf("%v has the unknown mode %q", b.key(i), a.Modes[i])
	}
	if math.IsNaN(a.Thresholds[i]) {
		return fmt.Errorf("%v has the threshold NaN", b.key(i))
	}
	if f := a.FeatureIDs[i]; f < 0 || f >= math.MaxInt32 {
		return fmt.Errorf("%v has the feature id %d", b.key(i), f)
	}
	return nil
}

// findRoots finds each tree's only parentless node.
func (b *builder[F]) findRoots(parented []bool) error {
	roots := make(map[int64]int)
	for i, tree := range b.attributes.TreeIDs {
		if parented[i] {
			continue
		}
		if other, twice := roots[tree]; twice {
			return fmt.Errorf("%v and %v are both roots of one tree", b.key(other), b.key(i))
		}
		roots[tree] = i
		b.roots = append(b.roots, i)
	}
	return nil
}

// collectVotes sorts the weights by leaf, in the order that they are listed.
func (b *builder[F]) collectVotes() error {
	a := b.attributes
	b.first = make([]uint32, len(a.NodeIDs)+1)
	leaf := make([]int, len(a.Weights))
	for j := range a.Weights {
		k := key{a.WeightTreeIDs[j], a.WeightNodeIDs[j]}
		place, ok := b.places[k]
		switch {
		case !ok:
			return fmt.Errorf("weight %d is for %v, which does not exist", j, k)
		case b.yes[place] >= 0:
			return fmt.Errorf("weight %d is for %v, which is no leaf", j, k)
		case a.WeightTargets[j] < 0 || a.WeightTargets[j] >= int64(a.Targets):
			return fmt.Errorf("weight %d of %v is for the class or target %d of %d", j, k, a.WeightTargets[j], a.Targets)
		case math.IsNaN(a.Weights[j]):
			return fmt.Errorf("weight %d of %v is NaN", j, k)
		}
		leaf[j] = place
		b.first[place+1]++
	}
	for i := range a.NodeIDs {
		b.first[i+1] += b.first[i]
	}
	b.forest.votes = make([]vote[F], len(leaf))
	next := slices.Clone(b.first)
	for j, place := range leaf {
		b.forest.votes[next[place]] = vote[F]{uint32(a.WeightTargets[j]), F(a.Weights[j])}
		next[place]++
	}
	return nil
}

// place is work left: a node of the attributes and the slot it goes to.
type place struct {
	node  int
	slot  uint32
	depth uint32
}

// layOut writes one tree, level by level, so that siblings are neighbours and
// the nodes that every row visits lie close together.
func (b *builder[F]) layOut(top int) {
	f := b.forest
	start := b.slots(1)
	depth := uint32(0)
	var copies [][2]uint32
	for queue := []place{{top, start, 0}}; len(queue) > 0; queue = queue[1:] {
		p := queue[0]
		depth = max(depth, p.depth)
		b.reached[p.node] = true
		b.cover(p.slot, p.node)
		if b.yes[p.node] < 0 {
			first, next := b.first[p.node], b.first[p.node+1]
			votes := uint64(first)<<32 | uint64(next-first)
			f.nodes[p.slot] = node{threshold: math.Float64frombits(votes), feature: uint32(f.columns), child: p.slot - 1}
			continue
		}
		s := b.split(p.node)
		child := b.slots(2)
		f.nodes[p.slot], f.missingLeft[p.slot] = node{s.threshold, s.feature, child}, s.missingLeft
		left, next := child, p.depth+1
		if s.equal {
			// x = t is "x at or below t, and not at or below the number before
			// t"; both ways of failing lead to the same node, which stands
			// twice and shares its children. Its depth is that of the deeper.
			inner := b.slots(2)
			f.nodes[child] = node{before(s.threshold), s.feature, inner}
			b.cover(child, p.node)
			copies = append(copies, [2]uint32{inner, child + 1})
			left, next = inner+1, p.depth+2
		}
		queue = append(queue, place{s.left, left, next}, place{s.right, child + 1, next})
	}
	// The copy of a leaf steps onto the leaf, which has the same votes.
	for _, c := range copies {
		f.nodes[c[0]], f.missingLeft[c[0]] = f.nodes[c[1]], f.missingLeft[c[1]]
		if f.covers != nil {
			f.covers[c[0]] = f.covers[c[1]]
		}
	}
	f.roots = append(f.roots, root{start, depth, uint32(len(f.roots))})
}

// cover notes the cover of a node of the attributes at a slot.
func (b *builder[F]) cover(slot uint32, node int) {
	if b.forest.covers != nil {
		b.forest.covers[slot] = b.attributes.Covers[node]
	}
}

// mode is a comparison in terms of the one that the walk knows, which sends
// what is at or below a threshold left.
type mode struct {
	// below takes the number before the threshold for it.
	below bool
	// swap sends what the comparison is true of right.
	swap bool
	// equal sends nothing but the threshold itself left.
	equal bool
}

// modes are the comparisons that there are. It is never written to.
var modes = map[string]mode{
	"BRANCH_LEQ": {}, "BRANCH_LT": {below: true}, "BRANCH_EQ": {equal: true},
	"BRANCH_GT": {swap: true}, "BRANCH_GTE": {below: true, swap: true}, "BRANCH_NEQ": {equal: true, swap: true},
}

// split is a node's comparison as the walk makes it, and the places of the
// nodes to either side.
type split struct {
	mode
	feature     uint32
	threshold   float64
	left, right int
	missingLeft bool
}

// split rewrites a node's comparison. A missing value fails every comparison,
// "not equal" too, unless the node tracks it as true.
func (b *builder[F]) split(i int) split {
	a := b.attributes
	s := split{
		mode: modes[a.Modes[i]], feature: uint32(a.FeatureIDs[i]), threshold: a.Thresholds[i], left: b.yes[i], right: b.no[i],
		missingLeft: len(a.MissingTracksTrue) > 0 && a.MissingTracksTrue[i] != 0,
	}
	if s.below {
		s.threshold = before(s.threshold)
	}
	if s.swap {
		s.left, s.right, s.missingLeft = s.right, s.left, !s.missingLeft
	}
	return s
}

// before returns the largest number below t; NaN, which nothing is at or
// below, when there is none.
func before(t float64) float64 {
	if math.IsInf(t, -1) {
		return math.NaN()
	}
	return math.Nextafter(t, math.Inf(-1))
}

func (b *builder[F]) slots(n int) uint32 {
	f := b.forest
	start := len(f.nodes)
	f.nodes = append(f.nodes, make([]node, n)...)
	f.missingLeft = append(f.missingLeft, make([]bool, n)...)
	if len(b.attributes.Covers) > 0 {
		f.covers = append(f.covers, make([]float64, n)...)
	}
	return uint32(start)
}
