package rows

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// underRace reports whether the race detector is on: sync.Pool then drops some
// of what it is given, so that allocations cannot be counted.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// withFeatures is a model whose features stand each in an input of their own
// when they are of several types, and else all in one.
func withFeatures(typ model.Type, names ...string) *model.Model {
	m := &model.Model{Name: "m", Version: "1", Digest: "sha256:0"}
	m.Schema.Inputs = []model.Input{{Name: "x", Type: typ, Columns: len(names)}}
	for i, name := range names {
		m.Schema.Features = append(m.Schema.Features, model.Feature{Name: name, Type: typ, Column: i})
	}
	return m
}

func flowers() *model.Model {
	return withFeatures(model.Float64, "sepal_length", "sepal_width", "petal_length", "petal_width")
}

// everyType has a feature of each type, called like it.
func everyType() *model.Model {
	m := &model.Model{Name: "m", Version: "1", Digest: "sha256:0"}
	for i, typ := range []model.Type{model.Float32, model.Float64, model.Int32, model.Int64, model.Bool, model.String} {
		m.Schema.Inputs = append(m.Schema.Inputs, model.Input{Name: typ.String(), Type: typ, Columns: 1})
		m.Schema.Features = append(m.Schema.Features, model.Feature{Name: typ.String(), Type: typ, Input: i})
	}
	return m
}

func decode(m *model.Model, body string, limit int) (*Request, error) {
	var d Decoder
	var req Request
	err := d.Decode(New(m), bytes.NewBufferString(body), &req, limit)
	return &req, err
}

func TestDecode(t *testing.T) {
	single := []float64{5.1, 3.5, 1.4, 0.2}
	two := append(single, 6.3, 3.3, 6, 2.5)
	for _, c := range []struct {
		name, body string
		form       Form
		want       []float64
	}{
		{"an object", `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`, Single, single},
		{"in another order", `{"petal_width":0.2,"petal_length":1.4,"sepal_width":3.5,"sepal_length":5.1}`, Single, single},
		{"with white space", "\t{ \"sepal_length\" :5.1\n,\"sepal_width\": 3.5,\r\n\"petal_length\":1.4,\"petal_width\":0.2 } \n", Single, single},
		{"escaped names", `{"\u0073epal_length":5.1,"sepal\u005fwidth":3.5,"petal_length":1.4,"petal_widt\u0068":0.2}`, Single, single},
		{"numbers in other spellings", `{"sepal_length":51e-1,"sepal_width":0.35E+1,"petal_length":1.40,"petal_width":2e-1}`, Single, single},
		{"one object in an array", `[{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}]`, Array, single},
		{"one list", `[[5.1,3.5,1.4,0.2]]`, Array, single},
		{"a list and an object", `[[5.1,3.5,1.4,0.2],{"petal_width":2.5,"sepal_length":6.3,"sepal_width":3.3,"petal_length":6}]`, Array, two},
		// RFC 8259, section 8.1: a parser may pass it over.
		{"a byte order mark in front", "\ufeff[[5.1,3.5,1.4,0.2]]", Array, single},
		{"a byte order mark in front of an object", "\ufeff{\"instances\":[[5.1,3.5,1.4,0.2]]}", Instances, single},
		{"instances", `{"instances":[[5.1,3.5,1.4,0.2],[6.3,3.3,6,2.5]]}`, Instances, two},
		{"instances in an escaped name", `{"instance\u0073":[[5.1,3.5,1.4,0.2]]}`, Instances, single},
		{"no negative zero is lost", `[[-0,-0.0,0,1e-400]]`, Array, []float64{0, 0, 0, 0}},
		{"the largest double", `[[1.7976931348623157e308,-1.7976931348623157e308,5e-324,0]]`, Array, []float64{1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := decode(flowers(), c.body, 2)
			require.NoError(t, err)
			require.Equal(t, c.form, req.Form)
			require.Equal(t, len(c.want)/4, req.Batch.Rows)
			require.Equal(t, []int{len(c.want) / 4, 4}, req.Batch.Inputs[0].Shape)
			require.Equal(t, c.want, req.Batch.Inputs[0].Float64s)
			require.Empty(t, req.Warnings)
		})
	}
}

// TestDecodeTypes reads a value of each type, and integers in every spelling.
func TestDecodeTypes(t *testing.T) {
	const form = `{"float32":%s,"float64":%s,"int32":%s,"int64":%s,"bool":%s,"string":%s}`
	req, err := decode(everyType(), fmt.Sprintf(form, "0.1", "0.1", "-2147483648", "9223372036854775807", "true", `"x\u00e9\n"`), 1)
	require.NoError(t, err)
	in := req.Batch.Inputs
	require.Equal(t, []float32{0.1}, in[0].Float32s)
	require.Equal(t, []float64{0.1}, in[1].Float64s)
	require.Equal(t, []int32{-2147483648}, in[2].Int32s)
	require.Equal(t, []int64{9223372036854775807}, in[3].Int64s)
	require.Equal(t, []bool{true}, in[4].Bools)
	require.Equal(t, []string{"xé\n"}, in[5].Strings)

	req, err = decode(everyType(), fmt.Sprintf(form, "16777217", "1", "5.0", "5e2", "false", `""`), 1)
	require.NoError(t, err)
	in = req.Batch.Inputs
	require.Equal(t, []float32{16777216}, in[0].Float32s, "rounded to even, as a float32 must be")
	require.Equal(t, []int32{5}, in[2].Int32s)
	require.Equal(t, []int64{500}, in[3].Int64s)
	require.Equal(t, []bool{false}, in[4].Bools)
	require.Equal(t, []string{""}, in[5].Strings)

	req, err = decode(everyType(), fmt.Sprintf(form, "3.4028234e38", "1", "-0", "9007199254740991.0", "false", `"\"instances\""`), 1)
	require.NoError(t, err)
	require.Equal(t, []int32{0}, req.Batch.Inputs[2].Int32s)
	require.Equal(t, []int64{9007199254740991}, req.Batch.Inputs[3].Int64s)
}

func TestDecodeInvalidTypes(t *testing.T) {
	good := map[string]string{"float32": "1", "float64": "1", "int32": "1", "int64": "1", "bool": "true", "string": `"a"`}
	for _, c := range []struct {
		feature, value, expected, got string
	}{
		{"float32", "1e39", "a float32 number", "1e39"},
		{"float32", "-3.4028236e38", "a float32 number", "-3.4028236e38"},
		{"float32", `"1"`, "a number", `the string "1"`},
		{"float64", "1e400", "a float64 number", "1e400"},
		{"float64", "-1e400", "a float64 number", "-1e400"},
		{"float64", "true", "a number", "true"},
		{"float64", "null", "a number", "null"},
		{"float64", "{}", "a number", "an object"},
		{"float64", "[1]", "a number", "an array"},
		{"float64", `"` + strings.Repeat("é", 40) + `"`, "a number", `the string "` + strings.Repeat("é", 31) + "…"},
		{"float64", "1e400" + strings.Repeat("0", 100), "a float64 number", "1e400" + strings.Repeat("0", 59) + "…"},
		{"int32", "2147483648", "an int32 number", "2147483648"},
		{"int32", "-2147483649", "an int32 number", "-2147483649"},
		{"int32", "1.5", "an int32 number", "1.5"},
		{"int32", "1e10", "an int32 number", "1e10"},
		{"int32", `"1"`, "an integer", `the string "1"`},
		{"int64", "9223372036854775808", "an int64 number", "9223372036854775808"},
		{"int64", "9007199254740992.0", "an int64 number", "9007199254740992.0"},
		{"int64", "-1e-1", "an int64 number", "-1e-1"},
		{"int64", "1e400", "an int64 number", "1e400"},
		{"int64", "null", "an integer", "null"},
		{"bool", "1", "a boolean", "the number 1"},
		{"bool", `"true"`, "a boolean", `the string "true"`},
		{"bool", "null", "a boolean", "null"},
		{"string", "1", "a string", "the number 1"},
		{"string", "null", "a string", "null"},
		{"string", "false", "a string", "false"},
		{"string", `["a"]`, "a string", "an array"},
	} {
		t.Run(c.feature+" "+c.value[:min(len(c.value), 24)], func(t *testing.T) {
			members := []string{}
			for name, value := range good {
				if name == c.feature {
					value = c.value
				}
				members = append(members, `"`+name+`":`+value)
			}
			_, err := decode(everyType(), "{"+strings.Join(members, ",")+"}", 1)
			e, ok := errors.AsType[*model.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, model.KindInvalid, e.Kind)
			require.Equal(t, "invalid-value", e.Type)
			require.Equal(t, "/"+c.feature, e.Pointer)
			require.Equal(t, c.expected, e.Expected)
			require.Equal(t, c.got, e.Got)
		})
	}
}

const anyForm = `an instance as an object, an array of instances, or an object with the member "instances"`

func TestDecodeInvalid(t *testing.T) {
	const (
		wrongType  = "the value is not of the right type"
		wrongWidth = "the instance has not one value for each feature"
		listed     = "an instance as an object, or as an array of values in the order of the schema"
	)
	for _, c := range []struct {
		name, body string
		want       model.Error
	}{
		{"unknown feature", `{"a":1,"c":2}`, model.Error{Type: "unknown-feature", Detail: "the model has no such feature", Pointer: "/c", Expected: "one of a, b", Got: `"c"`}},
		{"unknown feature first", `{"A":1}`, model.Error{Type: "unknown-feature", Detail: "the model has no such feature", Pointer: "/A", Expected: "one of a, b", Got: `"A"`}},
		{"unknown feature, escaped", `[[1,2],{"\u0063/~":2}]`, model.Error{Type: "unknown-feature", Detail: "the model has no such feature", Pointer: "/1/c~1~0", Expected: "one of a, b", Got: `"c/~"`}},
		{"unknown feature with a name of no end", `[{"` + strings.Repeat("x", 5000) + `":2}]`, model.Error{Type: "unknown-feature", Detail: "the model has no such feature", Pointer: "/0", Expected: "one of a, b", Got: `"` + strings.Repeat("x", 64) + `…"`}},
		{"missing feature", `{"a":1}`, model.Error{Type: "missing-feature", Detail: "the instance lacks a feature", Pointer: "/b", Expected: `a value for "b"`, Got: "none"}},
		{"missing feature in a batch", `[{"a":1,"b":2},{"b":1}]`, model.Error{Type: "missing-feature", Detail: "the instance lacks a feature", Pointer: "/1/a", Expected: `a value for "a"`, Got: "none"}},
		{"no features", `{}`, model.Error{Type: "missing-feature", Detail: "the instance lacks a feature", Pointer: "/a", Expected: `a value for "a"`, Got: "none"}},
		{"null", `{"a":1,"b":null}`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/b", Expected: "a number", Got: "null"}},
		{"boolean", `[[1,true]]`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/0/1", Expected: "a number", Got: "true"}},
		{"string", `{"instances":[{"a":"6.7","b":1}]}`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/instances/0/a", Expected: "a number", Got: `the string "6.7"`}},
		{"nested object", `{"a":{"b":1},"b":2}`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/a", Expected: "a number", Got: "an object"}},
		{"nested array", `[[[1],2]]`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/0/0", Expected: "a number", Got: "an array"}},
		{"beyond a double", `{"a":1e400,"b":2}`, model.Error{Type: "invalid-value", Detail: "the number is not one that the feature can hold", Pointer: "/a", Expected: "a float64 number", Got: "1e400"}},
		{"too short", `[[1,2],[1]]`, model.Error{Type: "wrong-width", Detail: wrongWidth, Pointer: "/1", Expected: "2 values", Got: "1"}},
		{"empty list", `[[]]`, model.Error{Type: "wrong-width", Detail: wrongWidth, Pointer: "/0", Expected: "2 values", Got: "0"}},
		{"too long", `[[1,2,3]]`, model.Error{Type: "wrong-width", Detail: wrongWidth, Pointer: "/0", Expected: "2 values", Got: "more than 2"}},
		{"too long among instances", `{"instances":[[1,2],[1,2,{}]]}`, model.Error{Type: "wrong-width", Detail: wrongWidth, Pointer: "/instances/1", Expected: "2 values", Got: "more than 2"}},
		{"empty batch", `[]`, model.Error{Type: "empty-batch", Detail: "the batch is empty", Expected: "at least one instance", Got: "none"}},
		{"empty instances", `{"instances":[]}`, model.Error{Type: "empty-batch", Detail: "the batch is empty", Pointer: "/instances", Expected: "at least one instance", Got: "none"}},
		{"a bare list", `[1,2]`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/0", Expected: listed, Got: "the number 1"}},
		{"null in a batch", `[[1,2],null]`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/1", Expected: listed, Got: "null"}},
		{"instances is an object", `{"instances":{"a":1,"b":2}}`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/instances", Expected: "an array of instances", Got: "an object"}},
		{"instances is null", `{"instances":null}`, model.Error{Type: "invalid-value", Detail: wrongType, Pointer: "/instances", Expected: "an array of instances", Got: "null"}},
		{"a member beside instances", `{"instances":[[1,2]],"parameters":{}}`, model.Error{Type: "unknown-member", Detail: `the object has a member beside "instances"`, Pointer: "/parameters", Expected: "no other member", Got: `"parameters"`}},
		{"instances beside a feature", `{"a":1,"instances":[[1,2]]}`, model.Error{Type: "unknown-feature", Detail: "the model has no such feature", Pointer: "/instances", Expected: "one of a, b", Got: `"instances"`}},
		{"a string", `"a"`, model.Error{Type: "invalid-value", Detail: wrongType, Expected: anyForm, Got: `the string "a"`}},
		{"a number", ` 5 `, model.Error{Type: "invalid-value", Detail: wrongType, Expected: anyForm, Got: "the number 5"}},
		{"null alone", `null`, model.Error{Type: "invalid-value", Detail: wrongType, Expected: anyForm, Got: "null"}},
		{"true alone", `true`, model.Error{Type: "invalid-value", Detail: wrongType, Expected: anyForm, Got: "true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(withFeatures(model.Float64, "a", "b"), c.body, 9)
			c.want.Kind = model.KindInvalid
			require.Equal(t, &c.want, err)
		})
	}
}

func TestDecodeMalformed(t *testing.T) {
	const json = "JSON (RFC 8259) in UTF-8 with unique names"
	notJSON := func(pointer, got string) model.Error {
		return model.Error{Type: "malformed-json", Detail: "the body is not JSON", Pointer: pointer, Expected: json, Got: got}
	}
	twice := func(pointer, got string) model.Error {
		return model.Error{Type: "duplicate-name", Detail: "the body has an object with the same name twice", Pointer: pointer, Expected: json, Got: got}
	}
	goesOn := func(got string) model.Error {
		return model.Error{Type: "malformed-json", Detail: "the body goes on after its JSON value", Expected: "one JSON value", Got: got}
	}
	for _, c := range []struct {
		name, body string
		want       model.Error
	}{
		{"empty", "", notJSON("", "an empty body")},
		{"white space", " \n\t", notJSON("", "an empty body")},
		{"NaN", `{"a":NaN,"b":1}`, notJSON("/a", "invalid character 'N' at start of value at byte 5")},
		{"NaN alone", `NaN`, notJSON("", "invalid character 'N' at start of value at byte 0")},
		{"Infinity", `[[1,-Infinity]]`, notJSON("/0/1", "invalid character 'I' in number (expecting digit) at byte 5")},
		{"a leading zero", `{"a":01,"b":1}`, notJSON("", "invalid character '1' after object value (expecting ',' or '}') at byte 6")},
		{"a plus sign", `{"a":+1,"b":1}`, notJSON("/a", "invalid character '+' at start of value at byte 5")},
		{"no digit before the point", `{"a":.5,"b":1}`, notJSON("/a", "invalid character '.' at start of value at byte 5")},
		{"single quotes", `{'a':1,'b':1}`, notJSON("", `invalid character '\'' at start of value at byte 1`)},
		{"a comma too many in an object", `{"a":1,"b":1,}`, notJSON("", "invalid character ',' at start of value at byte 12")},
		{"a comma too many in an array", `[[1,2],]`, notJSON("", "invalid character ',' at start of value at byte 6")},
		{"a comma too few", `{"a":1 "b":1}`, notJSON("", "invalid character '\"' after object value (expecting ',' or '}') at byte 7")},
		{"two byte order marks", "\ufeff\ufeff[[1,2]]", notJSON("", `invalid character '\ufeff' at start of value at byte 3`)},
		{"a byte order mark alone", "\ufeff", notJSON("", "an empty body")},
		{"after a byte order mark", "\ufeff[[1,2],]", notJSON("", "invalid character ',' at start of value at byte 9")},
		{"truncated after the brace", `{`, notJSON("", "unexpected EOF at byte 1")},
		{"truncated after a name", `{"a"`, notJSON("/a", "unexpected EOF at byte 4")},
		{"truncated after a value", `{"a":1`, notJSON("", "unexpected EOF at byte 6")},
		{"truncated in an array", `[[1,2]`, notJSON("", "unexpected EOF at byte 6")},
		{"truncated in a list", `[[1,`, notJSON("/0", "unexpected EOF at byte 4")},
		{"truncated in an unknown feature", `{"c":{"d":`, notJSON("/c/d", "unexpected EOF at byte 10")},
		{"truncated in instances", `{"instances":[[1,2]]`, notJSON("", "unexpected EOF at byte 20")},
		{"truncated before instances", `{"instances":`, notJSON("/instances", "unexpected EOF at byte 13")},
		{"bad UTF-8 in a name", "{\"a\":1,\"\xff\":1}", notJSON("", "invalid UTF-8 at byte 8")},
		{"bad UTF-8 in a value", "{\"a\":\"\xff\",\"b\":1}", notJSON("/a", "invalid UTF-8 at byte 6")},
		{"bad UTF-8 in a first name", "{\"\xc3\":1}", notJSON("", "invalid UTF-8 at byte 2")},
		{"half a surrogate pair", `{"a":1,"b":"\ud800"}`, notJSON("/b", "invalid surrogate pair `\\ud800\"}` in string at byte 12")},
		{"a control character", "{\"a\":\"\n\"}", notJSON("/a", `invalid character '\n' in string (expecting non-control character) at byte 6`)},
		{"a comment", `/**/[[1,2]]`, notJSON("", "invalid character '/' at start of value at byte 0")},
		{"the wrong bracket", `[[1,2}]`, notJSON("/0", "invalid character '}' after array element (expecting ',' or ']') at byte 5")},
		{"a bracket for a brace", `{"a":1]`, notJSON("", "invalid character ']' after object value (expecting ',' or '}') at byte 6")},

		{"a name twice", `{"a":1,"a":2}`, twice("/a", "duplicate object member name at byte 7")},
		{"a name twice, escaped", `[[1,2],{"a":1,"\u0061":2}]`, twice("/1/a", "duplicate object member name at byte 14")},
		{"instances twice", `{"instances":[[1,2]],"instances":[]}`, twice("/instances", "duplicate object member name at byte 21")},
		{"a name twice in what is unknown", `{"c":{"d":1,"d":1}}`, twice("/c/d", "duplicate object member name at byte 12")},

		{"a value more", `[[1,2]] {"a":1}`, goesOn("more after byte 7")},
		{"a line more", "{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":2}\n", goesOn("more after byte 13")},
		{"rubbish more", `[[1,2]]x`, notJSON("", "invalid character 'x' at start of value at byte 7")},
		{"a bracket more", `[[1,2]]]`, notJSON("", "invalid character ']' at start of value at byte 7")},
		{"a value after one of the wrong type", `5 6`, goesOn("more after byte 1")},

		// JSON that breaks after it has broken the schema is no JSON.
		{"an unknown feature, then NaN", `{"c":1,"a":NaN}`, notJSON("/a", "invalid character 'N' at start of value at byte 11")},
		{"a wrong type, then the end", `[[true,1]`, notJSON("", "unexpected EOF at byte 9")},
		{"a list too long, then a name twice", `[[1,2,3],{"a":1,"a":2}]`, twice("/1/a", "duplicate object member name at byte 16")},
		{"a missing feature, then more", `{"a":1}{}`, goesOn("more after byte 7")},
		{"an empty batch, then rubbish", `[]x`, notJSON("", "invalid character 'x' at start of value at byte 2")},
		{"a member beside instances, then bad UTF-8", "{\"instances\":[[1,2]],\"x\":\"\xff\"}", notJSON("/x", "invalid UTF-8 at byte 26")},

		{"20,000 brackets", strings.Repeat("[", 20_000), notJSON(strings.Repeat("/0", 128), "exceeded max depth at byte 10000")},
		{"20,000 brackets in a feature", `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", notJSON("/a"+strings.Repeat("/0", 127), "exceeded max depth at byte 10004")},
		{"20,000 objects", strings.Repeat(`{"a":`, 20_000), notJSON(strings.Repeat("/a", 128), "exceeded max depth at byte 50000")},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(withFeatures(model.Float64, "a", "b"), c.body, 9)
			c.want.Kind = model.KindMalformed
			require.Equal(t, &c.want, err)
		})
	}
}

func TestDecodeLimit(t *testing.T) {
	m := withFeatures(model.Float64, "a")
	for body, array := range map[string]string{`[[1],[2],[3]]`: "", `{"instances":[[1],{"a":2},[3]]}`: "/instances", `[[1],[2],{"what":`: ""} {
		_, err := decode(m, body, 2)
		require.Equal(t, &model.Error{
			Kind: model.KindTooLarge, Type: "too-many-rows", Pointer: array,
			Detail: "the batch has more than 2 instances", Expected: "at most 2 instances", Got: "more",
		}, err, body)
	}
	for _, body := range []string{`[[1],[2]]`, `{"instances":[{"a":1},[2]]}`} {
		req, err := decode(m, body, 2)
		require.NoError(t, err, body)
		require.Equal(t, 2, req.Batch.Rows)
	}
}

// TestWarningsAreBounded: a value of two bytes must not ask for a warning of a
// hundred as often as it likes.
func TestWarningsAreBounded(t *testing.T) {
	m := withFeatures(model.Float64, "a")
	one := 1.0
	m.Schema.Features[0].Minimum = &one
	body := "[" + strings.Repeat("[0],", MaxWarnings+9) + "[0]]"
	req, err := decode(m, body, MaxWarnings+10)
	require.NoError(t, err)
	require.Len(t, req.Warnings, MaxWarnings+1)
	require.Equal(t, Warning{Row: MaxWarnings - 1, Feature: 0}, req.Warnings[MaxWarnings-1])
	require.Equal(t, Warning{Row: MaxWarnings, Feature: -1}, req.Warnings[MaxWarnings])
	text := string(New(m).appendWarnings(nil, req.Warnings[MaxWarnings-1:]))
	require.Equal(t, `"warnings":[{"feature":"a","value":0,"minimum":1,"detail":"outside the range seen in training"},`+
		`{"detail":"further values are outside the range seen in training"}]`, text)
}

// TestDecodeNames: features with names that JSON or the form make special.
func TestDecodeNames(t *testing.T) {
	names := []string{"instances", `quote"`, `back\slash`, "é", "a/b~c", "\u2028"}
	m := withFeatures(model.Float64, names...)
	req, err := decode(m, `{"a/b~c":5,"instances":1,"quote\"":2,"back\\slash":3,"\u00e9":4,"\u2028":6}`, 1)
	require.NoError(t, err)
	require.Equal(t, Single, req.Form)
	require.Equal(t, []float64{1, 2, 3, 4, 5, 6}, req.Batch.Inputs[0].Float64s)

	_, err = decode(m, `[{"instances":1,"quote\"":2,"back\\slash":3,"\u00e9":4,"\u2028":6}]`, 1)
	require.Equal(t, &model.Error{
		Kind: model.KindInvalid, Type: "missing-feature", Detail: "the instance lacks a feature",
		Pointer: "/0/a~1b~0c", Expected: `a value for "a/b~c"`, Got: "none",
	}, err)

	// A feature called "instances" makes the object an instance.
	_, err = decode(m, `{"instances":[[1,2,3,4,5,6]]}`, 1)
	require.Equal(t, &model.Error{
		Kind: model.KindInvalid, Type: "invalid-value", Detail: "the value is not of the right type",
		Pointer: "/instances", Expected: "a number", Got: "an array",
	}, err)

	// A feature whose name reads like an escaped one is not taken for it.
	m = withFeatures(model.Float64, `\u0061`, "a")
	req, err = decode(m, `{"\u0061":2,"\\u0061":1}`, 1)
	require.NoError(t, err)
	require.Equal(t, []float64{1, 2}, req.Batch.Inputs[0].Float64s)

	// The list of features in a message ends somewhere.
	many := make([]string, 400)
	for i := range many {
		many[i] = fmt.Sprintf("feature_%03d", i)
	}
	_, err = decode(withFeatures(model.Float64, many...), `{"x":1}`, 1)
	e, ok := errors.AsType[*model.Error](err)
	require.True(t, ok)
	require.Less(t, len(e.Expected), 300)
	require.True(t, strings.HasPrefix(e.Expected, "one of feature_000, feature_001, "), e.Expected)
	require.True(t, strings.HasSuffix(e.Expected, ", …"), e.Expected)
}

// TestDecodeWarnings places what is out of range with its row and feature.
func TestDecodeWarnings(t *testing.T) {
	m := withFeatures(model.Float64, "a", "b")
	low, high := 0.0, 1.0
	m.Schema.Features[0].Minimum, m.Schema.Features[0].Maximum = &low, &high
	m.Schema.Features[1].Maximum = &high
	req, err := decode(m, `[[0,1],[-0.5,-9],{"b":2,"a":1.5},[1,0]]`, 9)
	require.NoError(t, err)
	require.Equal(t, []Warning{{1, 0, -0.5}, {2, 1, 2}, {2, 0, 1.5}}, req.Warnings)
}

// TestDecoderReuse runs good and bad bodies through one decoder and request,
// for models of different shape.
func TestDecoderReuse(t *testing.T) {
	var d Decoder
	var req Request
	two, types := New(withFeatures(model.Float64, "a", "b")), New(everyType())
	low := 0.0
	ranged := withFeatures(model.Float32, "a")
	ranged.Schema.Features[0].Minimum = &low
	one := New(ranged)
	run := func(c *Codec, body string) error {
		return d.Decode(c, bytes.NewBufferString(body), &req, 5)
	}
	for range 3 {
		require.NoError(t, run(two, `{"instances":[[1,2],[3,4]]}`))
		require.Equal(t, Instances, req.Form)
		require.NoError(t, run(one, `[[-1]]`))
		require.Equal(t, []Warning{{0, 0, -1}}, req.Warnings)
		require.Error(t, run(two, `[[1,2],[3,4],[5`))
		require.Error(t, run(two, `{"b":5}`))
		err := run(two, `{"a":5}`)
		require.Equal(t, model.KindInvalid, model.KindOf(err), "the b of the body before does not count")
		require.Error(t, run(types, strings.Repeat("[", 20_000)))
		require.Error(t, run(types, `{"float32":1,"float32":1}`))
		require.NoError(t, run(two, `{"a":7,"b":8}`))
		require.Equal(t, Single, req.Form)
		require.Equal(t, 1, req.Batch.Rows)
		require.Empty(t, req.Warnings)
		require.Equal(t, []float64{7, 8}, req.Batch.Inputs[0].Float64s)
	}
}

// TestLocate: the row that a model points at is an instance of the body.
func TestLocate(t *testing.T) {
	for _, c := range []struct {
		form Form
		want string
	}{{Single, ""}, {Array, "/3"}, {Instances, "/instances/3"}} {
		r := Request{Form: c.form}
		invalid := &model.Error{Kind: model.KindInvalid, Detail: "no", Pointer: "/3", Got: "that"}
		require.Equal(t, &model.Error{Kind: model.KindInvalid, Detail: "no", Pointer: c.want, Got: "that"}, r.Locate(fmt.Errorf("node 1: %w", invalid)))
		require.Equal(t, "/3", invalid.Pointer, "the error may be another's")
		other := errors.New("other")
		require.Same(t, other, r.Locate(other))
	}
}
