package tree

import (
	"fmt"
	"sync"

	"github.com/tepalhq/tepal/model"
)

// Classifier evaluates a TreeEnsembleClassifier. It is immutable and safe for
// concurrent use.
type Classifier interface {
	// Columns is the number of features that a row must have at least.
	Columns() int
	// Targets is the number of classes.
	Targets() int
	// Classify evaluates every row of x, of shape [rows, columns]. It writes
	// the index of each row's class to classes and Targets scores for each row
	// to scores, row by row.
	Classify(x *model.Tensor, classes []int, scores []float32)
}

// ClassifierOptions are the attributes of a TreeEnsembleClassifier beside its
// trees and labels.
type ClassifierOptions struct {
	// PostTransform is NONE (also when empty), SOFTMAX, LOGISTIC, SOFTMAX_ZERO
	// or PROBIT.
	PostTransform string
	// BaseValues are added to the scores: one for each class, or none; a
	// single one is allowed with two classes.
	BaseValues []float64
	// Double sums in float64, as ONNX Runtime does for double inputs, instead
	// of float32.
	Double bool
}

// NewClassifier compiles a classifier. Its errors name the tree and node at fault.
func NewClassifier(a *Attributes, o ClassifierOptions) (Classifier, error) {
	if o.Double {
		return newClassifier[float64](a, o)
	}
	return newClassifier[float32](a, o)
}

type classifier[F float] struct {
	*forest[F]
	transform transform
	base      []F
	// oneColumn: two classes whose weights all belong to one of them.
	oneColumn bool
	// positive: no weight is below zero.
	positive bool
	pool     sync.Pool
}

func newClassifier[F float](a *Attributes, o ClassifierOptions) (*classifier[F], error) {
	post, err := parseTransform(o.PostTransform)
	if err != nil {
		return nil, err
	}
	f, err := build[F](a)
	if err != nil {
		return nil, err
	}
	if n := len(o.BaseValues); n != 0 && n != f.targets && (n != 1 || f.targets != 2) {
		return nil, fmt.Errorf("%d base_values for %d classes", n, f.targets)
	}
	c := &classifier[F]{forest: f, transform: post, base: convert[F](o.BaseValues), oneColumn: f.targets == 2, positive: true}
	for _, v := range f.votes {
		c.oneColumn = c.oneColumn && v.target == f.votes[0].target
		c.positive = c.positive && v.weight >= 0
	}
	c.pool.New = func() any { return f.scratch() }
	return c, nil
}

func (c *classifier[F]) Columns() int { return c.columns }
func (c *classifier[F]) Targets() int { return c.targets }

func (c *classifier[F]) Classify(x *model.Tensor, classes []int, scores []float32) {
	s := c.pool.Get().(*scratch[F])
	defer c.pool.Put(s)
	for i := range x.Rows() {
		c.score(s, s.load(x, i), sum)
		if c.targets > 2 {
			classes[i] = c.finishMany(s)
		} else {
			classes[i] = c.finishTwo(s)
		}
		for j, v := range s.scores {
			scores[i*c.targets+j] = float32(v)
		}
	}
}

// finishMany adds the base values and picks the class of the highest score,
// the first of equals; a class that no tree voted for is no candidate.
func (c *classifier[F]) finishMany(s *scratch[F]) int {
	scores, scored := s.scores, s.scored
	for j, v := range c.base {
		scores[j] += v
		scored[j] = true
	}
	best := -1
	for j, v := range scores {
		if scored[j] && (best < 0 || v > scores[best]) {
			best = j
		}
	}
	apply(c.transform, scores)
	return max(best, 0)
}

// finishTwo follows ONNX Runtime, down to its oddities, where the specification
// leaves two classes open. Exporters give one class's column of weights and
// mean the score of the second class by it; its complement is the first's.
func (c *classifier[F]) finishTwo(s *scratch[F]) int {
	scores := s.scores
	second := c.targets == 2 && s.scored[1]
	single := !second
	switch {
	case len(c.base) == 2 && second:
		scores[1] = c.base[1] + scores[0]
		scores[0] = -scores[1]
	case len(c.base) == 2:
		scores[0] += c.base[0]
		scores[1] += c.base[1]
		single = false
	case len(c.base) == 1:
		scores[0] += c.base[0]
	}
	decisive := scores[0]
	if second {
		decisive = scores[1]
	}
	limit := F(0)
	if c.oneColumn && c.positive {
		limit = 0.5
	}
	if single {
		c.complete(scores)
	} else {
		s.mute()
		apply(c.transform, scores)
	}
	if decisive > limit {
		return c.targets - 1
	}
	return 0
}

// complete turns the only score of two classes into both.
func (c *classifier[F]) complete(scores []F) {
	v := scores[0]
	switch {
	case len(scores) == 1:
		if c.transform == probit {
			apply(probit, scores)
		}
	case c.transform == logistic:
		scores[0], scores[1] = F(sigmoid(float32(-v))), F(sigmoid(float32(v)))
	case c.oneColumn && c.positive:
		scores[0], scores[1] = 1-v, v
	default:
		scores[0], scores[1] = -v, v
	}
}
