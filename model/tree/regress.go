package tree

import (
	"fmt"
	"sync"

	"github.com/tepalhq/tepal/model"
)

// Regressor evaluates a TreeEnsembleRegressor. It is immutable and safe for
// concurrent use.
type Regressor interface {
	// Columns is the number of features that a row must have at least.
	Columns() int
	// Targets is the number of values a row gets.
	Targets() int
	// Regress evaluates every row of x, of shape [rows, columns], and writes
	// Targets values for each to out, row by row.
	Regress(x *model.Tensor, out []float32)
}

// RegressorOptions are the attributes of a TreeEnsembleRegressor beside its trees.
type RegressorOptions struct {
	// Aggregate is SUM (also when empty), AVERAGE, MIN or MAX.
	Aggregate string
	// PostTransform is NONE (also when empty), SOFTMAX, LOGISTIC, SOFTMAX_ZERO
	// or PROBIT.
	PostTransform string
	// BaseValues are added to the scores: one for each target, or none.
	BaseValues []float64
	// Double sums in float64, as ONNX Runtime does for double inputs, instead
	// of float32.
	Double bool
}

// NewRegressor compiles a regressor. Its errors name the tree and node at fault.
func NewRegressor(a *Attributes, o RegressorOptions) (Regressor, error) {
	if o.Double {
		return newRegressor[float64](a, o)
	}
	return newRegressor[float32](a, o)
}

type regressor[F float] struct {
	*forest[F]
	aggregate aggregate
	transform transform
	base      []F
	pool      sync.Pool
}

func newRegressor[F float](a *Attributes, o RegressorOptions) (*regressor[F], error) {
	how, err := parseAggregate(o.Aggregate)
	if err != nil {
		return nil, err
	}
	post, err := parseTransform(o.PostTransform)
	if err != nil {
		return nil, err
	}
	f, err := build[F](a)
	if err != nil {
		return nil, err
	}
	if n := len(o.BaseValues); n != 0 && n != f.targets {
		return nil, fmt.Errorf("%d base_values for %d targets", n, f.targets)
	}
	r := &regressor[F]{forest: f, aggregate: how, transform: post, base: convert[F](o.BaseValues)}
	r.pool.New = func() any { return f.scratch() }
	return r, nil
}

func parseAggregate(name string) (aggregate, error) {
	switch name {
	case "", "SUM":
		return sum, nil
	case "AVERAGE":
		return average, nil
	case "MIN":
		return minimum, nil
	case "MAX":
		return maximum, nil
	}
	return sum, fmt.Errorf("unknown aggregate_function %q", name)
}

func convert[F float](values []float64) []F {
	out := make([]F, len(values))
	for i, v := range values {
		out[i] = F(v)
	}
	return out
}

func (r *regressor[F]) Columns() int { return r.columns }
func (r *regressor[F]) Targets() int { return r.targets }

func (r *regressor[F]) Regress(x *model.Tensor, out []float32) {
	s := r.pool.Get().(*scratch[F])
	defer r.pool.Put(s)
	for i := range x.Rows() {
		r.score(s, s.load(x, i), r.aggregate)
		r.finish(s, out[i*r.targets:])
	}
}

func (r *regressor[F]) finish(s *scratch[F], out []float32) {
	scores := s.scores
	for j := range scores {
		if r.aggregate == average {
			scores[j] /= F(len(r.roots))
		}
		if len(r.base) > 0 {
			scores[j] += r.base[j]
		}
	}
	// ONNX Runtime treats a single score in its own way: it keeps its base value
	// and is transformed by PROBIT alone.
	if len(scores) > 1 {
		s.mute()
		apply(r.transform, scores)
	} else if r.transform == probit {
		apply(probit, scores)
	}
	for j, v := range scores {
		out[j] = float32(v)
	}
}
