package loadtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/tepalhq/tepal/model"
)

// Protocol asks for predictions by one wire protocol, and judges its answers.
// One that is not plain HTTP brings, as Options.Transport, a RoundTripper that
// carries the body of its targets and hands the answer back as a body.
type Protocol interface {
	// Target returns the request for the prediction of an instance, a JSON object.
	Target(instance []byte) vegeta.Target
	// Check returns what is wrong with the body of an answer, in a few fixed
	// words that are counted, and "" when nothing is.
	Check(body []byte) string
}

// rest is Tepal's own JSON, POST /predict.
type rest struct {
	url       string
	header    http.Header
	described *description
}

func newREST(base string, m *description) *rest {
	return &rest{url: base + "/predict", described: m, header: http.Header{"Content-Type": {"application/json"}}}
}

func (r *rest) Target(instance []byte) vegeta.Target {
	return vegeta.Target{Method: http.MethodPost, URL: r.url, Body: instance, Header: r.header}
}

func (r *rest) Check(body []byte) string {
	var answer struct {
		Label         any                 `json:"label"`
		Probabilities map[string]*float64 `json:"probabilities"`
		Scores        map[string]*float64 `json:"scores"`
		Value         any                 `json:"value"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "wrong answer: not the JSON of a prediction"
	}
	isProbability := func(p *float64) bool { return p != nil && *p >= 0 && *p <= 1 }
	isScore := func(s *float64) bool { return s != nil }
	switch regression := r.described.Task == model.Regression; {
	case regression && !isValue(answer.Value):
		return "wrong answer: no value"
	case !regression && !r.described.isClass(answer.Label):
		return "wrong answer: the label is none of the classes"
	case r.described.has(model.RoleProbabilities) && !r.described.isByClass(answer.Probabilities, isProbability):
		return "wrong answer: a class has no probability from 0 to 1"
	case r.described.has(model.RoleScores) && !r.described.isByClass(answer.Scores, isScore):
		return "wrong answer: a class has no score"
	}
	return ""
}

// isValue reports whether it is a number or an array of them.
func isValue(v any) bool {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(v any) bool { _, isNumber := v.(float64); return !isNumber })
}

// notSent is the failure of a request that never left.
const notSent = "not sent"

// verdict returns the kind of failure that a result is; "" for a right answer.
func verdict(p Protocol, r *vegeta.Result) string {
	switch {
	case r.Code != 0 && r.Code != http.StatusOK:
		return "status " + strconv.Itoa(int(r.Code))
	case r.Error != "":
		return failure(r.Error)
	}
	return p.Check(r.Body)
}

// failure sorts errors of the network into few kinds, so that what is counted
// stays small. vegeta keeps only the text of an error.
func failure(text string) string {
	switch has := func(part string) bool { return strings.Contains(text, part) }; {
	case has("Client.Timeout"), has("deadline exceeded"):
		return "timeout"
	case has("connection refused"):
		return "connection refused"
	case has("EOF"), has("connection reset"), has("broken pipe"):
		return "connection lost"
	}
	return "other network error"
}
