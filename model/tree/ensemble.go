package tree

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/tepalhq/tepal/model"
)

// Ensemble evaluates a TreeEnsembleClassifier or a TreeEnsembleRegressor. It is
// immutable and safe for concurrent use.
type Ensemble interface {
	// Columns is the number of features that a row must have at least.
	Columns() int
	// Bounds is what every row's scores keep to, but for rounding.
	Bounds() Bounds
	// Evaluate evaluates every row of x, of shape [rows, columns]. It writes a
	// score for each class or target to scores, row by row, unless scores is
	// nil, and a classifier writes the index of each row's class to classes:
	// the class of the highest score, the first of equals.
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
	// none. Two classes of which one has all the weights have one score, and so
	// one base value. When all are 0 their number does not matter: skl2onnx
	// writes a single 0 for any number of classes.
	BaseValues []float64
	// Double sums in float64, for double inputs, instead of float32.
	Double bool
}

// New compiles an ensemble. Its errors name the tree and node at fault.
func New(a *Attributes, o Options) (Ensemble, error) {
	// Of a forest's two probabilities one is what is left to 1: it has as many
	// digits as the sum of the other.
	if o.Double || o.Classifies && a.column() >= 0 && a.positive() && transforms[o.PostTransform] == none {
		return newEnsemble[float64](a, o)
	}
	return newEnsemble[float32](a, o)
}

// column is the one of two classes that all weights belong to; -1 when there
// are more classes or fewer, weights for both, or none.
func (a *Attributes) column() int {
	if a.Targets != 2 || len(a.WeightTargets) == 0 {
		return -1
	}
	only := a.WeightTargets[0]
	if slices.ContainsFunc(a.WeightTargets, func(t int64) bool { return t != only }) {
		return -1
	}
	return int(only)
}

// positive reports whether no weight is below zero.
func (a *Attributes) positive() bool {
	return !slices.ContainsFunc(a.Weights, func(w float64) bool { return w < 0 })
}

type ensemble[F float] struct {
	*forest[F]
	aggregate  aggregate
	transform  transform
	base       []F
	classifies bool
	// column is Attributes.column of a classifier, and positive its positive.
	column   int
	positive bool
	bounds   Bounds
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
	if !slices.ContainsFunc(o.BaseValues, func(v float64) bool { return v != 0 }) {
		o.BaseValues = nil
	}
	f, err := build[F](a)
	if err != nil {
		return nil, err
	}
	e := &ensemble[F]{forest: f, aggregate: how, transform: post, classifies: o.Classifies, column: -1, positive: a.positive()}
	if o.Classifies {
		e.column = a.column()
	}
	if err := e.checkOptions(&o); err != nil {
		return nil, err
	}
	for _, v := range o.BaseValues {
		e.base = append(e.base, F(v))
	}
	e.bounds = e.bound()
	e.pool.New = func() any { return f.scratch() }
	return e, nil
}

// checkOptions refuses what has no meaning for the targets that there are.
func (e *ensemble[F]) checkOptions(o *Options) error {
	if e.targets == 1 && (e.transform == softmax || e.transform == softmaxZero) {
		return fmt.Errorf("post_transform %s makes a single class or target 1 in every row", o.PostTransform)
	}
	for i, v := range o.BaseValues {
		if math.IsNaN(v) {
			return fmt.Errorf("base value %d is NaN", i)
		}
	}
	n := len(o.BaseValues)
	switch {
	case n == 0, n == e.targets && e.column < 0, n == 1 && e.column >= 0:
		return nil
	case e.column >= 0:
		return fmt.Errorf("%d base_values for two classes of which one has all the weights: it takes one", n)
	default:
		return fmt.Errorf("%d base_values for %d classes or targets", n, e.targets)
	}
}

func (e *ensemble[F]) Columns() int { return e.columns }

func (e *ensemble[F]) Bounds() Bounds { return e.bounds }

func (e *ensemble[F]) Evaluate(x *model.Tensor, scores []float32, classes []int64) {
	s := e.pool.Get().(*scratch[F])
	defer e.pool.Put(s)
	for i := range x.Rows() {
		e.score(s, s.load(x, i), e.aggregate)
		if e.classifies {
			classes[i] = e.finishClasses(s.scores)
		} else {
			e.finishTargets(s.scores)
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
func (e *ensemble[F]) finishTargets(scores []F) {
	for j := range scores {
		if e.aggregate == average {
			scores[j] /= F(len(e.roots))
		}
		if len(e.base) > 0 {
			scores[j] += e.base[j]
		}
	}
	apply(e.transform, scores)
}
