package onnx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// axis is what the compiler knows of one dimension of a value: its length, or
// one of the two below.
type axis int

const (
	// rowsAxis is as long as the batch: a place for each instance.
	rowsAxis axis = -1
	// openAxis has a length that only running tells.
	openAxis axis = -2
)

// axes are the dimensions of a value, those of a scalar none.
type axes []axis

// fixedAxes are the dimensions of a constant.
func fixedAxes(shape []int) axes {
	a := make(axes, len(shape))
	for i, n := range shape {
		a[i] = axis(n)
	}
	return a
}

// eachRow reports whether the first dimension, and no other, is as long as the
// batch: only then is row i of the value that of instance i.
func (a axes) eachRow() bool {
	return len(a) > 0 && a[0] == rowsAxis && !slices.Contains(a[1:], rowsAxis)
}

// columns is the number of values in a row; 0 when only running tells.
func (a axes) columns() int {
	n := 1
	for _, d := range a[min(1, len(a)):] {
		if d < 0 {
			return 0
		}
		n *= int(d)
	}
	return n
}

// rowValues is the most values that there are for each row of a batch, where an
// open axis is at most widest.
func (a axes) rowValues(widest int) int64 {
	n, rows := int64(1), 0
	for _, d := range a {
		switch d {
		case rowsAxis:
			rows++
		case openAxis:
			n *= int64(widest)
		default:
			n *= int64(d)
		}
		if n > maxRowValues {
			return maxRowValues
		}
	}
	if rows > 1 {
		return maxRowValues
	}
	return n
}

// String shows the dimensions as shapes stand in errors, such as [rows 4].
func (a axes) String() string {
	texts := make([]string, len(a))
	for i, d := range a {
		switch d {
		case rowsAxis:
			texts[i] = "rows"
		case openAxis:
			texts[i] = "?"
		default:
			texts[i] = strconv.Itoa(int(d))
		}
	}
	return "[" + strings.Join(texts, " ") + "]"
}

// broadcastAxes are the dimensions that a and b have together, as broadcast
// finds them for shapes. Those that go together for some batches and not for
// others are an error.
func broadcastAxes(a, b axes) (axes, error) {
	rank := max(len(a), len(b))
	out := make(axes, rank)
	for i := range rank {
		da, db := dimFromEnd(a, i, rank), dimFromEnd(b, i, rank)
		switch {
		case da == db || db == 1:
			out[i] = da
		case da == 1 || da == openAxis:
			// What is open is 1 or db, or the run fails.
			out[i] = db
		case db == openAxis:
			out[i] = da
		case da == rowsAxis || db == rowsAxis:
			return nil, unsupported("the shapes %v and %v go together for some numbers of rows only", a, b)
		default:
			return nil, fmt.Errorf("the shapes %v and %v do not go together", a, b)
		}
	}
	return out, nil
}
