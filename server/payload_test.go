package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/telemetry"
)

func share(t *testing.T, text string) telemetry.Share {
	t.Helper()
	var s telemetry.Share
	require.NoError(t, s.UnmarshalText([]byte(text)))
	return s
}

func TestPayloadsAreLoggedWhenAskedFor(t *testing.T) {
	s := start(t, setup{config: Config{LogPayloads: share(t, "sampled:1")}}, false)
	status, answer := post(t, s.url+"/predict", `{"instances":[`+setosa+`,[6.0,2.7,5.1,1.6]]}`)
	require.Equal(t, http.StatusOK, status)
	line := logLine(t, s, "payload")
	assert.Equal(t, "iris", line["model"])
	assert.Equal(t, "1", line["model_version"])
	assert.InDelta(t, 2, line["rows"], 0)
	assert.Equal(t, logLine(t, s, "POST /predict 200")["trace_id"], line["trace_id"])
	assert.Equal(t, []any{
		map[string]any{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
		map[string]any{"sepal_length": 6.0, "sepal_width": 2.7, "petal_length": 5.1, "petal_width": 1.6},
	}, line["instances"])
	assert.Contains(t, answer, `"label":"versicolor"`)
	predictions, ok := line["predictions"].([]any)
	require.True(t, ok)
	require.Len(t, predictions, 2)
	assert.Equal(t, "versicolor", predictions[1].(map[string]any)["label"])
}

func TestNoPayloadIsLoggedByDefault(t *testing.T) {
	s := start(t, setup{}, false)
	status, _ := post(t, s.url+"/predict", `{"sepal_length":5.12345,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`)
	require.Equal(t, http.StatusOK, status)
	status, _ = post(t, s.url+"/predict", `{"sepal_length":"5.12345","sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	line := logLine(t, s, "POST /predict 422")
	assert.Equal(t, "invalid-value", line["problem"])
	assert.Equal(t, "/sepal_length", line["pointer"])
	assert.NotContains(t, s.logs.String(), "payload")
	assert.NotContains(t, s.logs.String(), "5.12345")
}

func TestPayloadLinesAreBounded(t *testing.T) {
	s := start(t, setup{config: Config{LogPayloads: share(t, "sampled:1")}}, false)
	status, _ := post(t, s.url+"/predict", "["+strings.Repeat(setosa+",", 100)+setosa+"]")
	require.Equal(t, http.StatusOK, status)
	line := logLine(t, s, "payload")
	assert.InDelta(t, 101, line["rows"], 0)
	assert.Len(t, line["instances"], 100)
	assert.Len(t, line["predictions"], 100)
}
