package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// FuzzDecode gives any body to the decoder. It is refused as malformed exactly
// when jsontext says that it is no JSON; what is taken holds the very values
// that encoding/json reads; and its answer is JSON again, whatever the text of
// a feature, which the model gives back as a class.
func FuzzDecode(f *testing.F) {
	const limit = 4
	instance := `{"float32":1.5,"float64":-2e-3,"int32":7,"int64":9007199254740993,"bool":true,"string":"a\u00e9\"\n"}`
	for _, seed := range []string{
		instance, "[" + instance + "]", `{"instances":[` + instance + "," + instance + "]}",
		`[[1,2,3,4,false,"x"]]`, `[[1,2,3.0,4e2,false,"x"],[1,2,3,4,true,"\u2028"]]`,
		`[[1,2,3,4,true,"x"],[],[],[],[]]`, `[]`, `{}`, `{"instances":[]}`, `{"instances":{}}`, `null`, `"x"`, ``,
		`{"float32":1e39}`, `{"float64":1e400}`, `{"int32":2147483648}`, `{"int64":1.5}`, `{"bool":1}`, `{"string":null}`,
		`{"float32":1,"float32":2}`, `{"flo\u0061t32":1,"float32":2}`, `{"a/b~c":1}`, `{"bool":NaN}`,
		`{"inst\u0061nces":[[1,2,3,4,true,"x"]]}`, instance + instance, "[[1,2,3,4,true,\"\xff\"]]", `[[1,2,3,4,true,"\ud83d\ude00"]]`,
		strings.Repeat("[", 300), `{"q":` + strings.Repeat(`{"":`, 50),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := everyType()
		var d Decoder
		var req Request
		err := d.Decode(New(m), bytes.NewBuffer(bytes.Clone(body)), &req, limit)
		valid := jsontext.Value(body).IsValid()
		if err != nil {
			e, ok := errors.AsType[*model.Error](err)
			require.True(t, ok, "%v", err)
			switch e.Kind {
			case model.KindMalformed:
				require.False(t, valid, "%v", err)
			case model.KindInvalid:
				require.True(t, valid, "%v", err)
			case model.KindTooLarge:
			default:
				require.Fail(t, "wrong kind", "%v", err)
			}
			require.NotEmpty(t, e.Type)
			require.NotEmpty(t, e.Detail)
			require.True(t, jsontext.Pointer(e.Pointer).IsValid(), "%q", e.Pointer)
			require.Less(t, len(e.Pointer)+len(e.Expected)+len(e.Got), 1000)
			return
		}
		require.True(t, valid)
		require.Positive(t, req.Batch.Rows)
		require.LessOrEqual(t, req.Batch.Rows, limit)
		checkCells(t, &req, body)
		checkAnswer(t, &req)
	})
}

// checkCells compares the batch with what encoding/json reads.
func checkCells(t *testing.T, req *Request, body []byte) {
	t.Helper()
	var document any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&document))
	instances := []any{document}
	switch req.Form {
	case Array:
		instances = document.([]any)
	case Instances:
		instances = document.(map[string]any)["instances"].([]any)
	}
	require.Len(t, instances, req.Batch.Rows)
	for row, instance := range instances {
		for i, f := range everyType().Schema.Features {
			var want any
			if list, ok := instance.([]any); ok {
				require.Len(t, list, 6)
				want = list[i]
			} else {
				require.Len(t, instance, 6)
				want = instance.(map[string]any)[f.Name]
			}
			checkCell(t, &req.Batch.Inputs[i], row, want)
		}
	}
}

func checkCell(t *testing.T, in *model.Tensor, row int, want any) {
	t.Helper()
	if in.Type == model.Bool {
		require.Equal(t, want, in.Bools[row])
		return
	}
	if in.Type == model.String {
		require.Equal(t, want, in.Strings[row])
		return
	}
	v, err := strconv.ParseFloat(want.(json.Number).String(), 64)
	require.NoError(t, err)
	got := 0.0
	switch in.Type {
	case model.Float32:
		got, v = float64(in.Float32s[row]), float64(float32(v))
	case model.Float64:
		got = in.Float64s[row]
	case model.Int32:
		got = float64(in.Int32s[row])
	case model.Int64:
		got = float64(in.Int64s[row])
	}
	require.True(t, got == v && !math.IsInf(got, 0), "%v for %v", got, want)
}

// checkAnswer has a model of one class, called like the first instance's text,
// answer with it.
func checkAnswer(t *testing.T, req *Request) {
	t.Helper()
	name := req.Batch.Inputs[5].Strings[0]
	labels, scores := make([]string, req.Batch.Rows), make([]float32, req.Batch.Rows)
	for i := range labels {
		labels[i], scores[i] = name, req.Batch.Inputs[0].Float32s[i]
	}
	m := answering(model.Classes{Strings: []string{name}}, []model.Role{label, probabilities}, texts(labels...), float32s(1, scores...))
	var p model.Predictions
	require.NoError(t, m.Predict(t.Context(), &req.Batch, &p))
	out := New(m).Append(nil, req, &p)
	require.True(t, jsontext.Value(out).IsValid(), "%s", out)
}

// FuzzCSV gives any text to the CSV reader: it ends, with an error or not, and
// never panics.
func FuzzCSV(f *testing.F) {
	const header = "float32,float64,int32,int64,bool,string\n"
	for _, seed := range []string{
		"", header, header + "1,2,3,4,true,x\n", "\xef\xbb\xbf" + header + "1,2,3,4,true,\"a\nb\"\n", header + "1,2\n",
		header + "inf,2,3,4,true,x\n", "a,b\n", header + "1,2,3,4,true,\"x\n", "string,bool,int64,int32,float64,float32,x\na,0,1,2,3,4,5\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reader, err := NewCSVReader(strings.NewReader(text), New(everyType()))
		if err != nil {
			return
		}
		var req Request
		for reader.Next(&req) == nil {
			require.Equal(t, 1, req.Batch.Rows)
			require.False(t, math.IsNaN(req.Batch.Inputs[1].Float64s[0]) || math.IsInf(req.Batch.Inputs[1].Float64s[0], 0))
		}
	})
}
