package golden

import (
	"context"
	"encoding/json"
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

// fixed is a program that answers the same tensors to every batch.
type fixed []model.Tensor

func (f fixed) Run(_ context.Context, _, outputs []model.Tensor) error {
	for i := range f {
		outputs[i].CopyFrom(&f[i])
	}
	return nil
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

func TestAbsent(t *testing.T) {
	for _, golden := range []*model.Golden{nil, {Source: "nobody", Tolerance: 1}} {
		m := iris(t, func(md *onnx.Metadata) { md.Golden = golden })
		doc, err := Prove(t.Context(), m, rows.New(m))
		require.NoError(t, err)
		require.Equal(t, model.GoldenDocument{Status: model.GoldenAbsent}, doc)
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
	require.Equal(t, []float64{1, 0, 0}, row.Probabilities)
	last := len(intact.Golden.Rows) - 1
	for _, c := range []struct {
		name   string
		change func(md *onnx.Metadata)
		want   string
	}{
		{"a label", func(md *onnx.Metadata) { first(md).Label = json.RawMessage(`"virginica"`) }, where + "label virginica is expected, and setosa was answered"},
		{"a label of another type", func(md *onnx.Metadata) { first(md).Label = json.RawMessage(`0`) }, where + "label 0 is expected, and setosa was answered"},
		{"a label that is nothing", func(md *onnx.Metadata) { first(md).Label = json.RawMessage(`null`) }, where + "label <nil> is expected, and setosa was answered"},
		{"a probability", func(md *onnx.Metadata) { first(md).Probabilities[0] = 0.99 }, where + "probability of setosa: 0.99 is expected within 1e-06, and 1 was answered"},
		{"a probability next to the tolerance", func(md *onnx.Metadata) { first(md).Probabilities[2] = 2e-6 }, where + "probability of virginica: 2e-06 is expected within 1e-06, and 0 was answered"},
		{"a probability too few", func(md *onnx.Metadata) { first(md).Probabilities = []float64{1, 0} }, where + "it has 2 probabilities for 3 classes"},
		{"no probabilities", func(md *onnx.Metadata) { first(md).Probabilities = []float64{} }, ""},
		{"the tolerance", func(md *onnx.Metadata) { md.Golden.Tolerance = -1 }, "the golden rows' tolerance is -1"},
		{"a tolerance for anything", func(md *onnx.Metadata) { md.Golden.Tolerance = 0.5 }, "the golden rows' tolerance is 0.5, and above 0.1 a probability proves nothing"},
		{"nothing", func(md *onnx.Metadata) { *first(md) = model.GoldenRow{Instance: first(md).Instance} }, "golden row 0 ([5.1,3.5,1.4,0.2]) expects nothing"},
		{"a value", func(md *onnx.Metadata) { first(md).Value = []float64{1} }, where + "value 0: 1 is expected within 1e-06, and none was answered"},
		{"an instance of three values", func(md *onnx.Metadata) { first(md).Instance = json.RawMessage(`[1,2,3]`) }, "golden rows: the instances do not fit the schema: /0: the instance has not one value for each feature"},
		{"an instance of text", func(md *onnx.Metadata) { md.Golden.Rows[last].Instance = json.RawMessage(`"x"`) }, ""},
		{"no instance", func(md *onnx.Metadata) { first(md).Instance = nil }, "golden rows: the instances do not fit the schema: /0: the value is not of the right type"},
		{"an instance as an object", func(md *onnx.Metadata) {
			first(md).Instance = json.RawMessage(`{"petal_width":0.2,"petal_length":1.4,"sepal_width":3.5}`)
		}, "golden rows: the instances do not fit the schema: /0/sepal_length: the instance lacks a feature"},
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
				require.ErrorContains(t, err, "golden rows: the instances do not fit the schema: /")
			default:
				require.EqualError(t, err, c.want)
			}
			require.Equal(t, model.GoldenDocument{Status: model.GoldenFailed, Rows: len(m.Golden.Rows), Reason: err.Error()}, doc)
		})
	}
	// The row that differs is named, wherever it stands.
	m := iris(t, func(md *onnx.Metadata) { md.Golden.Rows[last].Label = json.RawMessage(`"rosa"`) })
	_, err = Prove(t.Context(), m, rows.New(m))
	require.ErrorContains(t, err, "("+string(intact.Golden.Rows[last].Instance)+"): label rosa is expected, and ")
}

func TestAnswers(t *testing.T) {
	integer := model.Schema{Outputs: []model.Output{{Name: "label", Role: model.RoleLabel, Type: model.Int64, Columns: 1}}}
	regression := model.Schema{Outputs: []model.Output{{Name: "y", Role: model.RoleValue}}}
	scores := model.Schema{
		Classes: model.Classes{Strings: []string{"a", "b"}},
		Outputs: []model.Output{{Name: "p", Role: model.RoleProbabilities}},
	}
	long := model.Tensor{Type: model.Int64, Shape: []int{1}, Int64s: []int64{9007199254740993}}
	values := func(v ...float64) model.Tensor {
		return model.Tensor{Type: model.Float64, Shape: []int{1, len(v)}, Float64s: v}
	}
	nan := values(0)
	nan.Float64s[0] /= nan.Float64s[0]
	const where = "golden row 0 ([1]): "
	for _, c := range []struct {
		name string
		m    *model.Model
		want string
	}{
		{"a long integer", answering(integer, model.GoldenRow{Label: json.RawMessage(`9007199254740993`)}, long), ""},
		{"its neighbour", answering(integer, model.GoldenRow{Label: json.RawMessage(`9007199254740992`)}, long), where + "label 9007199254740992 is expected, and 9007199254740993 was answered"},
		{"an integer as text", answering(integer, model.GoldenRow{Label: json.RawMessage(`"9007199254740993"`)}, long), where + "label 9007199254740993 is expected, and 9007199254740993 was answered"},
		{"a value", answering(regression, model.GoldenRow{Value: []float64{2.505}}, values(2.5)), ""},
		{"another value", answering(regression, model.GoldenRow{Value: []float64{2.52}}, values(2.5)), where + "value 0: 2.52 is expected within 0.01, and 2.5 was answered"},
		{"several values", answering(regression, model.GoldenRow{Value: []float64{1, 2}}, values(1, 2)), ""},
		{"the second of several", answering(regression, model.GoldenRow{Value: []float64{1, 3}}, values(1, 2)), where + "value 1: 3 is expected within 0.01, and 2 was answered"},
		{"a value too few", answering(regression, model.GoldenRow{Value: []float64{1, 2}}, values(1)), where + "values [1 2] are expected, and 1 was answered"},
		{"NaN", answering(regression, model.GoldenRow{Value: []float64{1}}, nan), where + "value 0: 1 is expected within 0.01, and none was answered"},
		{"a label of a regression", answering(regression, model.GoldenRow{Label: json.RawMessage(`"a"`)}, values(1)), where + "label a is expected, and <nil> was answered"},
		{"probabilities alone", answering(scores, model.GoldenRow{Probabilities: []float64{0.25, 0.75}}, values(0.25, 0.75)), ""},
		{"probabilities that are none", answering(scores, model.GoldenRow{Probabilities: []float64{0.25, 0.75}}, values(nan.Float64s[0], 0.75)), where + "probability of a: 0.25 is expected within 0.01, and none was answered"},
		{"an answer of two rows", answering(regression, model.GoldenRow{Value: []float64{1}}, model.Tensor{Type: model.Float64, Shape: []int{2}, Float64s: []float64{1, 2}}), `golden rows: output "y" has 2 rows for 1 instances`},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, err := Prove(t.Context(), c.m, rows.New(c.m))
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, model.GoldenDocument{Status: model.GoldenProven, Rows: 1}, doc)
				return
			}
			require.EqualError(t, err, c.want)
			require.Equal(t, model.GoldenDocument{Status: model.GoldenFailed, Rows: 1, Reason: c.want}, doc)
		})
	}

	broken := answering(regression, model.GoldenRow{Value: []float64{1}}, values(1))
	broken.Golden.Rows[0].Instance = json.RawMessage(`{`)
	_, err := Prove(t.Context(), broken, rows.New(broken))
	require.ErrorContains(t, err, "golden rows: the instances are not JSON: ")

	// A model without golden rows must answer all the same.
	silent := answering(regression, model.GoldenRow{}, model.Tensor{Type: model.Float64, Shape: []int{0}})
	silent.Golden = nil
	doc, err := Prove(t.Context(), silent, rows.New(silent))
	require.EqualError(t, err, `an example instance is not answered: output "y" has 0 rows for 1 instances`)
	require.Equal(t, model.GoldenDocument{Status: model.GoldenFailed, Reason: err.Error()}, doc)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := answering(regression, model.GoldenRow{Value: []float64{1}}, values(1))
	_, err = Prove(ctx, m, rows.New(m))
	require.Equal(t, model.KindCanceled, model.KindOf(err))
}

func TestExample(t *testing.T) {
	low := 4.3
	s := &model.Schema{Features: []model.Feature{
		{Name: `a "quoted" one`, Type: model.Float64, Example: 5.1, Minimum: &low},
		{Name: "ranged", Type: model.Float64, Minimum: &low},
		{Name: "bare", Type: model.Int64},
		{Name: "text", Type: model.String},
		{Name: "flag", Type: model.Bool},
		{Name: "word", Type: model.String, Example: "x"},
	}}
	require.JSONEq(t, `{"a \"quoted\" one":5.1,"ranged":4.3,"bare":0,"text":"0","flag":false,"word":"x"}`, string(instanceOf(t, s)))
	require.Equal(t, `{"bare":0}`, string(instanceOf(t, &model.Schema{Features: s.Features[2:3]})))
}

func instanceOf(t *testing.T, s *model.Schema) json.RawMessage {
	t.Helper()
	instance, err := example(s)
	require.NoError(t, err)
	return instance
}
