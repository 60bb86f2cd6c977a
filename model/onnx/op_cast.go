package onnx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model"
)

// Cast, as ai.onnx has it since opset 6.

func buildCast(n *node) (kernel, error) {
	in, out := n.inputs[0], n.outputs[0]
	code := n.int("to", 0)
	to := dataType(code)
	// These concern 8-bit floats alone, which are not supported.
	n.int("saturate", 1)
	n.string("round_mode")
	if to == model.Invalid {
		return nil, fmt.Errorf("it casts: %w", elementError(code))
	}
	slot := out.slot
	rename(in, out)
	if in.typ == to {
		return nil, nil
	}
	out.typ, out.slot, out.constant = to, slot, nil
	if in.constant != nil || !to.IsFloat() {
		out.bounds = nil
	}
	switch {
	case in.role == model.RoleLabel && to != model.Int64 && to != model.String:
		out.role = model.RoleOther
	case in.role.ByClass() && !to.IsFloat():
		out.role = model.RoleOther
	}
	return cast{to, out.axes.eachRow()}, nil
}

type cast struct {
	to model.Type
	// eachRow: row i of the result is that of instance i.
	eachRow bool
}

func (k cast) run(b *budget, in, out []*model.Tensor) error {
	a, o := in[0], out[0]
	if err := b.resize(o, k.to, a.Shape...); err != nil {
		return err
	}
	switch a.Type {
	case model.Float32:
		castNumbers(a.Float32s, o, truncate32, truncate64, formatFloat)
	case model.Float64:
		castNumbers(a.Float64s, o, truncate32, truncate64, formatFloat)
	case model.Int32:
		castNumbers(a.Int32s, o, nil, lengthen, formatInteger)
	case model.Int64:
		castNumbers(a.Int64s, o, shorten, nil, formatInteger)
	case model.Bool:
		castBools(a.Bools, o)
	case model.String:
		return k.parse(a.Strings, o)
	}
	return nil
}

func convert[A, B any](from []A, to []B, each func(A) B) {
	for i, v := range from {
		to[i] = each(v)
	}
}

// castNumbers converts numbers; to32, to64 and text are how those of this type
// become integers and text. To the type that it has nothing is cast, and nil
// stands for that.
func castNumbers[T number](from []T, o *model.Tensor, to32 func(T) int32, to64 func(T) int64, text func(T) string) {
	switch o.Type {
	case model.Float32:
		convert(from, o.Float32s, func(v T) float32 { return float32(v) })
	case model.Float64:
		convert(from, o.Float64s, func(v T) float64 { return float64(v) })
	case model.Int32:
		convert(from, o.Int32s, to32)
	case model.Int64:
		convert(from, o.Int64s, to64)
	case model.Bool:
		convert(from, o.Bools, func(v T) bool { return v != 0 })
	case model.String:
		convert(from, o.Strings, text)
	}
}

func castBools(from []bool, o *model.Tensor) {
	bit := func(v bool) int64 { return int64(protowire.EncodeBool(v)) }
	switch o.Type {
	case model.Float32:
		convert(from, o.Float32s, func(v bool) float32 { return float32(bit(v)) })
	case model.Float64:
		convert(from, o.Float64s, func(v bool) float64 { return float64(bit(v)) })
	case model.Int32:
		convert(from, o.Int32s, func(v bool) int32 { return int32(bit(v)) })
	case model.Int64:
		convert(from, o.Int64s, bit)
	case model.String:
		convert(from, o.Strings, func(v bool) string { return formatInteger(bit(v)) })
	}
}

// parse reads numbers in text. Text that is none is the caller's fault.
func (k cast) parse(from []string, o *model.Tensor) error {
	for i, s := range from {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && !math.IsInf(v, 0) {
			return refuse(k.eachRow, o, i, "the model reads a number from a text that is none", "a number in text", fmt.Sprintf("%.64q", s))
		}
		switch o.Type {
		case model.Float32:
			o.Float32s[i] = float32(v)
		case model.Float64:
			o.Float64s[i] = v
		case model.Int32:
			o.Int32s[i] = truncate32(v)
		case model.Int64:
			// A double holds integers up to 53 bits; identifiers have more.
			if o.Int64s[i], err = strconv.ParseInt(strings.TrimSpace(s), 10, 64); err != nil {
				o.Int64s[i] = truncate64(v)
			}
		case model.Bool:
			o.Bools[i] = v != 0
		}
	}
	return nil
}

// truncate64 drops the fraction. What fits no int64, NaN included, becomes the
// smallest one, as on x86; Go leaves that case open.
func truncate64[T float32 | float64](v T) int64 {
	if v >= -1<<63 && v < 1<<63 {
		return int64(v)
	}
	return math.MinInt64
}

func truncate32[T float32 | float64](v T) int32 {
	if f := float64(v); f > -1<<31-1 && f < 1<<31 {
		return int32(f)
	}
	return math.MinInt32
}

func lengthen(v int32) int64 { return int64(v) }
func shorten(v int64) int32  { return int32(v) }

func formatInteger[T int32 | int64](v T) string { return strconv.FormatInt(int64(v), 10) }

// formatFloat writes a number as ONNX Runtime does: C's %.8g, for doubles too.
func formatFloat[T float32 | float64](v T) string {
	switch f := float64(v); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	default:
		return strconv.FormatFloat(f, 'g', 8, 64)
	}
}
