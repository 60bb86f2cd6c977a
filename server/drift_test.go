package server

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/telemetry/drift"
)

// irisRows are the rows that the model was trained with, their petals longer by so many centimetres.
func irisRows(t *testing.T, longer float64) string {
	t.Helper()
	f, err := os.Open("../data/iris.csv")
	require.NoError(t, err)
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	var rows []string
	for _, r := range records[1:] {
		petal, err := strconv.ParseFloat(r[2], 64)
		require.NoError(t, err)
		rows = append(rows, fmt.Sprintf("[%s,%s,%.1f,%s]", r[0], r[1], petal+longer, r[3]))
	}
	require.Len(t, rows, 150)
	return "[" + strings.Join(rows, ",") + "]"
}

func driftOf(t *testing.T, s *running) drift.Report {
	t.Helper()
	status, body := get(t, s.url+"/models/iris/drift")
	require.Equal(t, http.StatusOK, status)
	var r drift.Report
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	return r
}

// TestDrift asks for what the model was trained with, and then for the same with petals that are 3 cm longer.
func TestDrift(t *testing.T) {
	s := start(t, setup{}, false)
	status, _ := post(t, s.url+"/predict", irisRows(t, 0))
	require.Equal(t, http.StatusOK, status)
	r := driftOf(t, s)
	require.Len(t, r.Features, 4)
	for _, v := range append(r.Features, *r.Output) {
		assert.Equal(t, uint64(150), v.Samples, v.Name)
		assert.Equal(t, v.Reference.Counts, v.Live.Counts, v.Name)
		assert.Zero(t, *v.PSI, v.Name)
		assert.Zero(t, v.OutOfRange, v.Name)
	}

	s = start(t, setup{}, false)
	status, answer := post(t, s.url+"/predict", irisRows(t, 3))
	require.Equal(t, http.StatusOK, status)
	r = driftOf(t, s)
	for _, v := range r.Features {
		if v.Name != "petal_length" {
			assert.Zero(t, *v.PSI, v.Name)
			continue
		}
		// Of the petals, 11 are 1.0 to 1.3 cm long and become 4.0 to 4.3, 33 are 1.4 to 1.6 and become 4.4 to 4.6, 6 are
		// 1.7 and 1.9 and become 4.7 and 4.9, 100 are 3.0 and more and become 6.0 and more. 89 of those are above 3.9,
		// and so, as the longest was 6.9, out of range.
		assert.Equal(t, []uint64{0, 0, 0, 0, 11, 33, 6, 0, 0, 100}, v.Live.Counts)
		assert.Equal(t, uint64(89), v.OutOfRange)
		// The sum of (p - q) ln(p/q) for these counts p, and 11, 13, 20, 14, 17, 15, 14, 16, 14, 16 of 150 for q, with
		// 0.0001 for the empty ones: 0.4832 + 0.5856 + 0.9587 + 0.6376 + 0.0174 + 0.0946 + 0.0452 + 0.7430 + 0.6376 +
		// 1.0262 = 5.2291, with more decimals 5.229108.
		assert.InDelta(t, 5.229108, *v.PSI, 1e-6)
	}
	for i, label := range []string{"setosa", "versicolor", "virginica"} {
		assert.Equal(t, label, r.Output.Labels[i])
		assert.Equal(t, strings.Count(answer, `"label":"`+label+`"`), int(r.Output.Live.Counts[i]))
	}
	_, metrics := get(t, s.ops+"/metrics")
	for _, line := range []string{
		`tepal_drift_psi{feature="petal_length",model_name="iris",model_version="1"} 5.229108`,
		`tepal_drift_samples{feature="petal_length",model_name="iris",model_version="1"} 150`,
		`tepal_feature_out_of_range_total{feature="petal_length",model_name="iris",model_version="1"} 89`,
		`tepal_feature_missing_total{feature="petal_length",model_name="iris",model_version="1"} 0`,
		`tepal_drift_output_samples{model_name="iris",model_version="1"} 150`,
		`tepal_telemetry_dropped_total{reason="queue-full",signal="drift"} 0`,
	} {
		assert.Contains(t, metrics, line+"\n")
	}
}

// TestDriftOfAnotherModel: a monitor sees only what is asked of its model.
func TestDriftOfAnotherModel(t *testing.T) {
	s := start(t, setup{}, false)
	serveProgram(t, s, func(out []model.Tensor) error {
		out[0].Resize(model.Float64, 1, 1)
		return nil
	})
	status, _ := post(t, s.url+"/predict", `{"x":1}`)
	require.Equal(t, http.StatusOK, status)
	status, body := get(t, s.url+"/models/made/drift")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, body, "not watched for drift yet")
	assert.Zero(t, s.drift.Load().Report().Features[0].Samples)
}

// TestDriftDropsAreCounted fills the buffer when nobody empties it any more.
func TestDriftDropsAreCounted(t *testing.T) {
	s := start(t, setup{}, false)
	require.NoError(t, s.stop())
	monitor := s.drift.Load()
	var b model.Batch
	var p model.Predictions
	b.Reset(&monitor.Model().Schema)
	for range 10_000 {
		b.Append(&monitor.Model().Schema)
	}
	require.NoError(t, monitor.Model().Predict(t.Context(), &b, &p))
	const batches = 20
	for range batches {
		monitor.Observe(&b, &p)
	}
	held := monitor.Report().Features[0].Samples
	assert.Positive(t, held)
	assert.Less(t, held, uint64(batches*10_000))
	scrape := httptest.NewRecorder()
	s.telemetry.MetricsHandler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	lost := regexp.MustCompile(`tepal_telemetry_dropped_total\{reason="queue-full",signal="drift"\} (\S+)\n`).FindStringSubmatch(scrape.Body.String())
	require.NotNil(t, lost)
	count, err := strconv.ParseFloat(lost[1], 64)
	require.NoError(t, err)
	assert.Equal(t, batches*10_000-float64(held), count)
}
