package rows

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// readAll reads every row of a CSV text; each is a copy of the batch's cells.
func readAll(m *model.Model, text string) ([][]float64, error) {
	reader, err := NewCSVReader(strings.NewReader(text), New(m))
	if err != nil {
		return nil, err
	}
	var all [][]float64
	var req Request
	for {
		err := reader.Next(&req)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, append([]float64(nil), req.Batch.Inputs[0].Float64s...))
	}
}

func TestCSV(t *testing.T) {
	want := [][]float64{{1, 2}, {-3.5, 4e2}}
	for _, c := range []struct{ name, text string }{
		{"plain", "a,b\n1,2\n-3.5,4e2\n"},
		{"no line end at the end", "a,b\n1,2\n-3.5,4e2"},
		{"line ends of DOS", "a,b\r\n1,2\r\n-3.5,4e2\r\n"},
		{"a byte order mark", "\xef\xbb\xbfa,b\n1,2\n-3.5,4e2\n"},
		{"a byte order mark before quotes", "\xef\xbb\xbf\"a\",\"b\"\n1,2\n-3.5,4e2\n"},
		{"quoted", "\"a\",\"b\"\n\"1\",\"2\"\n\"-3.5\",\"4e2\"\n"},
		{"white space", " a , b\n 1, 2 \n-3.5 ,\t4e2\n"},
		{"white space around what is quoted", "a, \"b\"\n \" 1 \", \"2\"\n-3.5,4e2\n"},
		{"empty lines", "a,b\n\n1,2\n\n-3.5,4e2\n"},
		{"another order", "b,a\n2,1\n4e2,-3.5\n"},
		{"columns more", "id,b,note,a\nx,2,\"a, b\",1\ny,4e2,,-3.5\n"},
		{"a plus sign", "a,b\n+1,2.\n-3.50,+4E+2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(withFeatures(model.Float64, "a", "b"), c.text)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	got, err := readAll(withFeatures(model.Float64, "a", "b"), "a,b\n")
	require.NoError(t, err)
	require.Empty(t, got, "a header alone is a file without instances")
}

func TestCSVPassedOver(t *testing.T) {
	reader, err := NewCSVReader(strings.NewReader("id,a,class,id\n"), New(withFeatures(model.Float64, "a")))
	require.NoError(t, err)
	require.Equal(t, []string{"id", "class", "id"}, reader.PassedOver())
}

func TestCSVFaults(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1: there is no header"},
		{"a byte order mark alone", "\xef\xbb\xbf", "line 1: there is no header"},
		{"a missing column", "a,c\n1,2\n", `line 1: there is no column for the feature "b"`},
		{"names are as they are written", "A,b\n1,2\n", `line 1: there is no column for the feature "a"`},
		{"a column twice", "a,b,a\n1,2,3\n", `line 1: two columns are called "a"`},
		{"a broken header", "a,b\"\n", "parse error on line 1, column 4: bare \" in non-quoted-field"},
		{"too few fields", "a,b\n1,2\n3\n", "record on line 3: wrong number of fields"},
		{"too many fields", "a,b\n1,2,3\n", "record on line 2: wrong number of fields"},
		{"an open quote", "a,b\n\"1,2\n", "parse error on line 2, column 6: extraneous or missing \" in quoted-field"},
		{"a word", "a,b\n1,2\nxyz,4\n", `line 3, column 1: feature "a": "xyz" is no float64 number`},
		{"an empty cell", "a,b\n1,\n", `line 2, column 3: feature "b": "" is no float64 number`},
		{"a cell after a quoted one", "id,b,a\n\"x,\ny\",7,1 2\n", `line 3, column 6: feature "a": "1 2" is no float64 number`},
		{"inf", "a,b\n1,inf\n", `line 2, column 3: feature "b": "inf" is no float64 number`},
		{"infinity", "a,b\n-Infinity,1\n", `line 2, column 1: feature "a": "-Infinity" is no float64 number`},
		{"nan", "a,b\n1,NaN\n", `line 2, column 3: feature "b": "NaN" is no float64 number`},
		{"hexadecimal", "a,b\n0x1p4,1\n", `line 2, column 1: feature "a": "0x1p4" is no float64 number`},
		{"underscores", "a,b\n1_000,1\n", `line 2, column 1: feature "a": "1_000" is no float64 number`},
		{"beyond a double", "a,b\n1e400,1\n", `line 2, column 1: feature "a": "1e400" is no float64 number`},
		{"a long cell", "a,b\n" + strings.Repeat("x", 500) + ",1\n", `line 2, column 1: feature "a": "` + strings.Repeat("x", 64) + `…" is no float64 number`},
		{"a long cell that is no UTF-8", "a,b\n" + strings.Repeat("\x80", 500) + ",1\n", `line 2, column 1: feature "a": "�…" is no float64 number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readAll(withFeatures(model.Float64, "a", "b"), c.text)
			require.EqualError(t, err, c.want)
		})
	}
	_, err := NewCSVReader(iotest.ErrReader(errors.New("disk")), New(flowers()))
	require.EqualError(t, err, "disk")
}

func TestCSVTypes(t *testing.T) {
	const header = "float32,float64,int32,int64,bool,string\n"
	reader, err := NewCSVReader(strings.NewReader(header+"0.1,0.1,-5,9007199254740993,true, x\n1,1,5.0,7,0,\n"), New(everyType()))
	require.NoError(t, err)
	var req Request
	require.NoError(t, reader.Next(&req))
	in := req.Batch.Inputs
	require.Equal(t, 1, req.Batch.Rows)
	require.Equal(t, []float32{0.1}, in[0].Float32s)
	require.Equal(t, []int32{-5}, in[2].Int32s)
	require.Equal(t, []int64{9007199254740993}, in[3].Int64s)
	require.Equal(t, []bool{true}, in[4].Bools)
	require.Equal(t, []string{"x"}, in[5].Strings)
	require.NoError(t, reader.Next(&req))
	require.Equal(t, []int32{5}, req.Batch.Inputs[2].Int32s)
	require.Equal(t, []bool{false}, req.Batch.Inputs[4].Bools)
	require.Equal(t, []string{""}, req.Batch.Inputs[5].Strings)
	require.ErrorIs(t, reader.Next(&req), io.EOF)

	for cell, want := range map[string]string{
		"1,1,1,1,yes,x":           `line 2, column 9: feature "bool": "yes" is neither true nor false`,
		"1,1,2147483648,1,true,x": `line 2, column 5: feature "int32": "2147483648" is no int32 number`,
		"1,1,1,1.5,true,x":        `line 2, column 7: feature "int64": "1.5" is no int64 number`,
		"1e39,1,1,1,true,x":       `line 2, column 1: feature "float32": "1e39" is no float32 number`,
	} {
		reader, err := NewCSVReader(strings.NewReader(header+cell+"\n"), New(everyType()))
		require.NoError(t, err)
		require.EqualError(t, reader.Next(&req), want)
	}
}

func TestCSVWarnings(t *testing.T) {
	m := withFeatures(model.Float64, "a", "b")
	high := 1.0
	m.Schema.Features[1].Maximum = &high
	reader, err := NewCSVReader(strings.NewReader("b,a\n2,9\n1,9\n"), New(m))
	require.NoError(t, err)
	var req Request
	require.NoError(t, reader.Next(&req))
	require.Equal(t, []Warning{{0, 1, 2}}, req.Warnings)
	require.NoError(t, reader.Next(&req))
	require.Empty(t, req.Warnings)
}

func TestCSVAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		m      *model.Model
		header []string
		record []string
	}{
		{
			"a classifier",
			answering(model.Classes{Strings: []string{"x", "y"}}, []model.Role{label, probabilities}, texts("x", "a,b"), float32s(2, 1, 0, 0.1, 0.9)),
			[]string{"label", "probability_x", "probability_y"}, []string{"a,b", "0.1", "0.9"},
		}, {
			"integer labels",
			answering(model.Classes{Ints: []int64{4, -2}}, []model.Role{label, probabilities}, integers(4, -2), float32s(2, 1, 0, 0.25, 0.75)),
			[]string{"label", "probability_4", "probability_-2"}, []string{"-2", "0.25", "0.75"},
		}, {
			"scores",
			answering(model.Classes{Strings: []string{"x", "y"}}, []model.Role{label, scores}, texts("x", "y"), float32s(2, 1, 0, -2, 3)),
			[]string{"label", "score_x", "score_y"}, []string{"y", "-2", "3"},
		}, {
			"a value",
			answering(model.Classes{}, []model.Role{value}, float32s(1, 1, 2.5)), []string{"value"}, []string{"2.5"},
		}, {
			"several targets",
			answering(model.Classes{}, []model.Role{value}, float32s(2, 1, 2, 3, 4)), []string{"value_0", "value_1"}, []string{"3", "4"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := decode(c.m, `[[1],[2]]`, 2)
			require.NoError(t, err)
			var p model.Predictions
			require.NoError(t, c.m.Predict(t.Context(), &req.Batch, &p))
			codec := New(c.m)
			require.Equal(t, c.header, codec.CSVHeader(&p))
			require.Equal(t, c.record, codec.CSVRecord(&p, 1))
		})
	}
}

// TestAppendCell: the types that only other outputs have.
func TestAppendCell(t *testing.T) {
	require.Equal(t, "-5", string(appendCell(nil, &model.Tensor{Type: model.Int32, Int32s: []int32{-5}}, 0)))
	require.Equal(t, "true", string(appendCell(nil, &model.Tensor{Type: model.Bool, Bools: []bool{true}}, 0)))
	require.Equal(t, "0.1", string(appendCell(nil, &model.Tensor{Type: model.Float64, Float64s: []float64{0.1}}, 0)))
}
