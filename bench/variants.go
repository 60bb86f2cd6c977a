//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/model/rows"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/telemetry"
)

// variant is one way of giving the answer that all of them give.
type variant struct {
	name    string
	sampled string // the share of requests that are traced; empty: tracing is off
	// build makes the handler that this program serves in a process of its own, unless command starts another program on
	// {port}, with env besides.
	build   builder
	command []string
	env     []string
	// size are the files and folders that it needs on a disk, for those that show it.
	size []string
	// model is the file that it serves, the built-in one when empty, and rows the instances in each request.
	model string
	rows  int
	// other says that its answers are those of another model, and at is what a suite varies.
	other bool
	at    float64
}

// builder makes the handler of a variant, and what sends the rest of its telemetry at the end. It is nil for Tepal's own
// server, which shows no handler.
type builder func(ctx context.Context, served *repository.Served, log io.Writer) (http.Handler, stopper, error)

type stopper func(context.Context) error

// find returns the variant of that name.
func find(list []variant, name string) (variant, error) {
	at := slices.IndexFunc(list, func(v variant) bool { return v.name == name })
	if at < 0 {
		return variant{}, fmt.Errorf("there is no variant %q", name)
	}
	return list[at], nil
}

func (v variant) source() repository.Source {
	if v.model != "" {
		return repository.Source{Path: v.model}
	}
	return repository.Source{Name: "iris", Data: artifacts.Iris}
}

// work is the memory of one request, kept for the next. The bare handler keeps its own too, so that the forest costs the
// same everywhere and what differs is HTTP, JSON and telemetry.
type work struct {
	body    bytes.Buffer
	decoder rows.Decoder
	request rows.Request
	answers model.Predictions
	out     []byte
}

func newWork() any { return new(work) }

func nothing(context.Context) error { return nil }

// instance and answer are what somebody would write who serves Iris alone.
type instance struct {
	SepalLength float64 `json:"sepal_length"`
	SepalWidth  float64 `json:"sepal_width"`
	PetalLength float64 `json:"petal_length"`
	PetalWidth  float64 `json:"petal_width"`
}

type answer struct {
	Label         string `json:"label"`
	Probabilities struct {
		Setosa     float32 `json:"setosa"`
		Versicolor float32 `json:"versicolor"`
		Virginica  float32 `json:"virginica"`
	} `json:"probabilities"`
	Model struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Digest  string `json:"digest"`
	} `json:"model"`
}

func bare(_ context.Context, served *repository.Served, _ io.Writer) (http.Handler, stopper, error) {
	pool := sync.Pool{New: newWork}
	handler := func(w http.ResponseWriter, r *http.Request) {
		var in instance
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, server.DefaultMaxBodyBytes)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		x := pool.Get().(*work)
		defer pool.Put(x)
		x.request.Batch.Reset(&served.Schema)
		x.request.Batch.Append(&served.Schema)
		row := []float64{in.SepalLength, in.SepalWidth, in.PetalLength, in.PetalWidth}
		copy(x.request.Batch.Inputs[0].Float64s, row)
		for i := range x.request.Batch.Inputs[0].Float32s { // of a model that takes these instead
			x.request.Batch.Inputs[0].Float32s[i] = float32(row[i])
		}
		if err := served.Predict(r.Context(), &x.request.Batch, &x.answers); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var out answer
		out.Label = x.answers.Label().Strings[0]
		scores := x.answers.Probabilities().Float32s
		out.Probabilities.Setosa, out.Probabilities.Versicolor, out.Probabilities.Virginica = scores[0], scores[1], scores[2]
		out.Model.Name, out.Model.Version, out.Model.Digest = served.Name, served.Version, served.Digest
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // a caller who has gone cannot be told
	}
	return http.HandlerFunc(handler), nothing, nil
}

func door(_ context.Context, served *repository.Served, _ io.Writer) (http.Handler, stopper, error) {
	pool := sync.Pool{New: newWork}
	handler := func(w http.ResponseWriter, r *http.Request) {
		x := pool.Get().(*work)
		defer pool.Put(x)
		x.body.Reset()
		_, err := x.body.ReadFrom(http.MaxBytesReader(w, r.Body, server.DefaultMaxBodyBytes))
		if err == nil {
			err = x.decoder.Decode(served.Codec, &x.body, &x.request, server.DefaultMaxBatch)
		}
		if err == nil {
			err = served.Predict(r.Context(), &x.request.Batch, &x.answers)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		x.out = append(served.Codec.Append(x.out[:0], &x.request, &x.answers), '\n')
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(x.out)))
		_, _ = w.Write(x.out) // a caller who has gone cannot be told
	}
	return http.HandlerFunc(handler), nothing, nil
}

// layered puts the door into Tepal's middleware.
func layered(lines string) builder {
	return func(ctx context.Context, served *repository.Served, log io.Writer) (http.Handler, stopper, error) {
		_, options, err := shipped(log, lines)
		if err != nil {
			return nil, nil, err
		}
		t, err := telemetry.New(ctx, options)
		if err != nil {
			return nil, nil, err
		}
		inner, _, err := door(ctx, served, log)
		if err != nil {
			return nil, nil, err
		}
		return t.Route(http.MethodPost, "/predict", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			record := telemetry.RecordFrom(r.Context())
			record.ModelName, record.ModelVersion, record.Rows = served.Name, served.Version, 1
			inner.ServeHTTP(w, r)
		})), t.Shutdown, nil
	}
}

// shipped is how tepal serve sets its telemetry up, with the given access log.
func shipped(log io.Writer, lines string) (*slog.Logger, telemetry.Options, error) {
	buffer := telemetry.NewLogBuffer(log)
	logger := telemetry.NewLogger(buffer, telemetry.LogOptions{})
	options := telemetry.Options{Version: "bench", Logger: logger, LogBuffer: buffer}
	options.AccessLog.Slow = 100 * time.Millisecond
	return logger, options, options.AccessLog.UnmarshalText([]byte(lines))
}

// stock is what a team gets from the usual libraries by their documentation, with the same duties: spans, a histogram with
// exemplars, and a line for each request.
func stock(ctx context.Context, served *repository.Served, log io.Writer) (http.Handler, stopper, error) {
	handler, _, err := bare(ctx, served, log)
	if err != nil {
		return nil, nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter)) // sampled as OTEL_TRACES_SAMPLER says
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_server_request_duration_seconds", Help: "Time to answer a request.",
	}, []string{"code", "method"})
	if err := prometheus.NewRegistry().Register(durations); err != nil {
		return nil, nil, err
	}
	handler = logged(zerolog.New(log).With().Timestamp().Logger(), handler)
	handler = promhttp.InstrumentHandlerDuration(durations, handler, promhttp.WithExemplarFromContext(exemplar))
	return otelhttp.NewHandler(handler, "predict", otelhttp.WithTracerProvider(provider)), provider.Shutdown, nil
}

// exemplar names the trace of a request that is sampled.
func exemplar(ctx context.Context) prometheus.Labels {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return prometheus.Labels{"trace_id": span.TraceID().String(), "span_id": span.SpanID().String()}
	}
	return nil
}

// logged writes a line for each request.
func logged(log zerolog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		sent := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(sent, r)
		span := trace.SpanContextFromContext(r.Context())
		log.Info().Str("method", r.Method).Stringer("url", r.URL).Str("remote", r.RemoteAddr).Str("agent", r.UserAgent()).
			Int("status", sent.Status()).Int("size", sent.BytesWritten()).Dur("latency", time.Since(start)).
			Stringer("trace_id", span.TraceID()).Stringer("span_id", span.SpanID()).Msg("request")
	})
}
