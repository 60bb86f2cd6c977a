package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// busy is a run that has everything a report can show.
func busy(t *testing.T) *Report {
	t.Helper()
	f := &fake{answer: func(n int) (time.Duration, int, string) {
		switch {
		case n%40 == 0:
			return time.Millisecond, http.StatusServiceUnavailable, ""
		case n%50 == 0:
			return time.Millisecond, http.StatusOK, `{"label":"<script>"}`
		}
		return time.Duration(n%100+1) * time.Millisecond, http.StatusOK, right
	}}
	return bubble(t, f, Options{
		Stages: append(ramp(50, 2*time.Second), Stage{From: 50, To: 50, Duration: 10 * time.Second}, Stage{From: 200, To: 200, Duration: 10 * time.Second}),
		Gates:  Gates{MaxP99: 50 * time.Millisecond, MaxErrors: new(Share(0.5))},
		Replicas: func(context.Context) (Replicas, error) {
			return Replicas{Current: 2, Desired: 4}, nil
		},
	})
}

// The page is XML too, so that a strict parser sees every tag closed. Nothing
// in it leads out of the file.
func TestHTML(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, busy(t).WriteHTML(&out))
	assert.NotContains(t, out.String(), "ZgotmplZ", "the template refused a value")
	assert.NotContains(t, out.String(), "NaN")
	assert.NotContains(t, out.String(), "url(")
	assert.NotContains(t, out.String(), "@import")
	assert.Contains(t, out.String(), "prefers-color-scheme: dark")
	count := make(map[string]int)
	d := xml.NewDecoder(&out)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		tag, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		count[tag.Name.Local]++
		for _, a := range tag.Attr {
			assert.NotContains(t, []string{"src", "href", "srcset", "action", "data", "xmlns"}, a.Name.Local)
			assert.NotContains(t, a.Value, "//", tag.Name.Local)
		}
	}
	// Latency, rates, distribution, errors, replicas, CPU.
	assert.Equal(t, 6, count["svg"])
	assert.Zero(t, count["script"]+count["link"]+count["img"]+count["iframe"])
}

func TestTable(t *testing.T) {
	var out strings.Builder
	require.NoError(t, busy(t).WriteTable(&out))
	// 100·10/2 of the ramp... the stages ask for 500 and 2,000.
	for _, want := range []string{
		"http://fake, model toy version 1, 256 connections, payloads drawn from the schema",
		"ramp to 50/s", "200/s", "2500", "error: status 503: ", "error: wrong answer: the label is none of the classes: ",
		"gate --max-p99 is 99", "limit 50ms: BROKEN", "gate --max-errors is ", "limit 50%: held",
	} {
		assert.Contains(t, out.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	r := busy(t)
	require.NoError(t, r.WriteJSON(&out))
	var got struct {
		Total struct {
			Requests int
			Max      float64 `json:"max_seconds"`
		}
		Stages    []struct{ Name string }
		Gates     []struct{ Held bool }
		Points    []any
		Histogram []struct{ Count int }
		Replicas  []struct{ Current int }
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	assert.Equal(t, 2500, got.Total.Requests)
	assert.InDelta(t, 0.1, got.Total.Max, 1e-9)
	assert.Len(t, got.Stages, 3)
	assert.Len(t, got.Gates, 2)
	assert.Len(t, got.Points, len(r.Points))
	sum := 0
	for _, b := range got.Histogram {
		sum += b.Count
	}
	assert.Equal(t, 2500, sum)
	assert.Equal(t, 2, got.Replicas[0].Current)
}

// A long run has wider points and not more of them.
func TestLongRun(t *testing.T) {
	r := bubble(t, &fake{answer: always(0)}, Options{Stages: constant(1, 1000*time.Second)})
	assert.Equal(t, 4*time.Second, r.Points[0].Duration.Duration)
	assert.Len(t, r.Points, 250)
	for _, p := range r.Points {
		assert.InDelta(t, 1, p.AskedRate, 0)
		assert.InDelta(t, 1, p.RightRate, 0)
	}
}

func TestEmptyReport(t *testing.T) {
	var out strings.Builder
	require.NoError(t, (&Report{}).WriteHTML(&out))
	assert.NotContains(t, out.String(), "<svg")
}

// Answers that come after the end count in the second in which they come,
// however little of the load was in it.
func TestLateAnswers(t *testing.T) {
	began := sync.OnceValue(time.Now)
	f := &fake{answer: func(n int) (time.Duration, int, string) {
		return 2500*time.Millisecond + time.Duration(n%2)*time.Second - time.Since(began()), http.StatusOK, right
	}}
	r := bubble(t, f, Options{Stages: constant(100, 2*time.Second+time.Microsecond), Connections: 1000})
	var rates []float64
	for _, p := range r.Points {
		rates = append(rates, p.RightRate)
	}
	require.Len(t, rates, 4)
	// Of 201 requests, the last one opens the third second.
	assert.InDeltaSlice(t, []float64{0, 0, 101, 100}, rates, 1)
}
