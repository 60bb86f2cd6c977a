package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target answers every prediction with the same.
func target(t *testing.T, answer string) string {
	t.Helper()
	const model = `{"name":"toy","task":"regression","schema":{"features":[{"name":"x","type":"number"}],"outputs":[{"role":"value"}]}}`
	mux := http.NewServeMux()
	for path, body := range map[string]string{
		"GET /ready_check": `{}`, "GET /models": `{"models":[` + model + `]}`, "GET /models/toy": model, "POST /predict": answer,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, body)
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestReports(t *testing.T) {
	folder := t.TempDir()
	text, page := filepath.Join(folder, "r.json"), filepath.Join(folder, "r.html")
	code, out, errs := call(t, "--target", target(t, `{"value":1}`)+"/", "--stages", "50/s:200ms,100/s:100ms", "--ramp", "100ms",
		"--max-errors", "0", "--max-p95", "10s", "--max-p99", "10s", "--json", text, "--html", page)
	assert.Equal(t, exitOK, code, errs)
	assert.Empty(t, errs)
	assert.Contains(t, out, "model toy")
	data, err := os.ReadFile(text)
	require.NoError(t, err)
	var report struct {
		Total struct{ Requests, Errors int }
	}
	require.NoError(t, json.Unmarshal(data, &report))
	// 50·0.2 and 100·0.1; the ramp is not in the total.
	assert.Equal(t, 20, report.Total.Requests)
	assert.Empty(t, report.Total.Errors)
	data, err = os.ReadFile(page)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(data), "<!DOCTYPE html>"))
}

func TestGateBreaks(t *testing.T) {
	code, out, errs := call(t, "--target", target(t, `{"value":null}`), "--rate", "50", "--duration", "200ms", "--max-errors", "1%", "--min-rate", "95%")
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, out, "error: wrong answer: no value: 10")
	assert.Contains(t, errs, "gate broken: --max-errors is 100%, limit 1%")
	assert.Contains(t, errs, "gate broken: --min-rate is 0/s, limit 95% of the rate asked")
}

func TestKnee(t *testing.T) {
	// The first step is not held, whatever the rate.
	code, out, errs := call(t, "--target", target(t, `{}`), "--steps", "50,x2", "--duration", "100ms")
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, out, "knee: none")
	assert.Contains(t, errs, "--min-rate")
}

func TestFailures(t *testing.T) {
	good := target(t, `{"value":1}`)
	for name, args := range map[string][]string{
		"not ready":            {"--target", target(t, ``) + "/elsewhere", "--wait", "200ms"},
		"nobody there":         {"--target", "http://127.0.0.1:1", "--wait", "200ms"},
		"no such model":        {"--target", good, "--model", "other"},
		"no such file":         {"--target", good, "--replay", filepath.Join(t.TempDir(), "none")},
		"report not writeable": {"--target", good, "--duration", "20ms", "--json", filepath.Join(t.TempDir(), "none", "r.json")},
		"no request":           {"--target", good, "--rate", "0.01", "--duration", "1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := call(t, args...)
			assert.Equal(t, exitFailure, code)
			assert.NotEmpty(t, errs)
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/models", "/models/toy":
			_, _ = io.WriteString(w, `{"models":[{"name":"toy"}],"name":"toy","task":"regression"}`)
		case "/predict":
			if requests.Add(1) == 3 {
				cancel()
			}
			_, _ = io.WriteString(w, `{"value":1}`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	assert.Equal(t, exitFailure, run(ctx, []string{"--target", s.URL, "--connections", "1", "--duration", "1h"}, &out, &errs))
	assert.Contains(t, out.String(), "interrupted")
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--rate", "0"}, {"--rate", "fast"}, {"--stages", "100"}, {"--steps", "100"},
		{"--rate", "1", "--stages", "1/s:1s"}, {"--stages", "1/s:1s", "--steps", "1,x2"},
		{"--duration", "0s"}, {"--timeout", "0s"}, {"--wait", "-1s"}, {"--ramp", "-1s"}, {"--max-p95", "-1s"}, {"--max-p99", "soon"},
		{"--connections", "0"}, {"--max-errors", "2"}, {"--min-rate", "0"}, {"--kube-namespace", "default"},
		{"--target", "localhost:8000"}, {"--target", "ftp://localhost"}, {"--nonsense"}, {"extra"},
	} {
		code, _, errs := call(t, args...)
		assert.Equal(t, exitUsage, code, args)
		assert.Contains(t, errs, "loadtest --help", args)
	}
	code, out, _ := call(t, "--help")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out, "--max-p99")
}
