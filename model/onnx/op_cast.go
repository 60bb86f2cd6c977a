package onnx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tepalhq/tepal/model"
)

// Cast, as ai.onnx has it since opset 6.

func buildCast(n *node) (kernel, error) {
	in, out := n.inputs[0], n.outputs[0]
	to := dataType(n.int("to", 0))
	// saturate only concerns 8-bit floats, which are not supported.
	n.int("saturate", 1)
	if to == model.Invalid {
		return nil, fmt.Errorf("it casts to the element type %d, which is not supported", n.int("to", 0))
	}
	slot := out.slot
	rename(in, out)
	if in.typ == to {
		return nil, nil
	}
	out.typ, out.slot, out.constant = to, slot, nil
	if in.role == model.RoleLabel && to != model.Int64 && to != model.String {
		out.role = model.RoleOther
	}
	return cast{to}, nil
}

type cast struct{ to model.Type }

func (k cast) run(b *budget, in, out []*model.Tensor) error {
	a, o := in[0], out[0]
	if err := b.resize(o, k.to, a.Shape...); err != nil {
		return err
	}
	switch a.Type {
	case model.Float32:
		castFloats(a.Float32s, o)
	case model.Float64:
		castFloats(a.Float64s, o)
	case model.Int32:
		castInts(a.Int32s, o)
	case model.Int64:
		castInts(a.Int64s, o)
	case model.Bool:
		castBools(a.Bools, o)
	case model.String:
		return castStrings(a.Strings, o)
	}
	return nil
}

func castFloats[T float32 | float64](from []T, o *model.Tensor) {
	switch o.Type {
	case model.Int32:
		for i, v := range from {
			o.Int32s[i] = truncate32(float64(v))
		}
	case model.Int64:
		for i, v := range from {
			o.Int64s[i] = truncate64(float64(v))
		}
	case model.String:
		for i, v := range from {
			o.Strings[i] = formatFloat(v)
		}
	default:
		castNumbers(from, o)
	}
}

func castInts[T int32 | int64](from []T, o *model.Tensor) {
	switch o.Type {
	case model.Int32:
		for i, v := range from {
			o.Int32s[i] = int32(v)
		}
	case model.Int64:
		for i, v := range from {
			o.Int64s[i] = int64(v)
		}
	case model.String:
		for i, v := range from {
			o.Strings[i] = strconv.FormatInt(int64(v), 10)
		}
	default:
		castNumbers(from, o)
	}
}

// castNumbers converts to the types that every number converts to alike.
func castNumbers[T number](from []T, o *model.Tensor) {
	switch o.Type {
	case model.Float32:
		for i, v := range from {
			o.Float32s[i] = float32(v)
		}
	case model.Float64:
		for i, v := range from {
			o.Float64s[i] = float64(v)
		}
	case model.Bool:
		for i, v := range from {
			o.Bools[i] = v != 0
		}
	}
}

func castBools(from []bool, o *model.Tensor) {
	for i, v := range from {
		n := int32(0)
		if v {
			n = 1
		}
		switch o.Type {
		case model.Float32:
			o.Float32s[i] = float32(n)
		case model.Float64:
			o.Float64s[i] = float64(n)
		case model.Int32:
			o.Int32s[i] = n
		case model.Int64:
			o.Int64s[i] = int64(n)
		case model.String:
			o.Strings[i] = strconv.Itoa(int(n))
		}
	}
}

// castStrings parses numbers. Text that is none is the caller's fault.
func castStrings(from []string, o *model.Tensor) error {
	for i, s := range from {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && !math.IsInf(v, 0) {
			return &model.Error{
				Kind: model.KindInvalid, Type: "invalid-value", Detail: "the model reads a number from a text that is none",
				Expected: "a number in text", Got: strconv.Quote(s),
			}
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
func truncate64(v float64) int64 {
	if v >= -1<<63 && v < 1<<63 {
		return int64(v)
	}
	return math.MinInt64
}

func truncate32(v float64) int32 {
	if v > -1<<31-1 && v < 1<<31 {
		return int32(v)
	}
	return math.MinInt32
}

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
