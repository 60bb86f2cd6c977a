package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
	"github.com/tepalhq/tepal/model/repository"
)

// TestUnproven: a model that nothing is proven of is served, and everything
// that shows it says so; what is odd about the file has lines of its own.
func TestUnproven(t *testing.T) {
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	file.Metadata = nil
	file.Graph.Initializers = append(file.Graph.Initializers, onnx.Tensor{
		Name: "class_labels", Tensor: model.Tensor{Type: model.String, Shape: []int{3}, Strings: []string{"a", "b", "c"}},
	})
	file.Graph.Outputs = append(file.Graph.Outputs, onnx.ValueInfo{Name: "class_labels"})
	source := &repository.Source{Name: "bare", Data: file.Marshal()}

	s := start(t, setup{source: source}, false)
	const warning = `graph output "class_labels" is left out: its shape is [3], which is no row for each instance`
	line := logLine(t, s, "ready")
	assert.Equal(t, "WARNING", line["severity"])
	assert.Equal(t, "unproven", line["golden_status"])
	line = logLine(t, s, "model")
	assert.Equal(t, "WARNING", line["severity"])
	assert.Equal(t, warning, line["warning"])
	_, body := get(t, s.url+"/ready_check")
	assert.Contains(t, body, `"golden":"unproven"`)
	_, body = get(t, s.url+"/models")
	assert.Contains(t, body, `"golden":{"status":"unproven","rows":0}`)
	assert.Contains(t, body, `"warnings":["graph output \"class_labels\" is left out: `)
	_, body = get(t, s.ops+"/metrics")
	assert.Contains(t, body, `tepal_model_golden_status{model_name="bare",model_version="1",status="unproven"} 1`)

	refused := *source
	refused.RequireGolden = true
	s = start(t, setup{source: &refused}, true)
	waitLoaded(t, s)
	status, body := get(t, s.url+"/ready_check")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, body, `"reason":"unproven: the embedded model bare: it carries no golden rows, and they are demanded"`)
	_, body = get(t, s.ops+"/metrics")
	assert.Contains(t, body, `tepal_model_golden_status{model_name="bare",model_version="1",status="unproven"} 1`)
}

// TestValuesWithoutAnAnswer: a value that the graph has no answer for is its
// caller's fault, and the pointer leads to it whatever the form of the body.
func TestValuesWithoutAnAnswer(t *testing.T) {
	s := start(t, setup{}, false)
	serveProgram(t, s, func([]model.Tensor) error {
		return &model.Error{Kind: model.KindInvalid, Type: "invalid-value", Detail: "no quotient", Pointer: "/1"}
	})
	for body, pointer := range map[string]string{
		`[[1],[0]]`:               `"pointer":"/1"`,
		`{"instances":[[1],[0]]}`: `"pointer":"/instances/1"`,
		`{"x":0}`:                 `"detail":"no quotient","error":"no quotient"`,
	} {
		status, answer := post(t, s.url+"/predict", body)
		assert.Equal(t, http.StatusUnprocessableEntity, status)
		assert.Contains(t, answer, pointer, body)
	}
	_, answer := do(t, http.MethodPost, s.url+"/predict", `{"instances":[[1],[0]]}`+"\n", http.Header{"Content-Type": {"application/x-ndjson"}})
	assert.Contains(t, answer, `"pointer":"/instances/1"`)
	assert.NotContains(t, s.logs.String(), `"severity":"ERROR"`)
}
