package loadtest

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The n-th request takes n%100+1 ms, so that the percentiles are those of 1 to 100.
func TestPercentiles(t *testing.T) {
	f := &fake{answer: func(n int) (time.Duration, int, string) {
		return time.Duration(n%100+1) * time.Millisecond, http.StatusOK, right
	}}
	r := bubble(t, f, Options{Stages: append(ramp(50, 4*time.Second), constant(50, 20*time.Second)...)})
	// The ramp asks for 50·4/2 requests, and counts in no total.
	require.Len(t, r.Stages, 2)
	assert.EqualValues(t, 100, r.Stages[0].Requests)
	assert.EqualValues(t, 1000, r.Total.Requests)
	assert.Empty(t, r.Total.Errors)
	assert.InDelta(t, 50, r.Total.AskedRate, 1e-9)
	for ms, got := range map[int]Seconds{50: r.Total.P50, 90: r.Total.P90, 95: r.Total.P95, 99: r.Total.P99, 100: r.Total.P999} {
		around(t, time.Duration(ms)*time.Millisecond, got, strconv.Itoa(ms))
	}
	assert.Equal(t, 100*time.Millisecond, r.Total.Max.Duration)
	assert.Equal(t, 50500*time.Microsecond, r.Total.Mean.Duration)
	around(t, 99*time.Millisecond, r.Total.SentP99, "sent")
	// A point a second; the last answers come after the end, and belong to the last.
	require.Len(t, r.Points, 24)
	assert.InDelta(t, 50, r.Points[10].AskedRate, 1e-9)
	assert.InDelta(t, 50, r.Points[10].RightRate, 2)
}

// The target answers at once, but for one second in which it answers nothing:
// of 1,000 requests the 100 that were due then wait for 10 ms to 1 s, however
// many of them could be sent.
func TestStall(t *testing.T) {
	for _, c := range []struct {
		connections int
		sentP99     time.Duration
	}{
		{256, 900 * time.Millisecond},
		// All but one were kept from being sent, and an uncorrected latency hides them.
		{1, 0},
	} {
		began := sync.OnceValue(time.Now)
		f := &fake{answer: func(int) (time.Duration, int, string) {
			at, end := time.Since(began()), 3*time.Second
			if at < 2*time.Second || at >= end {
				return 0, http.StatusOK, right
			}
			return end - at, http.StatusOK, right
		}}
		r := bubble(t, f, Options{Stages: constant(100, 10*time.Second), Connections: c.connections})
		assert.EqualValues(t, 1000, r.Total.Requests)
		late := uint64(0)
		for _, b := range r.Histogram {
			// The bucket of 10 ms begins a little below.
			if b.From.Duration > 9*time.Millisecond {
				late += b.Count
			}
		}
		assert.EqualValues(t, 100, late)
		around(t, 0, r.Total.P90, "p90")
		around(t, 500*time.Millisecond, r.Total.P95, "p95")
		around(t, 900*time.Millisecond, r.Total.P99, "p99")
		assert.Equal(t, time.Second, r.Total.Max.Duration)
		around(t, c.sentP99, r.Total.SentP99, "sent")
		// Those due in the third second, from 1 s down to 10 ms.
		around(t, 500*time.Millisecond, r.Points[2].P50, "the third second")
		assert.InDelta(t, 0, r.Points[2].RightRate, 1)
		assert.InDelta(t, 200, r.Points[3].RightRate, 1)
	}
}

// One connection, and no answer: the first request is due at 0 s and times out
// at 10 s, the second one is sent then and times out at 20 s. The other eight
// are given up a second after the end.
func TestNotSent(t *testing.T) {
	r := bubble(t, &fake{answer: always(time.Hour)}, Options{Stages: constant(10, time.Second), Connections: 1})
	assert.Equal(t, map[string]uint64{"timeout": 2, notSent: 8}, r.Total.Errors)
	assert.EqualValues(t, 10, r.Total.Requests)
	assert.Equal(t, Share(1), r.Total.ErrorShare)
	assert.Equal(t, 19900*time.Millisecond, r.Total.Max.Duration)
	// The third one was due at 0.2 s, and given up at 2 s.
	assert.Equal(t, (10*time.Second + 19900*time.Millisecond + 8*2*time.Second - 4400*time.Millisecond).Round(time.Millisecond), (r.Total.Mean.Duration * 10).Round(time.Millisecond))
}

func TestAnswers(t *testing.T) {
	regression := `{"name":"toy","task":"regression","schema":{"features":[{"name":"x","type":"number"}],"outputs":[{"role":"value"}]}}`
	numbers := `{"name":"toy","task":"classification","classes":[1,2],"schema":{"features":[{"name":"x","type":"number"}],"outputs":[{"role":"label"}]}}`
	scored := `{"name":"toy","task":"classification","classes":[10,-3],"schema":{"features":[{"name":"x","type":"number"}],"outputs":[{"role":"label"},{"role":"scores"}]}}`
	for name, c := range map[string]struct {
		model  string
		status int
		body   string
		kind   string
	}{
		"right":                {toy, 200, right, ""},
		"from 0 to 1":          {toy, 200, `{"label":"b","probabilities":{"a":0,"b":1}}`, ""},
		"above 1":              {toy, 200, `{"label":"b","probabilities":{"a":0,"b":1.0000001}}`, "wrong answer: a class has no probability from 0 to 1"},
		"below 0":              {toy, 200, `{"label":"b","probabilities":{"a":-1e-9,"b":1}}`, "wrong answer: a class has no probability from 0 to 1"},
		"a class too few":      {toy, 200, `{"label":"b","probabilities":{"b":1}}`, "wrong answer: a class has no probability from 0 to 1"},
		"a class too many":     {toy, 200, `{"label":"b","probabilities":{"a":0,"b":1,"c":0}}`, "wrong answer: a class has no probability from 0 to 1"},
		"not a number":         {toy, 200, `{"label":"b","probabilities":{"a":null,"b":1}}`, "wrong answer: a class has no probability from 0 to 1"},
		"no probabilities":     {toy, 200, `{"label":"b"}`, "wrong answer: a class has no probability from 0 to 1"},
		"scores":               {scored, 200, `{"label":-3,"scores":{"10":-1.5,"-3":2.5}}`, ""},
		"a score too few":      {scored, 200, `{"label":-3,"scores":{"10":-1.5}}`, "wrong answer: a class has no score"},
		"a score that is none": {scored, 200, `{"label":-3,"scores":{"10":-1.5,"-3":null}}`, "wrong answer: a class has no score"},
		"no scores":            {scored, 200, `{"label":-3,"probabilities":{"10":0,"-3":1}}`, "wrong answer: a class has no score"},
		"another label":        {toy, 200, `{"label":"c","probabilities":{"a":1}}`, "wrong answer: the label is none of the classes"},
		"no label":             {toy, 200, `{"probabilities":{"a":1}}`, "wrong answer: the label is none of the classes"},
		"a list for a label":   {toy, 200, `{"label":["a"],"probabilities":{"a":1}}`, "wrong answer: the label is none of the classes"},
		"no JSON":              {toy, 200, `<html>`, "wrong answer: not the JSON of a prediction"},
		"refused":              {toy, 422, `{}`, "status 422"},
		"overloaded":           {toy, 503, `{}`, "status 503"},
		"moved":                {toy, 302, ``, "status 302"},
		"an integer":           {numbers, 200, `{"label":2}`, ""},
		"an integer as text":   {numbers, 200, `{"label":"2"}`, "wrong answer: the label is none of the classes"},
		"a value":              {regression, 200, `{"value":1.5}`, ""},
		"values":               {regression, 200, `{"value":[1.5,2]}`, ""},
		"no value":             {regression, 200, `{"label":"a"}`, "wrong answer: no value"},
		"null":                 {regression, 200, `{"value":[null]}`, "wrong answer: no value"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{model: c.model, answer: func(int) (time.Duration, int, string) { return 0, c.status, c.body }}
			r := bubble(t, f, Options{Stages: constant(10, time.Second)})
			if c.kind == "" {
				assert.Empty(t, r.Total.Errors)
				return
			}
			assert.Equal(t, map[string]uint64{c.kind: 10}, r.Total.Errors)
			assert.Zero(t, r.Total.RightRate)
		})
	}
}

// One connection and 6 ms for each answer: 166 a second at most.
func TestKnee(t *testing.T) {
	steps := &Steps{From: 50, Factor: 2}
	r := bubble(t, &fake{answer: always(6 * time.Millisecond)}, Options{
		Stages: ramp(50, time.Second), Steps: steps, Duration: 3 * time.Second, Connections: 1,
		Gates: Gates{MinRate: &MinRate{Absolute: 90}},
	})
	require.NotNil(t, r.Knee.Held)
	assert.Equal(t, "100/s", r.Knee.Held.Name)
	assert.Len(t, r.Stages, 4, "the ramp, 50, 100 and 200")
	assert.InDelta(t, 1000.0/6, r.Stages[3].RightRate, 1)
	require.Len(t, r.Knee.Ended, 1)
	assert.Equal(t, "--min-rate", r.Knee.Ended[0].Gate)
	assert.Contains(t, r.Knee.String(), "knee: 100/s held; then --min-rate is 166")
	// What ended the search is no failure; the knee has to reach 90 a second, and does.
	assert.Empty(t, r.Broken())
	require.Len(t, r.Gates, 1)

	// A latency ends it too, and it fails when not even the first step is held.
	r = bubble(t, &fake{answer: always(6 * time.Millisecond)}, Options{
		Steps: steps, Duration: time.Second, Gates: Gates{MaxP99: 5 * time.Millisecond},
	})
	assert.Nil(t, r.Knee.Held)
	require.Len(t, r.Broken(), 1)
	assert.Equal(t, Verdict{"--max-p99", "5ms", "6ms", false}, r.Broken()[0])
}

func TestGates(t *testing.T) {
	one := Share(0.01)
	for name, c := range map[string]struct {
		gates Gates
		broke string
	}{
		"none":            {Gates{}, ""},
		"p95 held":        {Gates{MaxP95: 96 * time.Millisecond}, ""},
		"p95 broken":      {Gates{MaxP95: 90 * time.Millisecond}, "--max-p95"},
		"p99 broken":      {Gates{MaxP95: time.Second, MaxP99: 90 * time.Millisecond}, "--max-p99"},
		"errors held":     {Gates{MaxErrors: new(Share(0.02))}, ""},
		"errors broken":   {Gates{MaxErrors: &one}, "--max-errors"},
		"share held":      {Gates{MinRate: &MinRate{Share: 0.9}}, ""},
		"share broken":    {Gates{MinRate: &MinRate{Share: 0.995}}, "--min-rate"},
		"rate held":       {Gates{MinRate: &MinRate{Absolute: 90}}, ""},
		"rate broken":     {Gates{MinRate: &MinRate{Absolute: 101}}, "--min-rate"},
		"several at once": {Gates{MaxP95: time.Millisecond, MaxErrors: &one}, "--max-p95 --max-errors "},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answer: func(n int) (time.Duration, int, string) {
				status := http.StatusOK
				if n%50 == 0 {
					status = http.StatusServiceUnavailable
				}
				return time.Duration(n%100+1) * time.Millisecond, status, right
			}}
			r := bubble(t, f, Options{Stages: constant(100, 10*time.Second), Gates: c.gates})
			names := ""
			for _, v := range r.Broken() {
				if names += v.Gate; c.broke != v.Gate {
					names += " "
				}
			}
			assert.Equal(t, c.broke, names)
		})
	}
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3005*time.Millisecond, cancel)
		r, err := Run(ctx, defaults(&fake{answer: always(0)}, Options{
			Stages: constant(100, 10*time.Second), Gates: Gates{MaxP99: time.Millisecond},
		}))
		require.NoError(t, err)
		assert.True(t, r.Interrupted)
		assert.EqualValues(t, 301, r.Total.Requests)
		assert.Equal(t, 3005*time.Millisecond, r.Total.Duration.Duration)
		assert.Empty(t, r.Total.Errors)
	})
}

func TestReadiness(t *testing.T) {
	f := &fake{answer: always(0)}
	f.notReady.Store(3)
	bubble(t, f, Options{Stages: constant(10, time.Second)})
	assert.EqualValues(t, 4, f.probes.Load())

	synctest.Test(t, func(t *testing.T) {
		f.notReady.Store(1 << 40)
		start := time.Now()
		_, err := Run(t.Context(), defaults(f, Options{Stages: constant(10, time.Second)}))
		require.ErrorContains(t, err, "not ready after 10s")
		assert.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestModels(t *testing.T) {
	for name, c := range map[string]struct{ model, ask, fault string }{
		"two":     {toy + "," + toy, "", "serves 2 models: say which one by --model"},
		"none":    {" ", "", "serves 0 models"},
		"unknown": {toy, "other", "Not Found"},
		"no example of a string": {`{"name":"toy","schema":{"features":[{"name":"city","type":"string"}]}}`, "",
			"no example of the feature city"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := Run(t.Context(), defaults(&fake{model: c.model}, Options{Model: c.ask, Stages: constant(10, time.Second)}))
				require.ErrorContains(t, err, c.fault)
			})
		})
	}
}

func TestDraw(t *testing.T) {
	f := &fake{answer: always(0), bodies: make(chan string, 2000)}
	bubble(t, f, Options{Stages: constant(100, 20*time.Second), Seed: 7})
	close(f.bodies)
	xs, ns, ons := map[float64]bool{}, map[int]bool{}, map[bool]bool{}
	for body := range f.bodies {
		var instance struct {
			X    *float64
			N    *int
			On   *bool
			City *string
		}
		require.NoError(t, json.Unmarshal([]byte(body), &instance), body)
		require.True(t, *instance.X >= 1 && *instance.X <= 3, body)
		require.True(t, *instance.N >= -2 && *instance.N <= 2, body)
		require.Equal(t, "Bern", *instance.City)
		xs[*instance.X], ns[*instance.N], ons[*instance.On] = true, true, true
	}
	// 201 values with two decimals are in 1 to 3, of which 2,000 draws leave out next to none.
	assert.InDelta(t, 201, len(xs), 10)
	assert.Len(t, ns, 5)
	assert.Len(t, ons, 2)
}

func TestReplay(t *testing.T) {
	for name, c := range map[string]struct {
		file  string
		want  []string
		fault string
	}{
		"objects":  {"{\"x\":1}\n\n{\"x\":2}\n", []string{`{"x":1}`, `{"x":2}`}, ""},
		"an array": {`[1.5,2,true,"Bern"]`, []string{`{"city":"Bern","n":2,"on":true,"x":1.5}`}, ""},
		"a log": {`starting
{"severity":"INFO","message":"started"}
{"severity":"INFO","message":"payload","model":"toy","rows":2,"instances":[{"x":1},{"x":2}],"predictions":[{},{}]}
`, []string{`{"x":1}`, `{"x":2}`}, ""},
		"no JSON": {"{\"x\":1}\nx,n\n", nil, "line 2 is no JSON"},
		"empty":   {"\n", nil, "no instance"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "replay")
			require.NoError(t, os.WriteFile(path, []byte(c.file), 0o600))
			f := &fake{answer: always(0), bodies: make(chan string, len(c.want))}
			synctest.Test(t, func(t *testing.T) {
				_, err := Run(t.Context(), defaults(f, Options{Stages: constant(10, time.Second), Replay: path}))
				if c.fault != "" {
					require.ErrorContains(t, err, c.fault)
					return
				}
				require.NoError(t, err)
			})
			for _, want := range c.want {
				assert.Equal(t, want, <-f.bodies)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var told []Progress
	f := &fake{answer: func(n int) (time.Duration, int, string) {
		if n%10 == 0 {
			return 0, http.StatusServiceUnavailable, ""
		}
		return 5 * time.Millisecond, http.StatusOK, right
	}}
	bubble(t, f, Options{
		Stages: constant(100, 5*time.Second), Progress: func(p Progress) { told = append(told, p) },
	})
	require.GreaterOrEqual(t, len(told), 4)
	second := told[2]
	assert.Equal(t, 3*time.Second, second.Elapsed)
	assert.InDelta(t, 100, second.Asked, 0)
	assert.InDelta(t, 90, second.Rate, 1)
	assert.InDelta(t, 30, second.Errors, 1)
	assert.Contains(t, second.String(), "3s  asked 100/s")
}

func TestReplicas(t *testing.T) {
	var asked atomic.Int64
	o := Options{Stages: constant(10, 12*time.Second), Replicas: func(context.Context) (Replicas, error) {
		cpu := int(asked.Add(1)) * 30
		return Replicas{Current: 2, Desired: 3, CPU: &cpu}, nil
	}}
	r := bubble(t, &fake{answer: always(0)}, o)
	// At 0, 5 and 10 s.
	require.Len(t, r.Replicas, 3)
	assert.Equal(t, 10*time.Second, r.Replicas[2].At.Duration)
	assert.Equal(t, 90, *r.Replicas[2].CPU)

	o.Replicas = noReplicas
	r = bubble(t, &fake{answer: always(0)}, o)
	assert.Empty(t, r.Replicas)
	assert.Equal(t, "unexpected EOF", r.Note)
}

// The document is what kubectl prints of autoscaling/v2.
func TestParseReplicas(t *testing.T) {
	const list = `{"apiVersion":"v1","kind":"List","items":[
		{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"other"},
		 "spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"other"}},"status":{"currentReplicas":9}},
		{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"iris-classifier-hpa"},
		 "spec":{"maxReplicas":5,"minReplicas":2,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"iris-classifier-deployment"}},
		 "status":{"currentReplicas":2,"desiredReplicas":4,"currentMetrics":[
			{"type":"Resource","resource":{"name":"memory","current":{"averageUtilization":11,"averageValue":"30Mi"}}},
			{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":118,"averageValue":"118m"}}}]}}]}`
	r, err := parseReplicas([]byte(list), "iris-classifier-deployment")
	require.NoError(t, err)
	cpu := 118
	assert.Equal(t, Replicas{Current: 2, Desired: 4, CPU: &cpu}, r)
	_, err = parseReplicas([]byte(list), "nobody")
	require.ErrorContains(t, err, "no autoscaler scales the deployment nobody")
}
