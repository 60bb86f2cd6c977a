package tree

import (
	"math"

	"github.com/tepalhq/tepal/model"
)

// aggregate is how the votes of several trees become one score.
type aggregate uint8

const (
	sum aggregate = iota
	average
	minimum
	maximum
)

// aggregates are ONNX's aggregate_function by name. It is never written to.
var aggregates = map[string]aggregate{"": sum, "SUM": sum, "AVERAGE": average, "MIN": minimum, "MAX": maximum}

// scratch is the working memory of one evaluation.
type scratch[F float] struct {
	// row holds the features of one row as float64, and NaN after the last.
	row []float64
	// scores are the row's scores, one for each target.
	scores []F
	// chosen tells for MIN and MAX whether any tree voted for a target yet.
	chosen []bool
	// leaves is the leaf that the row reaches in each tree.
	leaves []uint32
}

func (f *forest[F]) scratch() *scratch[F] {
	return &scratch[F]{
		row:    make([]float64, f.columns+1),
		scores: make([]F, f.targets),
		chosen: make([]bool, f.targets),
		leaves: make([]uint32, len(f.roots)),
	}
}

// load copies row i of x into s and reports whether it holds a NaN. Integers
// go through float32, as ONNX Runtime's comparison with a float threshold does.
func (s *scratch[F]) load(x *model.Tensor, i int) (missing bool) {
	width := x.Shape[len(x.Shape)-1]
	row := s.row[:len(s.row)-1]
	switch x.Type {
	case model.Float64:
		copy(row, x.Float64s[i*width:])
	case model.Float32:
		fill(row, x.Float32s[i*width:])
	case model.Int64:
		fill(row, x.Int64s[i*width:])
	case model.Int32:
		fill(row, x.Int32s[i*width:])
	}
	s.row[len(row)] = math.NaN()
	for _, v := range row {
		if v != v {
			return true
		}
	}
	return false
}

// fill sets a row from values that are, or are compared as, float32.
func fill[T float32 | int32 | int64](row []float64, values []T) {
	for j, v := range values[:len(row)] {
		row[j] = float64(float32(v))
	}
}

// score fills s.scores from the row at hand. The trees are walked
// in the order that suits the walk, and their votes added in the order of the
// file, on which the last digit of a sum depends.
func (f *forest[F]) score(s *scratch[F], missing bool, how aggregate) {
	clear(s.scores)
	if missing && f.missingLeft != nil {
		f.walkMissing(s.row, s.leaves)
	} else {
		f.walk(s.row, s.leaves)
	}
	if how == minimum || how == maximum {
		f.choose(s, how)
		return
	}
	f.add(s)
}

// add sums the votes of the leaves.
func (f *forest[F]) add(s *scratch[F]) {
	scores := s.scores
	for _, leaf := range s.leaves {
		first, count := f.nodes[leaf].votes()
		for _, v := range f.votes[first : first+count] {
			scores[v.target] += v.weight
		}
	}
}

// choose keeps the least or the greatest vote for each target; 0 for one that
// no leaf votes for.
func (f *forest[F]) choose(s *scratch[F], how aggregate) {
	clear(s.chosen)
	for _, leaf := range s.leaves {
		first, count := f.nodes[leaf].votes()
		for _, v := range f.votes[first : first+count] {
			switch {
			case !s.chosen[v.target]:
				s.scores[v.target] = v.weight
			case how == minimum:
				s.scores[v.target] = min(s.scores[v.target], v.weight)
			default:
				s.scores[v.target] = max(s.scores[v.target], v.weight)
			}
			s.chosen[v.target] = true
		}
	}
}

// walk goes from every root to a leaf, four trees at a time. The number of
// steps depends on the trees alone, never on the row, so there is nothing for
// the processor to guess, and while it waits for one tree's node it works on
// the others'.
func (f *forest[F]) walk(row []float64, leaves []uint32) {
	nodes, roots := f.nodes, f.roots
	for ; len(roots) >= 4; roots = roots[4:] {
		a, b, c, d := roots[0].node, roots[1].node, roots[2].node, roots[3].node
		// Roots are sorted by depth: the first is the deepest of the four.
		for n := roots[0].depth; n > 0; n-- {
			a, b, c, d = nodes[a].next(row), nodes[b].next(row), nodes[c].next(row), nodes[d].next(row)
		}
		leaves[roots[0].tree], leaves[roots[1].tree] = a, b
		leaves[roots[2].tree], leaves[roots[3].tree] = c, d
	}
	for _, r := range roots {
		i := r.node
		for range r.depth {
			i = nodes[i].next(row)
		}
		leaves[r.tree] = i
	}
}

// next is the node that a row goes to from n; n itself when it is a leaf.
func (n *node) next(row []float64) uint32 {
	step := uint32(1)
	if row[n.feature] <= n.threshold {
		step = 0
	}
	return n.child + step
}

// walkMissing is walk for rows with missing values, in forests that send some
// of them left.
func (f *forest[F]) walkMissing(row []float64, leaves []uint32) {
	for _, r := range f.roots {
		i := r.node
		for range r.depth {
			n := &f.nodes[i]
			x := row[n.feature]
			step := uint32(1)
			if x <= n.threshold || x != x && f.missingLeft[i] {
				step = 0
			}
			i = n.child + step
		}
		leaves[r.tree] = i
	}
}
