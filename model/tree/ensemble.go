package tree

import (
	"fmt"
	"sync"

	"github.com/tepalhq/tepal/model"
)

// Ensemble evaluates a TreeEnsembleClassifier or a TreeEnsembleRegressor. It is
// immutable and safe for concurrent use.
type Ensemble interface {
	// Columns is the number of features that a row must have at least.
	Columns() int
	// Evaluate evaluates every row of x, of shape [rows, columns]. It writes a
	// score for each class or target to scores, row by row, unless scores is
	// nil, and a classifier writes the index of each row's class to classes.
	Evaluate(x *model.Tensor, scores []float32, classes []int64)
}

// Options are the attributes of an ensemble beside its trees and labels.
type Options struct {
	// Classifies tells a classifier, whose targets are classes, from a regressor.
	Classifies bool
	// Aggregate is SUM (also when empty), AVERAGE, MIN or MAX; a classifier has
	// none.
	Aggregate string
	// PostTransform is NONE (also when empty), SOFTMAX, LOGISTIC, SOFTMAX_ZERO
	// or PROBIT.
	PostTransform string
	// BaseValues are added to the scores: one for each class or target, or
	// none; of two classes also one alone.
	BaseValues []float64
	// Double sums in float64, as ONNX Runtime does for double inputs, instead
	// of float32.
	Double bool
}

// New compiles an ensemble. Its errors name the tree and node at fault.
func New(a *Attributes, o Options) (Ensemble, error) {
	if o.Double {
		return newEnsemble[float64](a, o)
	}
	return newEnsemble[float32](a, o)
}

type ensemble[F float] struct {
	*forest[F]
	aggregate  aggregate
	transform  transform
	base       []F
	classifies bool
	// oneColumn: two classes whose weights all belong to one of them.
	oneColumn bool
	// positive: no weight is below zero.
	positive bool
	pool     sync.Pool
}

func newEnsemble[F float](a *Attributes, o Options) (*ensemble[F], error) {
	how, known := aggregates[o.Aggregate]
	if !known {
		return nil, fmt.Errorf("unknown aggregate_function %q", o.Aggregate)
	}
	post, known := transforms[o.PostTransform]
	if !known {
		return nil, fmt.Errorf("unknown post_transform %q", o.PostTransform)
	}
	f, err := build[F](a)
	if err != nil {
		return nil, err
	}
	if n := len(o.BaseValues); n != 0 && n != f.targets && (n != 1 || f.targets != 2 || !o.Classifies) {
		return nil, fmt.Errorf("%d base_values for %d classes or targets", n, f.targets)
	}
	e := &ensemble[F]{forest: f, aggregate: how, transform: post, classifies: o.Classifies, oneColumn: f.targets == 2, positive: true}
	for _, v := range o.BaseValues {
		e.base = append(e.base, F(v))
	}
	for _, v := range f.votes {
		e.oneColumn = e.oneColumn && v.target == f.votes[0].target
		e.positive = e.positive && v.weight >= 0
	}
	e.pool.New = func() any { return f.scratch() }
	return e, nil
}

func (e *ensemble[F]) Columns() int { return e.columns }

func (e *ensemble[F]) Evaluate(x *model.Tensor, scores []float32, classes []int64) {
	s := e.pool.Get().(*scratch[F])
	defer e.pool.Put(s)
	for i := range x.Rows() {
		e.score(s, s.load(x, i), e.aggregate)
		switch {
		case !e.classifies:
			e.finishTargets(s)
		case e.targets > 2:
			classes[i] = e.finishMany(s)
		default:
			classes[i] = e.finishTwo(s)
		}
		if scores == nil {
			continue
		}
		for j, v := range s.scores {
			scores[i*e.targets+j] = float32(v)
		}
	}
}

// finishTargets turns the votes into the values of a regression.
func (e *ensemble[F]) finishTargets(s *scratch[F]) {
	scores := s.scores
	for j := range scores {
		if e.aggregate == average {
			scores[j] /= F(len(e.roots))
		}
		if len(e.base) > 0 {
			scores[j] += e.base[j]
		}
	}
	// ONNX Runtime treats a single score in its own way: it keeps its base value
	// and is transformed by PROBIT alone.
	if len(scores) > 1 {
		s.mute()
		apply(e.transform, scores)
	} else if e.transform == probit {
		apply(probit, scores)
	}
}
