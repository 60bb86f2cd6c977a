package loadtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func described(f *testing.F) *description {
	f.Helper()
	var m description
	if err := json.Unmarshal([]byte(toy), &m); err != nil {
		f.Fatal(err)
	}
	return &m
}

// Whatever a file holds, what is replayed from it is JSON.
func FuzzReplay(f *testing.F) {
	m := described(f)
	for _, seed := range []string{"{\"x\":1}\n[1,2,true,\"Bern\"]", `{"message":"payload","instances":[[1,2,true,"a"],null]}`, "\n\n", "x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		list, err := m.replay(bytes.NewReader(file))
		for _, instance := range list {
			if !json.Valid(instance) && err == nil {
				t.Errorf("%q", instance)
			}
		}
	})
}

// Whatever an answer holds, the judgement is one of a few fixed texts.
func FuzzCheck(f *testing.F) {
	p := newREST("http://fake", described(f))
	for _, seed := range []string{right, `{"label":["a"]}`, `{"label":{"a":1},"probabilities":{"a":1e308,"b":1e308}}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if kind := p.Check(body); kind != "" && !strings.HasPrefix(kind, "wrong answer: ") {
			t.Errorf("%q", kind)
		}
	})
}
