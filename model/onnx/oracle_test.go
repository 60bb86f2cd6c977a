package onnx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// oracleCase is what ONNX Runtime answered for a file in testdata/cases; the
// README there says how it was recorded.
type oracleCase struct {
	Inputs, Outputs []oracleTensor
}

type oracleTensor struct {
	Name  string
	Type  string
	Shape []int
	Keys  []any
	Data  []any
}

// departures are the cases where Tepal answers otherwise on purpose.
var departures = map[string]struct {
	output string
	why    string
}{
	"classifier_f32_1_base_1":       {"label", oneClass},
	"classifier_f32_1_logistic":     {"label", oneClass},
	"classifier_f32_1_none":         {"label", oneClass},
	"classifier_f32_1_probit":       {"label", oneClass},
	"classifier_f32_1_softmax":      {"label", oneClass},
	"classifier_f32_1_softmax_zero": {"label", oneClass},
	"classifier_f32_2_numbers":      {"label", "ONNX Runtime answers 1 and 0, which are none of the classes"},

	"regressor_f32_1_leaf_without_weight_max": {"Y", unweighed},
	"regressor_f32_1_leaf_without_weight_min": {"Y", unweighed},
}

const (
	oneClass  = "ONNX Runtime answers 1 or 0 and not the only class"
	unweighed = "ONNX Runtime lets a leaf with no weight vote for its threshold"
)

// fixedRows are the cases whose divisor is a constant of as many rows as the
// case, and more than one. No other number of rows has an answer, so such a
// file is refused; the operator gets the constant as a second input.
var fixedRows = map[string]bool{
	"div_f32_rows": true, "div_f64_rows": true, "div_i32_rows": true, "div_i64_rows": true, "div_f32_table": true, "div_f64_table": true,
}

// withInput is the file with its one constant as an input, which the case then
// has, too.
func withInput(t *testing.T, data []byte, c *oracleCase) []byte {
	t.Helper()
	file, err := Parse(data)
	require.NoError(t, err)
	constant := &file.Graph.Initializers[0]
	file.Graph.Inputs = append(file.Graph.Inputs, rowsOf(constant.Name, constant.Type, int64(constant.Width())))
	in := oracleTensor{Name: constant.Name, Type: constant.Type.String(), Shape: constant.Shape}
	for i := range constant.Len() {
		switch constant.Type {
		case model.Float32:
			in.Data = append(in.Data, recorded(float64(constant.Float32s[i])))
		case model.Float64:
			in.Data = append(in.Data, recorded(constant.Float64s[i]))
		case model.Int32:
			in.Data = append(in.Data, json.Number(strconv.Itoa(int(constant.Int32s[i]))))
		case model.Int64:
			in.Data = append(in.Data, json.Number(strconv.FormatInt(constant.Int64s[i], 10)))
		}
	}
	c.Inputs = append(c.Inputs, in)
	file.Graph.Initializers = nil
	return file.Marshal()
}

// recorded is a number as the cases have it.
func recorded(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	default:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	}
}

// TestOracle holds every case against ONNX Runtime's answers.
func TestOracle(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.onnx")
	require.NoError(t, err)
	require.Greater(t, len(files), 100, "the cases are missing")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			text, err := os.ReadFile(strings.TrimSuffix(file, ".onnx") + ".json")
			require.NoError(t, err)
			var c oracleCase
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			require.NoError(t, decoder.Decode(&c))
			checkCase(t, name, data, &c)
		})
	}
}

func checkCase(t *testing.T, name string, data []byte, c *oracleCase) {
	t.Helper()
	m, err := Load(data, "case")
	if fixedRows[name] {
		require.ErrorContains(t, err, " go together for some numbers of rows only")
		m, err = Load(withInput(t, data, c), "case")
	}
	require.NoError(t, err)
	require.Len(t, m.Schema.Inputs, len(c.Inputs))
	inputs := make([]model.Tensor, len(c.Inputs))
	for i, in := range c.Inputs {
		require.Equal(t, in.Name, m.Schema.Inputs[i].Name)
		inputs[i] = in.tensor(t)
	}
	outputs := make([]model.Tensor, len(m.Schema.Outputs))
	// Twice, so that the second run meets the memory of the first.
	for range 2 {
		require.NoError(t, m.Program.Run(t.Context(), inputs, outputs))
		for i, want := range c.Outputs {
			require.Equal(t, want.Name, m.Schema.Outputs[i].Name)
			if departures[name].output != want.Name {
				want.compare(t, name, &m.Schema, &outputs[i])
			}
		}
	}
}

func (o *oracleTensor) tensor(t *testing.T) model.Tensor {
	t.Helper()
	var out model.Tensor
	types := map[string]model.Type{
		"float32": model.Float32, "float64": model.Float64, "int32": model.Int32,
		"int64": model.Int64, "bool": model.Bool, "string": model.String, "map": model.Float32,
	}
	typ, ok := types[o.Type]
	require.True(t, ok, o.Type)
	out.Resize(typ, o.Shape...)
	for i, v := range o.Data {
		switch typ {
		case model.Float32:
			out.Float32s[i] = float32(oracleNumber(t, v))
		case model.Float64:
			out.Float64s[i] = oracleNumber(t, v)
		case model.Int32:
			out.Int32s[i] = int32(oracleNumber(t, v))
		case model.Int64:
			n, err := v.(json.Number).Int64()
			require.NoError(t, err)
			out.Int64s[i] = n
		case model.Bool:
			out.Bools[i] = v.(bool)
		case model.String:
			out.Strings[i] = v.(string)
		}
	}
	return out
}

func oracleNumber(t *testing.T, v any) float64 {
	t.Helper()
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		require.NoError(t, err)
		return f
	case string:
		return map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[v]
	}
	require.Failf(t, "no number", "%v", v)
	return 0
}

func (o *oracleTensor) compare(t *testing.T, name string, s *model.Schema, got *model.Tensor) {
	t.Helper()
	tolerance := 1e-6
	if strings.Contains(name, "probit") {
		// Near one half the approximation cancels all but a few digits of its
		// single-precision logarithm, which differs in the last place.
		tolerance = 1e-5
	}
	if o.Type == "map" {
		var keys []string
		for _, k := range o.Keys {
			keys = append(keys, fmt.Sprint(k))
		}
		require.Equal(t, keys, s.Classes.Texts())
	}
	want := o.tensor(t)
	require.Equal(t, want.Type, got.Type, "type of %s", o.Name)
	require.Equal(t, want.Shape, got.Shape, "shape of %s", o.Name)
	for i := range want.Len() {
		at := fmt.Sprintf("%s, element %d", o.Name, i)
		switch want.Type {
		case model.Float32:
			near(t, float64(want.Float32s[i]), float64(got.Float32s[i]), tolerance, at)
		case model.Float64:
			near(t, want.Float64s[i], got.Float64s[i], tolerance, at)
		case model.Int32:
			require.Equal(t, want.Int32s[i], got.Int32s[i], at)
		case model.Int64:
			require.Equal(t, want.Int64s[i], got.Int64s[i], at)
		case model.Bool:
			require.Equal(t, want.Bools[i], got.Bools[i], at)
		case model.String:
			require.Equal(t, want.Strings[i], got.Strings[i], at)
		}
	}
}

// near allows the tolerance on the scale of the number: exponentials differ in
// the last place between libraries.
func near(t *testing.T, want, got, tolerance float64, at string) {
	t.Helper()
	if math.IsNaN(want) && math.IsNaN(got) || want == got {
		return
	}
	require.LessOrEqualf(t, math.Abs(want-got), tolerance*max(1, math.Abs(want)), "%s: want %v, got %v", at, want, got)
}
