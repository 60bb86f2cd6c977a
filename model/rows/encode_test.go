package rows

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// fixed is a program that answers the same tensors to every batch.
type fixed []model.Tensor

func (f fixed) Run(_ context.Context, _, outputs []model.Tensor) error {
	for i := range f {
		outputs[i].CopyFrom(&f[i])
	}
	return nil
}

// answering is a model with one feature whose outputs are given.
func answering(classes model.Classes, roles []model.Role, outputs ...model.Tensor) *model.Model {
	m := withFeatures(model.Float64, "a")
	m.Name, m.Version, m.Digest = "m", "1", "sha256:0"
	m.Schema.Classes = classes
	for i, role := range roles {
		m.Schema.Outputs = append(m.Schema.Outputs, model.Output{Name: string(role), Role: role, Type: outputs[i].Type})
	}
	m.Program = fixed(outputs)
	return m
}

func float32s(columns int, values ...float32) model.Tensor {
	return model.Tensor{Type: model.Float32, Shape: []int{len(values) / columns, columns}, Float32s: values}
}

func texts(values ...string) model.Tensor {
	return model.Tensor{Type: model.String, Shape: []int{len(values)}, Strings: values}
}

func integers(values ...int64) model.Tensor {
	return model.Tensor{Type: model.Int64, Shape: []int{len(values)}, Int64s: values}
}

// exchange decodes a body, predicts and encodes.
func exchange(t *testing.T, m *model.Model, body string) string {
	t.Helper()
	c := New(m)
	req, err := decode(m, body, 9)
	require.NoError(t, err)
	var p model.Predictions
	require.NoError(t, m.Predict(t.Context(), &req.Batch, &p))
	return string(c.Append(nil, req, &p))
}

const (
	label         = model.RoleLabel
	probabilities = model.RoleProbabilities
	scores        = model.RoleScores
	value         = model.RoleValue
)

func TestEncode(t *testing.T) {
	const named = `"model":{"name":"m","version":"1","digest":"sha256:0"}`
	words := model.Classes{Strings: []string{"setosa", "versicolor"}}
	numbers := model.Classes{Ints: []int64{0, -7}}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		name string
		m    *model.Model
		body string
		want string
	}{
		{
			"one instance",
			answering(words, []model.Role{label, probabilities}, texts("setosa"), float32s(2, 0.9, 0.1)), `{"a":1}`,
			`{"label":"setosa","probabilities":{"setosa":0.9,"versicolor":0.1},` + named + `}`,
		}, {
			"an array",
			answering(words, []model.Role{label, probabilities}, texts("setosa", "versicolor"), float32s(2, 1, 0, 0.25, 0.75)), `[[1],[2]]`,
			`[{"label":"setosa","probabilities":{"setosa":1,"versicolor":0}},{"label":"versicolor","probabilities":{"setosa":0.25,"versicolor":0.75}}]`,
		}, {
			"instances",
			answering(words, []model.Role{label, probabilities}, texts("setosa"), float32s(2, 1, 0)), `{"instances":[[1]]}`,
			`{"predictions":[{"label":"setosa","probabilities":{"setosa":1,"versicolor":0}}],` + named + `}`,
		}, {
			"integer labels",
			answering(numbers, []model.Role{label, probabilities}, integers(-7), float32s(2, 0.5, 0.5)), `{"a":1}`,
			`{"label":-7,"probabilities":{"0":0.5,"-7":0.5},` + named + `}`,
		}, {
			"a long integer label",
			answering(model.Classes{}, []model.Role{label}, integers(9007199254740993)), `[[1]]`,
			`[{"label":9007199254740993}]`,
		}, {
			"probabilities without a label",
			answering(words, []model.Role{probabilities}, float32s(2, 0.5, 0.5)), `[[1]]`,
			`[{"probabilities":{"setosa":0.5,"versicolor":0.5}}]`,
		}, {
			"probabilities before the label",
			answering(words, []model.Role{probabilities, label}, float32s(2, 0.5, 0.5), texts("setosa")), `[[1]]`,
			`[{"label":"setosa","probabilities":{"setosa":0.5,"versicolor":0.5}}]`,
		}, {
			"scores",
			answering(words, []model.Role{label, scores}, texts("versicolor"), float32s(2, -1.5, 2.5)), `[[1]]`,
			`[{"label":"versicolor","scores":{"setosa":-1.5,"versicolor":2.5}}]`,
		}, {
			"probabilities and the scores they come from",
			answering(words, []model.Role{scores, probabilities}, float32s(2, -1.5, 2.5), float32s(2, 0.25, 0.75)), `[[1]]`,
			`[{"probabilities":{"setosa":0.25,"versicolor":0.75},"scores":{"setosa":-1.5,"versicolor":2.5}}]`,
		}, {
			"probabilities that a sum left outside 0 to 1",
			answering(words, []model.Role{probabilities}, float32s(2, -1.1920929e-07, 1.0000001)), `[[1]]`,
			`[{"probabilities":{"setosa":0,"versicolor":1}}]`,
		}, {
			"a value",
			answering(model.Classes{}, []model.Role{value}, float32s(1, 2.5)), `{"a":1}`,
			`{"value":2.5,` + named + `}`,
		}, {
			"several targets",
			answering(model.Classes{}, []model.Role{value}, float32s(3, 1, 2, 3, -1, -2, -3)), `[[1],[2]]`,
			`[{"value":[1,2,3]},{"value":[-1,-2,-3]}]`,
		}, {
			"a value of one dimension",
			answering(model.Classes{}, []model.Role{value}, model.Tensor{Type: model.Float64, Shape: []int{2}, Float64s: []float64{0.1, 1e300}}), `[[1],[2]]`,
			`[{"value":0.1},{"value":1e+300}]`,
		}, {
			"what JSON cannot write is null",
			answering(model.Classes{}, []model.Role{value}, float32s(3, nan, inf, -inf)), `[[1]]`,
			`[{"value":[null,null,null]}]`,
		}, {
			"nothing that has a place in JSON, one instance",
			answering(model.Classes{}, []model.Role{model.RoleOther}, model.Tensor{Type: model.Bool, Shape: []int{1}, Bools: []bool{true}}), `{"a":1}`,
			`{` + named + `}`,
		}, {
			"nothing that has a place in JSON, an array",
			answering(model.Classes{}, []model.Role{model.RoleOther}, model.Tensor{Type: model.Bool, Shape: []int{1}, Bools: []bool{true}}), `[[1]]`,
			`[{}]`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, exchange(t, c.m, c.body))
		})
	}
}

func TestEncodeWarnings(t *testing.T) {
	low, high := 4.3, 7.9
	values := answering(model.Classes{}, []model.Role{value}, float32s(1, 1, 2, 3))
	nothing := answering(model.Classes{}, []model.Role{model.RoleOther}, model.Tensor{Type: model.Bool, Shape: []int{1}, Bools: []bool{true}})
	for _, c := range []struct {
		name      string
		m         *model.Model
		low, high *float64
		body      string
		want      string
	}{
		{
			"below", values, &low, nil, `[[5],[-1e30],[99]]`,
			`[{"value":1},{"value":2,"warnings":[{"feature":"\"a\"","value":-1e+30,"minimum":4.3,"detail":"outside the range seen in training"}]},{"value":3}]`,
		}, {
			"below and above", values, &low, &high, `[[0],[7.9],[8]]`,
			`[{"value":1,"warnings":[{"feature":"\"a\"","value":0,"minimum":4.3,"maximum":7.9,"detail":"outside the range seen in training"}]},{"value":2},` +
				`{"value":3,"warnings":[{"feature":"\"a\"","value":8,"minimum":4.3,"maximum":7.9,"detail":"outside the range seen in training"}]}]`,
		}, {
			"nothing else to say", nothing, nil, &high, `[[8]]`,
			`[{"warnings":[{"feature":"\"a\"","value":8,"maximum":7.9,"detail":"outside the range seen in training"}]}]`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.m.Schema.Features[0] = model.Feature{Name: `"a"`, Type: model.Float64, Minimum: c.low, Maximum: c.high}
			require.Equal(t, c.want, exchange(t, c.m, c.body))
		})
	}
}

// TestNumber: the shortest text that reads back as the same number.
func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v    float64
		bits int
		want string
	}{
		{0, 32, "0"},
		{math.Copysign(0, -1), 64, "-0"},
		{float64(float32(0.1)), 32, "0.1"},
		{float64(float32(0.1)), 64, "0.10000000149011612"},
		{0.1, 64, "0.1"},
		{1. / 3, 64, "0.3333333333333333"},
		{float64(float32(1. / 3)), 32, "0.33333334"},
		{100, 64, "100"},
		{1e20, 64, "100000000000000000000"},
		{1e21, 64, "1e+21"},
		{1e-6, 64, "0.000001"},
		{1e-7, 64, "1e-07"},
		{-1e-7, 64, "-1e-07"},
		{5e-324, 64, "5e-324"},
		{math.MaxFloat64, 64, "1.7976931348623157e+308"},
		{math.MaxFloat32, 32, "3.4028235e+38"},
		{math.NaN(), 64, "null"},
		{math.Inf(1), 64, "null"},
		{math.Inf(-1), 32, "null"},
	} {
		require.Equal(t, c.want, string(number(nil, c.v, c.bits)), "%v", c.v)
	}
}

// hostile are class names that an encoder could stumble on.
var hostile = []string{"", `"`, `\`, `\"`, "\n\t\x00\x1f", "é", "\u2028", "</script>", "a/b~c", "\xff", "label", "😀", strings.Repeat("x", 1000)}

func TestEncodeHostileNames(t *testing.T) {
	numbers := make([]float32, len(hostile))
	for i := range numbers {
		numbers[i] = float32(i)
	}
	for _, name := range hostile {
		m := answering(model.Classes{Strings: hostile}, []model.Role{label, scores}, texts(name), float32s(len(hostile), numbers...))
		m.Name = name
		var got struct {
			Label  string
			Scores map[string]float32
			Model  struct{ Name string }
		}
		require.NoError(t, json.Unmarshal([]byte(exchange(t, m, `{"a":1}`)), &got))
		clean := strings.ToValidUTF8(name, "\ufffd")
		require.Equal(t, clean, got.Label)
		require.Equal(t, clean, got.Model.Name)
		want := map[string]float32{}
		for i, class := range hostile {
			want[strings.ToValidUTF8(class, "\ufffd")] = float32(i)
		}
		require.Equal(t, want, got.Scores)
	}
}

func TestAppendPrediction(t *testing.T) {
	m := answering(model.Classes{Strings: []string{"x", "y"}}, []model.Role{label, probabilities}, texts("x", "y"), float32s(2, 1, 0, 0.5, 0.5))
	req, err := decode(m, `[[1],[2]]`, 9)
	require.NoError(t, err)
	var p model.Predictions
	require.NoError(t, m.Predict(t.Context(), &req.Batch, &p))
	c := New(m)
	require.Equal(t, `>{"label":"y","probabilities":{"x":0.5,"y":0.5}}`, string(c.AppendPrediction([]byte(">"), &p, 1, nil)))
	low := 3.0
	m.Schema.Features[0].Minimum = &low
	want := `{"label":"x","probabilities":{"x":1,"y":0},"warnings":[{"feature":"a","value":1,"minimum":3,"detail":"outside the range seen in training"}]}`
	require.Equal(t, want, string(c.AppendPrediction(nil, &p, 0, []Warning{{Row: 0, Feature: 0, Value: 1}})))
}

// TestNoAllocation: reading an instance and writing its answer allocates nothing
// once warm.
func TestNoAllocation(t *testing.T) {
	if underRace() {
		t.Skip("the race detector makes sync.Pool drop what it is given")
	}
	m := flowers()
	m.Schema.Classes = model.Classes{Strings: []string{"setosa", "versicolor", "virginica"}}
	m.Schema.Outputs = []model.Output{{Name: "label", Role: label}, {Name: "probabilities", Role: probabilities}}
	m.Program = fixed{texts("setosa"), float32s(3, 0.9, 0.1, 0)}
	var d Decoder
	var req Request
	var p model.Predictions
	var body bytes.Buffer
	var out []byte
	c := New(m)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		body.Reset()
		body.WriteString(`{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`)
		if d.Decode(c, &body, &req, 1) != nil || m.Predict(t.Context(), &req.Batch, &p) != nil {
			panic("no answer")
		}
		out = c.Append(out[:0], &req, &p)
	}))
}
