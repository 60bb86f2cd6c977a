package onnx

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// oracleCase is what is known of the answers for a file in testdata/cases; the
// README there says by whom.
type oracleCase struct {
	// Source is who gave the Outputs.
	Source          string
	Inputs, Outputs []oracleTensor
	Trainer         *oracleTrainer
}

// oracleTrainer is what the library that trained the model answers for the
// first rows: labels, of a classifier, and what the file's scores stand for.
type oracleTrainer struct {
	Name    string
	Answers []oracleTensor
}

type oracleTensor struct {
	Name  string
	Type  string
	Shape []int
	Keys  []any
	Data  []any
}

// departure is a case where Tepal means to answer otherwise than its source.
type departure struct {
	// outputs are those that differ; none when the file is refused with an
	// error that ends so.
	outputs []string
	refused string
	why     string
}

var departures = map[string]departure{
	"classifier_f32_1_base_1":   {outputs: []string{"label"}, why: oneClass},
	"classifier_f32_1_logistic": {outputs: []string{"label", "scores"}, why: oneClass},
	"classifier_f32_1_none":     {outputs: []string{"label"}, why: oneClass},
	"classifier_f32_1_probit":   {outputs: []string{"label"}, why: oneClass},

	"classifier_f32_1_softmax":      {refused: "post_transform SOFTMAX" + constant, why: alwaysOne},
	"classifier_f32_1_softmax_zero": {refused: "post_transform SOFTMAX_ZERO" + constant, why: alwaysOne},
	"regressor_f32_1_softmax":       {refused: "post_transform SOFTMAX" + constant, why: alwaysOne},
	"regressor_f32_1_softmax_zero":  {refused: "post_transform SOFTMAX_ZERO" + constant, why: alwaysOne},

	"classifier_f32_2_base_1_logistic": {refused: oneBase, why: sizes},
	"classifier_f32_2_base_1_none":     {refused: oneBase, why: sizes},

	"classifier_f32_2_only_0_positive_base_2_logistic": {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_0_positive_base_2_none":     {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_0_signed_base_2_logistic":   {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_0_signed_base_2_none":       {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_1_positive_base_2_logistic": {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_1_positive_base_2_none":     {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_1_signed_base_2_logistic":   {refused: twoBases, why: columnBases},
	"classifier_f32_2_only_1_signed_base_2_none":       {refused: twoBases, why: columnBases},

	"classifier_f32_2_only_1_signed_base_1_none": {outputs: []string{"label", "scores"}, why: onlySecond},
	"classifier_f32_2_only_1_signed_none":        {outputs: []string{"scores"}, why: onlySecond},
	"classifier_f32_2_only_1_signed_on_the_line": {outputs: []string{"scores"}, why: onlySecond},
	"classifier_f64_2_only_1_signed":             {outputs: []string{"scores"}, why: onlySecond},

	"classifier_f32_2_probit": {outputs: []string{"label"}, why: "the reference answers a class of which it has no number (NaN)"},

	"regressor_f32_1_leaf_without_weight_max": {outputs: []string{"Y"}, why: unweighed},
	"regressor_f32_1_leaf_without_weight_min": {outputs: []string{"Y"}, why: unweighed},
}

const (
	oneClass   = "ONNX Runtime, alone to answer, gives the labels 1 and 0 and not the only class, and applies no LOGISTIC"
	onlySecond = "ONNX Runtime, the source for margins, does not complete the first class's, and loses the base value"
	unweighed  = "ONNX Runtime, alone to answer, lets a leaf with no weight vote for its threshold"

	alwaysOne = "the softmax of one number is 1 in every row, so that the file cannot mean what it says"
	constant  = " makes a single class or target 1 in every row"
	sizes     = "the specification wants a base value for each class, and the sources add a single one to different classes"
	oneBase   = "1 base_values for 2 classes or targets"

	columnBases = "the two classes have one score between them, and the sources drop one base value or the other"
	twoBases    = "2 base_values for two classes of which one has all the weights: it takes one"
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

// TestOracle holds every case against its source, and against its trainer.
func TestOracle(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.onnx")
	require.NoError(t, err)
	require.Greater(t, len(files), 100, "the cases are missing")
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		if _, ok := departures[name]; ok {
			seen++
		}
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
	require.Len(t, departures, seen, "a departure is of no case")
}

func checkCase(t *testing.T, name string, data []byte, c *oracleCase) {
	t.Helper()
	departs := departures[name]
	m, err := Load(data, "case")
	if departs.refused != "" {
		require.ErrorContains(t, err, departs.refused)
		return
	}
	if fixedRows[name] {
		require.ErrorContains(t, err, " go together for some numbers of rows only")
		m, err = Load(withInput(t, data, c), "case")
	}
	require.NoError(t, err)
	require.Len(t, m.Schema.Inputs, len(c.Inputs))
	b := model.Batch{Inputs: make([]model.Tensor, len(c.Inputs))}
	for i, in := range c.Inputs {
		require.Equal(t, in.Name, m.Schema.Inputs[i].Name)
		b.Inputs[i] = in.tensor(t)
	}
	outputs := make([]model.Tensor, len(m.Schema.Outputs))
	// Twice, so that the second run meets the memory of the first.
	for range 2 {
		require.NoError(t, m.Program.Run(t.Context(), b.Inputs, outputs))
		for i, want := range c.Outputs {
			require.Equal(t, want.Name, m.Schema.Outputs[i].Name)
			differs := want.differs(t, name, &m.Schema, &outputs[i])
			if slices.Contains(departs.outputs, want.Name) {
				require.NotEmpty(t, differs, "%s is as %s answers, and said to depart: %s", want.Name, c.Source, departs.why)
			} else {
				require.Empty(t, differs, c.Source)
			}
		}
	}
	if c.Trainer != nil {
		b.Rows = b.Inputs[0].Rows()
		checkTrainer(t, name, m, &b, c.Trainer)
	}
}

// checkTrainer compares the answers that clients get.
func checkTrainer(t *testing.T, name string, m *model.Model, b *model.Batch, trainer *oracleTrainer) {
	t.Helper()
	var p model.Predictions
	require.NoError(t, m.Predict(t.Context(), b, &p))
	for _, answers := range trainer.Answers {
		want := answers.tensor(t)
		if answers.Name == "labels" {
			for i := range want.Rows() {
				require.EqualValues(t, cellAt(&want, i), cellAt(p.Label(), i), "%s, label %d", trainer.Name, i)
			}
			continue
		}
		got := cmp.Or(p.Probabilities(), p.Scores(), p.Value())
		require.Equal(t, want.Width(), got.Width())
		for i := range want.Len() {
			number := numberAt(&want, i)
			// A probability that is what is left to 1 has the digits of a sum; the
			// second class's, of a logistic function, has its own.
			slack := 2e-7
			if strings.Contains(name, "sure") && i%2 == 1 {
				slack = 0
			}
			require.InDelta(t, number, got.Float32s[i], slack+1e-5*math.Abs(number), "%s, element %d", trainer.Name, i)
		}
	}
}

func numberAt(t *model.Tensor, i int) float64 {
	if t.Type == model.Float64 {
		return t.Float64s[i]
	}
	return float64(t.Float32s[i])
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

// differs says where an output is not as it is told; "" when it is.
func (o *oracleTensor) differs(t *testing.T, name string, s *model.Schema, got *model.Tensor) string {
	t.Helper()
	tolerance := 1e-6
	if strings.Contains(name, "probit") {
		// Near one half the approximation cancels all but a few digits of a
		// single-precision logarithm.
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
		a, b := cellAt(&want, i), cellAt(got, i)
		if a == b {
			continue
		}
		x, isNumber := a.(float64)
		if !isNumber || !near(x, b.(float64), tolerance) {
			return fmt.Sprintf("%s, element %d: want %v, got %v", o.Name, i, a, b)
		}
	}
	return ""
}

// cellAt is element i of a tensor; numbers with a fraction as float64.
func cellAt(t *model.Tensor, i int) any {
	switch t.Type {
	case model.Int32:
		return t.Int32s[i]
	case model.Int64:
		return t.Int64s[i]
	case model.Bool:
		return t.Bools[i]
	case model.String:
		return t.Strings[i]
	default:
		return numberAt(t, i)
	}
}

// near allows the tolerance on the scale of the number: exponentials differ in
// the last place between libraries.
func near(want, got, tolerance float64) bool {
	return math.IsNaN(want) && math.IsNaN(got) || math.Abs(want-got) <= tolerance*max(1, math.Abs(want))
}
