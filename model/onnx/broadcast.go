package onnx

import (
	"fmt"
	"slices"
)

// Broadcasting: ONNX's multidirectional rule, by which two operands of
// different shapes are combined element by element.

// broadcast appends to shape the shape that a and b have together: aligned at
// their last dimensions, which are equal or 1.
func broadcast(shape, a, b []int) ([]int, error) {
	rank := max(len(a), len(b))
	for i := range rank {
		da, db := dimFromEnd(a, i, rank), dimFromEnd(b, i, rank)
		switch {
		case da == db || db == 1:
			shape = append(shape, da)
		case da == 1:
			shape = append(shape, db)
		default:
			return nil, fmt.Errorf("the shapes %v and %v do not go together", a, b)
		}
	}
	return shape, nil
}

// dimFromEnd returns dimension i of a shape that is padded on the left with
// ones to the given rank.
func dimFromEnd[D ~int](shape []D, i, rank int) D {
	if j := i - (rank - len(shape)); j >= 0 {
		return shape[j]
	}
	return 1
}

// stride is one loop over a result: how many turns it takes, and how far each
// turn moves in the operands. An operand that is repeated moves by 0.
type stride struct{ n, a, b int }

// plan appends the loops that fill a result of the shape from operands of the
// shapes a and b, the outermost first. Dimensions that can be one loop are
// one: equal shapes take a single loop. There is always at least one.
func plan(loops []stride, a, b, shape []int) []stride {
	last := stride{n: 1}
	stepA, stepB := 1, 1
	for i := len(shape) - 1; i >= 0; i-- {
		da, db := dimFromEnd(a, i, len(shape)), dimFromEnd(b, i, len(shape))
		next := stride{n: shape[i]}
		if da > 1 {
			next.a = stepA
		}
		if db > 1 {
			next.b = stepB
		}
		stepA, stepB = stepA*da, stepB*db
		switch {
		case next.n == 1:
		case last.n == 1:
			last = next
		case next.a == last.a*last.n && next.b == last.b*last.n:
			last.n *= next.n
		default:
			loops, last = append(loops, last), next
		}
	}
	loops = append(loops, last)
	slices.Reverse(loops)
	return loops
}

// inner fills out in one loop, in which each operand is read in order or, where
// its stride is 0, is a single element.
type inner[T any] func(l stride, a, b, out []T)

// combine fills out, which is not empty, from the operands by the loops, and
// returns what is left of out.
func combine[T any](fill inner[T], loops []stride, a, b, out []T) []T {
	l := loops[0]
	if len(loops) == 1 {
		fill(l, a, b, out[:l.n])
		return out[l.n:]
	}
	for i := range l.n {
		out = combine(fill, loops[1:], a[i*l.a:], b[i*l.b:], out)
	}
	return out
}

// pairs is the loop that calls op for every pair of elements. An operator that
// most models have has a loop of its own, without the call.
func pairs[T any](op func(a, b T) T, l stride, a, b, out []T) {
	for i := range out {
		out[i] = op(a[i*l.a], b[i*l.b])
	}
}

// pairAt returns the two elements that element i of the result comes from.
func pairAt[T any](loops []stride, a, b []T, i int) (T, T) {
	x, y := 0, 0
	for _, l := range slices.Backward(loops) {
		x, y = x+i%l.n*l.a, y+i%l.n*l.b
		i /= l.n
	}
	return a[x], b[y]
}
