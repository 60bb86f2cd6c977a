package loadtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A ramp to 100 a second within 10 s asks for 100·10/2 requests, the stages after it for 100·2 and 50·4.
func TestSchedule(t *testing.T) {
	var phases []*phase
	at := time.Duration(0)
	for _, s := range []Stage{{To: 100, Duration: 10 * time.Second}, {From: 100, To: 100, Duration: 2 * time.Second}, {From: 50, To: 50, Duration: 4 * time.Second}} {
		phases = append(phases, &phase{s, tally{start: at}})
		at += s.Duration
	}
	plan := schedule{phases: phases}
	var asked []*phase
	var due []time.Duration
	for p, at, more := plan.next(); more; p, at, more = plan.next() {
		asked, due = append(asked, p), append(due, at)
	}
	require.Len(t, due, 900)
	for _, c := range []struct {
		n, phase int
		due      time.Duration
	}{
		{0, 0, 0},
		{125, 0, 5 * time.Second}, // 10·t²/2 = 125
		{5, 0, time.Second},
		{500, 1, 10 * time.Second},
		{501, 1, 10*time.Second + 10*time.Millisecond},
		{699, 1, 12*time.Second - 10*time.Millisecond},
		{700, 2, 12 * time.Second},
		{899, 2, 16*time.Second - 20*time.Millisecond},
	} {
		assert.Same(t, phases[c.phase], asked[c.n], c.n)
		assert.InDelta(t, c.due.Seconds(), due[c.n].Seconds(), 1e-6, c.n)
	}
}

func TestLoadOfOptions(t *testing.T) {
	steps := &Steps{From: 20, Factor: 2}
	stages := Stages{{From: 5, To: 5, Duration: time.Second}, {From: 9, To: 9, Duration: time.Second}}
	for name, c := range map[string]struct {
		o    Options
		want []Stage
	}{
		"no rate":             {Options{Duration: time.Minute}, []Stage{{From: 100, To: 100, Duration: time.Minute}}},
		"a rate after a ramp": {Options{Rate: 7, Ramp: time.Second, Duration: time.Minute}, []Stage{{To: 7, Duration: time.Second, Ramp: true}, {From: 7, To: 7, Duration: time.Minute}}},
		"stages":              {Options{Stages: stages, Duration: time.Minute}, stages},
		"stages after a ramp": {Options{Stages: stages, Ramp: time.Second}, []Stage{{To: 5, Duration: time.Second, Ramp: true}, stages[0], stages[1]}},
		"steps":               {Options{Steps: steps, Duration: time.Minute}, nil},
		"steps after a ramp":  {Options{Steps: steps, Ramp: time.Second}, []Stage{{To: 20, Duration: time.Second, Ramp: true}}},
	} {
		assert.Equal(t, c.want, append([]Stage(nil), c.o.stages()...), name)
	}
}

func TestFlags(t *testing.T) {
	var stages Stages
	require.NoError(t, stages.UnmarshalText([]byte("100/s:30s,0.5:1m")))
	assert.Equal(t, Stages{{From: 100, To: 100, Duration: 30 * time.Second}, {From: 0.5, To: 0.5, Duration: time.Minute}}, stages)
	var steps Steps
	require.NoError(t, steps.UnmarshalText([]byte("100,x1.5")))
	assert.Equal(t, Steps{From: 100, Factor: 1.5}, steps)
	require.NoError(t, steps.UnmarshalText([]byte("100/s,+25")))
	assert.Equal(t, Steps{From: 100, Factor: 1, Increment: 25}, steps)
	var share Share
	require.NoError(t, share.UnmarshalText([]byte("2.5%")))
	assert.InDelta(t, 0.025, float64(share), 1e-12)
	var least MinRate
	require.NoError(t, least.UnmarshalText([]byte("95%")))
	assert.Equal(t, "95% of the rate asked", least.String())
	require.NoError(t, least.UnmarshalText([]byte("900/s")))
	assert.Equal(t, "900/s", least.String())

	for _, bad := range []string{"", "100/s", "100/s:", "100/s:0s", "100/s:-1s", "0/s:1s", "-1:1s", "NaN:1s", "x:1s", "100:30", "100/s:1s,", "1e9/s:1s"} {
		require.Error(t, stages.UnmarshalText([]byte(bad)), bad)
	}
	for _, bad := range []string{"", "100", "100,", "100,1.5", "100,x1", "100,x0.5", "100,+0", "100,+-5", "100,xNaN", "0,x2"} {
		require.Error(t, steps.UnmarshalText([]byte(bad)), bad)
	}
	for _, bad := range []string{"", "2", "-0.1", "101%", "NaN", "few"} {
		require.Error(t, share.UnmarshalText([]byte(bad)), bad)
	}
	for _, bad := range []string{"", "0", "-5", "120%", "fast"} {
		require.Error(t, least.UnmarshalText([]byte(bad)), bad)
	}
}

// The percentiles of a histogram are those of the sorted list, but for a 64th.
func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var whole, one, other histogram
	var list []time.Duration
	for i := range 20_000 {
		d := time.Duration(math.Exp(rng.NormFloat64()*3)*1000) * time.Microsecond
		list = append(list, d)
		whole.add(d)
		if i%3 == 0 {
			one.add(d)
		} else {
			other.add(d)
		}
	}
	one.merge(&other)
	assert.Equal(t, whole, one)
	slices.Sort(list)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := list[int(math.Ceil(q*float64(len(list))))-1]
		got := whole.quantile(q).Duration
		assert.GreaterOrEqual(t, got, want)
		assert.LessOrEqual(t, got.Seconds(), want.Seconds()*(1+1.0/64)+1e-6)
	}
	assert.Equal(t, list[len(list)-1], whole.max)
	assert.Zero(t, new(histogram).quantile(0.5))
	for i := range 3000 {
		assert.Equal(t, i, bucket(edge(i)))
	}
}

func FuzzFlags(f *testing.F) {
	for _, seed := range []string{"100/s:30s,5:1m", "100,x1.5", "100,+5", "95%", "1e3/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var stages Stages
		if stages.UnmarshalText([]byte(text)) == nil {
			for _, s := range stages {
				assert.Positive(t, s.Duration)
				assert.Positive(t, s.To)
			}
		}
		var steps Steps
		if steps.UnmarshalText([]byte(text)) == nil {
			assert.Greater(t, steps.From*steps.Factor+steps.Increment, steps.From)
		}
		var least MinRate
		if least.UnmarshalText([]byte(text)) == nil {
			assert.True(t, least.Share >= 0 && least.Share <= 1, text)
			assert.True(t, least.Absolute == 0 || least.Absolute >= 0.01, text)
		}
	})
}
