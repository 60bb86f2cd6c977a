package golden

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
	"github.com/tepalhq/tepal/model/rows"
)

// iris is the default model with its metadata changed.
func iris(t *testing.T, change func(md *onnx.Metadata)) *model.Model {
	t.Helper()
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	md, err := file.ReadMetadata()
	require.NoError(t, err)
	change(md)
	require.NoError(t, file.SetMetadata(md))
	m, err := onnx.Load(file.Marshal(), "iris")
	require.NoError(t, err)
	return m
}

// fixed is a program that answers each row with the only row of its tensors.
type fixed []model.Tensor

func (f fixed) Run(_ context.Context, inputs, outputs []model.Tensor) error {
	for i := range f {
		rows, width := inputs[0].Rows(), f[i].Width()
		outputs[i].Resize(f[i].Type, rows, width)
		for row := range rows {
			copy(outputs[i].Int64s[min(row*width, len(outputs[i].Int64s)):], f[i].Int64s)
			copy(outputs[i].Float64s[min(row*width, len(outputs[i].Float64s)):], f[i].Float64s)
			copy(outputs[i].Strings[min(row*width, len(outputs[i].Strings)):], f[i].Strings)
		}
	}
	return nil
}

// programFunc is a program that is one function.
type programFunc func(ctx context.Context, inputs, outputs []model.Tensor) error

func (f programFunc) Run(ctx context.Context, inputs, outputs []model.Tensor) error {
	return f(ctx, inputs, outputs)
}

// answering is a model of one feature that gives one answer to one row.
func answering(s model.Schema, golden model.GoldenRow, outputs ...model.Tensor) *model.Model {
	s.Features = []model.Feature{{Name: "x", Type: model.Float64}}
	s.Inputs = []model.Input{{Name: "x", Type: model.Float64, Columns: 1}}
	golden.Instance = json.RawMessage(`[1]`)
	return &model.Model{
		Name: "m", Version: "1", Schema: s, Program: fixed(outputs),
		Golden: &model.Golden{Tolerance: 0.01, Rows: []model.GoldenRow{golden}},
	}
}

func TestProven(t *testing.T) {
	m, err := onnx.Load(artifacts.Iris, "iris")
	require.NoError(t, err)
	require.NotEmpty(t, m.Golden.Rows)
	doc, err := Prove(t.Context(), m, rows.New(m))
	require.NoError(t, err)
	require.Equal(t, model.GoldenDocument{Status: model.GoldenProven, Rows: len(m.Golden.Rows)}, doc)
}

func TestUnproven(t *testing.T) {
	for _, golden := range []*model.Golden{nil, {Source: "nobody", Tolerance: 5}} {
		m := iris(t, func(md *onnx.Metadata) { md.Golden = golden })
		doc, err := Prove(t.Context(), m, rows.New(m))
		require.NoError(t, err)
		require.Equal(t, model.GoldenDocument{Status: model.GoldenUnproven}, doc)
	}
}

// TestFailed changes what is expected of the default model in one place at a
// time. Its first row is a plain one: one class has every vote.
func TestFailed(t *testing.T) {
	first := func(md *onnx.Metadata) *model.GoldenRow { return &md.Golden.Rows[0] }
	intact, err := onnx.Load(artifacts.Iris, "iris")
	require.NoError(t, err)
	row := intact.Golden.Rows[0]
	where := "golden row 0 (" + string(row.Instance) + "): "
	require.Equal(t, `"setosa"`, string(row.Label))
	require.Equal(t, model.Expected{1, 0, 0}, row.Probabilities)
	last := len(intact.Golden.Rows) - 1
	for _, c := range []struct {
		name   string
		change func(md *onnx.Metadata)
		want   string
	}{
		{"a label", func(md *onnx.Metadata) { first(md).Label = json.RawMessage(`"virginica"`) }, where + `label "virginica" is expected, and "setosa" was answered`},
		{"a label of another type", func(md *onnx.Metadata) { first(md).Label = json.RawMessage(`0`) }, where + `label 0 is expected, and "setosa" was answered`},
		{"a label that is null, and no more", func(md *onnx.Metadata) {
			*first(md) = model.GoldenRow{Instance: first(md).Instance, Label: json.RawMessage(`null`)}
		}, where + "it expects nothing"},
		{"probabilities that are null, and no more", func(md *onnx.Metadata) {
			*first(md) = model.GoldenRow{Instance: first(md).Instance, Probabilities: []float64{math.NaN(), math.NaN(), math.NaN()}}
		}, where + "it expects nothing"},
		{"a probability", func(md *onnx.Metadata) { first(md).Probabilities[0] = 0.99 }, where + "probability of \"setosa\": 0.99 is expected within 1e-06, and 1 was answered"},
		{"a probability next to the tolerance", func(md *onnx.Metadata) { first(md).Probabilities[2] = 2e-6 }, where + "probability of \"virginica\": 2e-06 is expected within 1e-06, and 0 was answered"},
		{"scores", func(md *onnx.Metadata) { first(md).Scores = []float64{1, 0, 0} }, where + "it expects scores, and the model answers label and probabilities"},
		{"a probability too few", func(md *onnx.Metadata) { first(md).Probabilities = []float64{1, 0} }, where + "it has 2 probabilities for 3 classes"},
		{"no probabilities", func(md *onnx.Metadata) { first(md).Probabilities = []float64{} }, ""},
		{"the tolerance", func(md *onnx.Metadata) { md.Golden.Tolerance = -1 }, "the tolerance is -1, and has to be from 0 to 0.1: above that, wrong answers pass"},
		{"a tolerance for anything", func(md *onnx.Metadata) { md.Golden.Tolerance = 0.5 }, "the tolerance is 0.5, and has to be from 0 to 0.1: above that, wrong answers pass"},
		{"nothing", func(md *onnx.Metadata) { *first(md) = model.GoldenRow{Instance: first(md).Instance} }, where + "it expects nothing"},
		{"a value", func(md *onnx.Metadata) { first(md).Value = []float64{1} }, where + "it expects value, and the model answers label and probabilities"},
		{"an instance of three values", func(md *onnx.Metadata) { first(md).Instance = json.RawMessage(`[1,2,3]`) }, "golden row 0 ([1,2,3]): the instance has not one value for each feature: expected 4 values, got 3"},
		{"an instance of text", func(md *onnx.Metadata) { md.Golden.Rows[last].Instance = json.RawMessage(`"x"`) }, ""},
		{"no instance", func(md *onnx.Metadata) { first(md).Instance = nil }, "golden row 0 (null): the value is not of the right type: expected an instance as an object, or as an array of values in the order of the schema, got null"},
		{"an instance as an object", func(md *onnx.Metadata) {
			first(md).Instance = json.RawMessage(`{"petal_width":0.2,"petal_length":1.4,"sepal_width":3.5}`)
		}, `golden row 0 ({"petal_width":0.2,"petal_length":1.4,"sepal_width":3.5}): /sepal_length: the instance lacks a feature: expected a value for "sepal_length", got none`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := iris(t, c.change)
			doc, err := Prove(t.Context(), m, rows.New(m))
			switch {
			case c.name == "no probabilities":
				// An empty list is left out of the JSON: only the label is checked.
				require.NoError(t, err)
				require.Equal(t, model.GoldenProven, doc.Status)
				return
			case c.want == "":
				require.ErrorContains(t, err, `("x"): `)
			default:
				require.EqualError(t, err, c.want)
			}
			require.Equal(t, model.GoldenDocument{Status: model.GoldenFailed, Rows: len(m.Golden.Rows), Reason: err.Error()}, doc)
		})
	}
	// The row that differs is named, wherever it stands.
	m := iris(t, func(md *onnx.Metadata) { md.Golden.Rows[last].Label = json.RawMessage(`"rosa"`) })
	_, err = Prove(t.Context(), m, rows.New(m))
	require.ErrorContains(t, err, "("+string(intact.Golden.Rows[last].Instance)+"): label \"rosa\" is expected, and ")
}

func TestAnswers(t *testing.T) {
	integer := model.Schema{Outputs: []model.Output{{Name: "label", Role: model.RoleLabel, Type: model.Int64, Columns: 1}}}
	regression := model.Schema{Outputs: []model.Output{{Name: "y", Role: model.RoleValue}}}
	text := model.Schema{Outputs: []model.Output{{Name: "label", Role: model.RoleLabel, Type: model.String, Columns: 1}}}
	scores := model.Schema{
		Classes: model.Classes{Strings: []string{"a", "b"}},
		Outputs: []model.Output{{Name: "p", Role: model.RoleProbabilities}},
	}
	margins := model.Schema{
		Classes: model.Classes{Ints: []int64{0, 1}},
		Outputs: []model.Output{{Name: "m", Role: model.RoleScores}},
	}
	integers := func(v int64) model.Tensor {
		return model.Tensor{Type: model.Int64, Shape: []int{1}, Int64s: []int64{v}}
	}
	texts := func(v string) model.Tensor {
		return model.Tensor{Type: model.String, Shape: []int{1}, Strings: []string{v}}
	}
	values := func(v ...float64) model.Tensor {
		return model.Tensor{Type: model.Float64, Shape: []int{1, len(v)}, Float64s: v}
	}
	label := func(text string) model.GoldenRow { return model.GoldenRow{Label: json.RawMessage(text)} }
	nan := math.NaN()
	const where = "golden row 0 ([1]): "
	for _, c := range []struct {
		name string
		m    *model.Model
		want string
	}{
		{"a long integer", answering(integer, label("9007199254740993"), integers(9007199254740993)), ""},
		{"its neighbour", answering(integer, label("9007199254740992"), integers(9007199254740993)), where + "label 9007199254740992 is expected, and 9007199254740993 was answered"},
		{"its neighbour as a float", answering(integer, label("9007199254740992.0"), integers(9007199254740993)), where + "label 9007199254740992.0 is expected, and 9007199254740993 was answered"},
		{"an integer as a float", answering(integer, label("3.0"), integers(3)), ""},
		{"an integer in another spelling", answering(integer, label("-2e1"), integers(-20)), ""},
		{"an integer as a text", answering(integer, label(`"3"`), integers(3)), ""},
		{"another integer as a text", answering(integer, label(`"4"`), integers(3)), where + `label "4" is expected, and 3 was answered`},
		{"a fraction", answering(integer, label("0.5"), integers(0)), where + "label 0.5 is expected, and 0 was answered"},
		{"true", answering(integer, label("true"), integers(1)), ""},
		{"false", answering(integer, label("false"), integers(0)), ""},
		{"not false", answering(integer, label("false"), integers(1)), where + "label false is expected, and 1 was answered"},
		{"true as Python writes it", answering(text, label("true"), texts("True")), ""},
		{"not true as Python writes it", answering(text, label("true"), texts("False")), where + `label true is expected, and "False" was answered`},
		{"a fraction as a text", answering(text, label("0.5"), texts("0.5")), ""},
		{"texts that are one number", answering(text, label(`"1.0"`), texts("1")), where + `label "1.0" is expected, and "1" was answered`},
		{"a list", answering(text, label(`["a"]`), texts("a")), where + `label ["a"] is expected, and "a" was answered`},
		{"a value", answering(regression, model.GoldenRow{Value: []float64{2.505}}, values(2.5)), ""},
		{"another value", answering(regression, model.GoldenRow{Value: []float64{2.53}}, values(2.5)), where + "value 0: 2.53 is expected within 0.0253, and 2.5 was answered"},
		{"a large value", answering(regression, model.GoldenRow{Value: []float64{-400533}}, values(-400533*1.009)), ""},
		{"another large value", answering(regression, model.GoldenRow{Value: []float64{-1000}}, values(-1011)), where + "value 0: -1000 is expected within 10, and -1011 was answered"},
		{"a small value", answering(regression, model.GoldenRow{Value: []float64{1e-6}}, values(1.009e-6)), ""},
		{"another small value", answering(regression, model.GoldenRow{Value: []float64{1e-6}}, values(1.1e-6)), where + "value 0: 1e-06 is expected within 1e-08, and 1.1e-06 was answered"},
		{"several values", answering(regression, model.GoldenRow{Value: []float64{1, 2}}, values(1, 2)), ""},
		{"the second of several", answering(regression, model.GoldenRow{Value: []float64{1, 3}}, values(1, 2)), where + "value 1: 3 is expected within 0.03, and 2 was answered"},
		{"null for one of several", answering(regression, model.GoldenRow{Value: []float64{nan, 3}}, values(1, 2)), where + "value 1: 3 is expected within 0.03, and 2 was answered"},
		{"null for the one that differs", answering(regression, model.GoldenRow{Value: []float64{1, nan}}, values(1, 2)), ""},
		{"a value too few", answering(regression, model.GoldenRow{Value: []float64{1, 2}}, values(1)), where + "2 values are expected, and 1 was answered"},
		{"NaN", answering(regression, model.GoldenRow{Value: []float64{1}}, values(nan)), where + "value 0: 1 is expected within 0.01, and none was answered"},
		{"probabilities alone", answering(scores, model.GoldenRow{Probabilities: []float64{0.25, 0.75}}, values(0.25, 0.75)), ""},
		{"probabilities that are none", answering(scores, model.GoldenRow{Probabilities: []float64{0.25, 0.75}}, values(nan, 0.75)), where + `probability of "a": 0.25 is expected within 0.01, and none was answered`},
		{"scores", answering(margins, model.GoldenRow{Scores: []float64{-200, 2.505}}, values(-201, 2.5)), ""},
		{"another score", answering(margins, model.GoldenRow{Scores: []float64{-200, 2.505}}, values(-203, 2.5)), where + `score of "0": -200 is expected within 2, and -203 was answered`},
		{"a score near 0", answering(margins, model.GoldenRow{Scores: []float64{1e-6, 3}}, values(1.1e-6, 3)), where + `score of "0": 1e-06 is expected within 1e-08, and 1.1e-06 was answered`},
		{"null for the score that differs", answering(margins, model.GoldenRow{Scores: []float64{nan, 3}}, values(7, 3)), ""},
		{"null for one probability", answering(scores, model.GoldenRow{Probabilities: []float64{nan, 0.75}}, values(0.25, 0.75)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := Prove(t.Context(), c.m, rows.New(c.m))
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, model.GoldenDocument{Status: model.GoldenProven, Rows: 1}, doc)
				return
			}
			require.EqualError(t, err, c.want)
			require.Equal(t, model.CauseMismatch, model.CauseOf(err, ""))
			require.Equal(t, model.GoldenDocument{Status: model.GoldenFailed, Rows: 1, Reason: c.want}, doc)
		})
	}
}

// TestExpectedRole: rows that expect what the model does not answer are at
// fault, and not its answers. Some were written when margins were called
// probabilities.
func TestExpectedRole(t *testing.T) {
	classes := model.Classes{Ints: []int64{0, 1}}
	pair := []float64{0.25, 0.75}
	for _, c := range []struct {
		role model.Role
		row  model.GoldenRow
		want string
	}{
		{model.RoleScores, model.GoldenRow{Probabilities: pair}, "it expects probabilities, and the model answers scores"},
		{model.RoleProbabilities, model.GoldenRow{Scores: pair}, "it expects scores, and the model answers probabilities"},
		{model.RoleProbabilities, model.GoldenRow{Probabilities: pair, Value: []float64{1}}, "it expects value, and the model answers probabilities"},
		{model.RoleValue, model.GoldenRow{Label: json.RawMessage(`"a"`)}, "it expects label, and the model answers value"},
		{model.RoleOther, model.GoldenRow{Value: pair}, "it expects value, and the model answers nothing"},
		{model.RoleScores, model.GoldenRow{Scores: pair[:1]}, "it has 1 scores for 2 classes"},
	} {
		m := answering(model.Schema{Classes: classes, Outputs: []model.Output{{Name: "m", Role: c.role}}}, c.row,
			model.Tensor{Type: model.Float64, Shape: []int{1, 2}, Float64s: pair})
		_, err := Prove(t.Context(), m, rows.New(m))
		require.EqualError(t, err, "golden row 0 ([1]): "+c.want)
		require.Equal(t, model.CauseGoldenRows, model.CauseOf(err, ""))
	}
}

// TestFloor: a value near 0 is held to the largest that is expected of its
// target. An answer where 0 is
// expected is allowed a hundredth of that, and of 1 at most.
func TestFloor(t *testing.T) {
	for _, largest := range []float64{0.5, 1, 3} {
		m := answering(model.Schema{Outputs: []model.Output{{Name: "y", Role: model.RoleValue}}}, model.GoldenRow{Value: []float64{0}})
		m.Golden.Rows = append(m.Golden.Rows, model.GoldenRow{Instance: json.RawMessage(`[2]`), Value: []float64{largest}})
		for _, off := range []float64{0.009, 0.011} {
			m.Program = programFunc(func(_ context.Context, inputs, outputs []model.Tensor) error {
				outputs[0].Resize(model.Float64, inputs[0].Rows())
				for i, x := range inputs[0].Float64s {
					outputs[0].Float64s[i] = map[float64]float64{1: off * min(largest, 1), 2: largest}[x]
				}
				return nil
			})
			_, err := Prove(t.Context(), m, rows.New(m))
			require.Equal(t, off < 0.01, err == nil, "%v off where %v is the largest: %v", off, largest, err)
		}
	}
}

// TestNoAnswer: that a model cannot answer is another cause than that it
// answers otherwise.
func TestNoAnswer(t *testing.T) {
	regression := model.Schema{Outputs: []model.Output{{Name: "y", Role: model.RoleValue}}}
	row := model.GoldenRow{Value: []float64{1}}
	one := model.Tensor{Type: model.Float64, Shape: []int{1}, Float64s: []float64{1}}
	// Whatever the batch, one row; each row the sum of all; three rows at most.
	single := programFunc(func(_ context.Context, _, outputs []model.Tensor) error {
		outputs[0].CopyFrom(&one)
		return nil
	})
	mixed := programFunc(func(_ context.Context, inputs, outputs []model.Tensor) error {
		outputs[0].Resize(model.Float64, inputs[0].Rows())
		for i := range outputs[0].Float64s {
			outputs[0].Float64s[i] = 0
			for _, x := range inputs[0].Float64s {
				outputs[0].Float64s[i] += x
			}
		}
		return nil
	})
	refuses := func(refused ...float64) programFunc {
		return func(_ context.Context, inputs, outputs []model.Tensor) error {
			outputs[0].Resize(model.Float64, inputs[0].Rows())
			for i, x := range inputs[0].Float64s {
				outputs[0].Float64s[i] = 1
				if slices.Contains(refused, x) {
					return &model.Error{Kind: model.KindInvalid, Detail: "not that", Pointer: "/" + strconv.Itoa(i), Expected: "another", Got: "that"}
				}
			}
			return nil
		}
	}
	for _, c := range []struct {
		name    string
		program model.Program
		golden  []model.GoldenRow
		want    string
		cause   model.Cause
	}{
		{"one row for two", single, nil, `two instances are answered one by one and not together: output "y" has 1 rows for 2 instances`, model.CauseNoAnswer},
		{"one row for two, and one golden row", single, []model.GoldenRow{row}, `two instances are answered one by one and not together: output "y" has 1 rows for 2 instances`, model.CauseNoAnswer},
		{"one row for two golden rows", single, []model.GoldenRow{row, row}, `golden rows from 0 on are answered one by one and not together: output "y" has 1 rows for 2 instances`, model.CauseNoAnswer},
		{"rows that know of each other", mixed, nil, `the instance {"x":0} is answered by {"value":0} alone, and by {"value":1} with another one`, model.CauseNoAnswer},
		{"rows that know of each other, and one golden row", mixed, []model.GoldenRow{row}, `the instance {"x":0} is answered by {"value":0} alone, and by {"value":1} with another one`, model.CauseNoAnswer},
		{"no example", refuses(0, 1), nil, "an example instance is not answered: not that: expected another, got that", model.CauseNoAnswer},
		{"one example of two", refuses(0), nil, "", ""},
		{"the second golden row", refuses(7), []model.GoldenRow{row, {Instance: json.RawMessage("[7]"), Value: []float64{1}}, row}, "golden row 1 ([7]): not that: expected another, got that", model.CauseNoAnswer},
		{"a golden row too long", refuses(), []model.GoldenRow{row, {Instance: json.RawMessage("[1,2]"), Value: []float64{1}}}, "golden row 1 ([1,2]): the instance has not one value for each feature: expected 1 values, got more than 1", model.CauseGoldenRows},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := answering(regression, row)
			m.Program, m.Golden.Rows = c.program, c.golden
			for i := range m.Golden.Rows {
				if m.Golden.Rows[i].Instance == nil {
					m.Golden.Rows[i].Instance = json.RawMessage("[1]")
				}
			}
			doc, err := Prove(t.Context(), m, rows.New(m))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
			require.Equal(t, c.cause, model.CauseOf(err, ""))
			require.Equal(t, model.GoldenFailed, doc.Status)
		})
	}
}

// TestChunks: however many rows there are, few are answered at once, and fewer
// the wider the answer.
func TestChunks(t *testing.T) {
	for _, c := range []struct{ targets, most int }{{1, 16}, {1 << 13, 7}, {1 << 16, 2}} {
		answer := model.Tensor{Type: model.Float64, Shape: []int{1, c.targets}, Float64s: make([]float64, c.targets)}
		m := answering(model.Schema{Outputs: []model.Output{{Name: "y", Role: model.RoleValue, Columns: c.targets}}}, model.GoldenRow{Value: answer.Float64s}, answer)
		const all = 33
		m.Golden.Rows = slices.Repeat(m.Golden.Rows, all)
		largest, answered := 0, 0
		inner := m.Program
		m.Program = programFunc(func(ctx context.Context, inputs, outputs []model.Tensor) error {
			largest, answered = max(largest, inputs[0].Rows()), answered+inputs[0].Rows()
			return inner.Run(ctx, inputs, outputs)
		})
		_, err := Prove(t.Context(), m, rows.New(m))
		require.NoError(t, err)
		require.Equal(t, c.most, largest)
		require.GreaterOrEqual(t, answered, all)
	}
}

// TestEnds: a proof goes no further once its context has ended.
func TestEnds(t *testing.T) {
	regression := model.Schema{Outputs: []model.Output{{Name: "y", Role: model.RoleValue}}}
	one := model.Tensor{Type: model.Float64, Shape: []int{1}, Float64s: []float64{1}}
	for _, after := range []int{0, 1, 3} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		m := answering(regression, model.GoldenRow{Value: []float64{1}}, one)
		m.Golden.Rows = slices.Repeat(m.Golden.Rows, 1000)
		runs, inner := 0, m.Program
		m.Program = programFunc(func(ctx context.Context, inputs, outputs []model.Tensor) error {
			if runs++; runs == after {
				cancel()
			}
			return inner.Run(ctx, inputs, outputs)
		})
		if after == 0 {
			cancel()
		}
		_, err := Prove(ctx, m, rows.New(m))
		require.Equal(t, model.KindCanceled, model.KindOf(err))
		require.Equal(t, after, runs)
	}
}

func TestExamples(t *testing.T) {
	low, high := 4.3, 7.9
	s := &model.Schema{Features: []model.Feature{
		{Name: `a "quoted" one`, Type: model.Float64, Example: 5.1, Minimum: &low},
		{Name: "ranged", Type: model.Float64, Minimum: &low, Maximum: &high},
		{Name: "bare", Type: model.Int64},
		{Name: "text", Type: model.String},
		{Name: "flag", Type: model.Bool},
		{Name: "word", Type: model.String, Example: "x"},
	}}
	instances, err := examples(s)
	require.NoError(t, err)
	require.Len(t, instances, 3)
	require.JSONEq(t, `{"a \"quoted\" one":5.1,"ranged":4.3,"bare":0,"text":"0","flag":false,"word":"x"}`, string(instances[0]))
	require.JSONEq(t, `{"a \"quoted\" one":5.3,"ranged":7.9,"bare":1,"text":"1","flag":true,"word":"1"}`, string(instances[1]))
	require.JSONEq(t, `{"a \"quoted\" one":4.3,"ranged":4.3,"bare":0,"text":"0","flag":false,"word":"0"}`, string(instances[2]))
}
