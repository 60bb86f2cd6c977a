package tree

import (
	"math"
	"slices"
)

// Bounds is what is known of the scores of every row before there is one.
type Bounds struct {
	// Probabilities: the post transform makes them probabilities.
	Probabilities bool
	// Low and High are the least and the greatest that a score can be, Sum the
	// greatest that a row's scores can be together; infinite when not known.
	Low, High, Sum float64
}

// bound finds the bounds. Those of what the leaves say are wider than need be
// where classes or targets share a tree: a leaf is taken by the sum of its
// votes above zero and of those below.
func (e *ensemble[F]) bound() Bounds {
	switch e.transform {
	case logistic:
		return Bounds{Probabilities: true, High: 1, Sum: float64(e.targets)}
	case softmax, softmaxZero:
		return Bounds{Probabilities: true, High: 1, Sum: 1}
	case probit:
		return Bounds{Low: math.Inf(-1), High: math.Inf(1), Sum: math.Inf(1)}
	}
	b := e.voteBounds()
	if e.aggregate == average {
		n := float64(len(e.roots))
		b = Bounds{Low: b.Low / n, High: b.High / n, Sum: b.Sum / n}
	}
	if len(e.base) > 0 {
		b.Low += float64(slices.Min(e.base))
		b.High += float64(slices.Max(e.base))
		for _, v := range e.base {
			b.Sum += float64(v)
		}
	}
	switch {
	case e.column < 0:
		return b
	case e.positive:
		return Bounds{Low: min(b.Low, 1-b.High), High: max(b.High, 1-b.Low), Sum: 1}
	default:
		most := max(b.High, -b.Low)
		return Bounds{Low: -most, High: most}
	}
}

// voteBounds bounds the sums of the votes of one leaf of each tree.
func (e *ensemble[F]) voteBounds() Bounds {
	// The trees lie one after the other, in the order of the file.
	starts := make([]uint32, len(e.roots)+1)
	for _, r := range e.roots {
		starts[r.tree] = r.node
	}
	starts[len(e.roots)] = uint32(len(e.nodes))
	var b Bounds
	for tree := range e.roots {
		low, high := 0.0, 0.0
		for i := starts[tree]; i < starts[tree+1]; i++ {
			if n := &e.nodes[i]; int(n.feature) == e.columns {
				below, above := e.leafBounds(n)
				low, high = min(low, below), max(high, above)
			}
		}
		b.Low, b.High = b.Low+low, b.High+high
	}
	b.Sum = b.High
	return b
}

// leafBounds sums a leaf's votes below zero and those above it.
func (f *forest[F]) leafBounds(n *node) (below, above float64) {
	first, count := n.votes()
	for _, v := range f.votes[first : first+count] {
		below += min(float64(v.weight), 0)
		above += max(float64(v.weight), 0)
	}
	return below, above
}
