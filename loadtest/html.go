package loadtest

import (
	_ "embed" // the template of the report
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

//go:embed report.html
var page string

// WriteHTML writes the report for a browser: one file that needs no other.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	var charts []*chart
	if len(r.Points) > 0 && len(r.Histogram) > 0 {
		charts = r.charts()
	}
	return t.Execute(w, struct {
		*Report
		Charts []*chart
	}{r, charts})
}

// chart is a plot, ready to be drawn: everything is in units of the view box.
type chart struct {
	Title, Note           string
	XTicks, YTicks, Marks []mark
	Lines                 []line
	// Bars are seen; Hovers are stretches of the x axis that tell their values.
	Bars, Hovers []bar
}

type mark struct {
	At   float64
	Text string
}

type line struct {
	Name   string
	values []float64
	Path   string
}

type bar struct {
	X, Y, Width, Height float64
	Text                string
}

// The area that a plot is drawn in, in units of the view box.
const plotLeft, plotRight, plotTop, plotBottom = 64.0, 884.0, 12.0, 208.0

// axis maps values onto a stretch of the view box. A logarithmic one maps the
// exponents of ten.
type axis struct {
	low, high, step, start, end float64
	format                      func(float64) string
}

// linear is an axis from 0, with ticks at multiples of 1, 2 or 5 of a power of ten.
func linear(high, start, end float64, format func(float64) string) axis {
	step := math.Pow(10, math.Floor(math.Log10(high/5)))
	for _, m := range []float64{5, 2} {
		if high/(step*m) >= 5 {
			step *= m
			break
		}
	}
	return axis{0, high, step, start, end, format}
}

// decades is a logarithmic axis of whole decades, for latencies.
func decades(low, high, start, end float64) axis {
	low = math.Floor(low)
	return axis{low, max(low+1, math.Ceil(high)), 1, start, end, func(exponent float64) string {
		return Seconds{time.Duration(math.Pow(10, exponent) * float64(time.Second))}.String()
	}}
}

// exponent is where a latency is on a logarithmic axis, which begins at a microsecond.
func exponent(s Seconds) float64 { return math.Log10(max(s.Seconds(), 1e-6)) }

func (a axis) at(v float64) float64 {
	at := a.start + (v-a.low)/(a.high-a.low)*(a.end-a.start)
	return math.Round(at*100) / 100 // less is nothing that one sees
}

func (a axis) ticks() (list []mark) {
	for v := a.low; v <= a.high+a.step/100; v += a.step {
		list = append(list, mark{a.at(v), a.format(v)})
	}
	return list
}

func plain(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func clock(v float64) string { return time.Duration(math.Round(v) * float64(time.Second)).String() }

// plot draws lines over time; where a value is none, NaN, it leaves a gap.
func plot(title string, xs []float64, log bool, lines ...line) *chart {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, v := range l.values {
			if !math.IsNaN(v) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	width := xs[len(xs)-1] / float64(max(1, len(xs)-1))
	x, y := linear(xs[len(xs)-1]+max(1, width), plotLeft, plotRight, clock), linear(max(1, high*1.05), plotBottom, plotTop, plain)
	if log {
		y = decades(low, high, plotBottom, plotTop)
	}
	c := &chart{Title: title, XTicks: x.ticks(), YTicks: y.ticks(), Lines: lines}
	for _, at := range xs {
		c.Hovers = append(c.Hovers, bar{x.at(at), plotTop, x.at(width) - plotLeft, plotBottom - plotTop, "at " + clock(at)})
	}
	for i, l := range lines {
		pen := "M"
		for j, v := range l.values {
			if math.IsNaN(v) {
				pen = "M"
				continue
			}
			// A point alone is a line of no length, which round caps show.
			lines[i].Path += fmt.Sprintf("%s%g %gh0", pen, x.at(xs[j]), y.at(v))
			pen = "L"
			c.Hovers[j].Text += fmt.Sprintf("\n%s %s", l.Name, y.format(v))
		}
	}
	return c
}

// over collects a value of each point into a line.
func over[P any](name string, points []P, of func(P) float64) line {
	l := line{Name: name}
	for _, p := range points {
		l.values = append(l.values, of(p))
	}
	return l
}

func (r *Report) charts() []*chart {
	xs := over("", r.Points, func(p Summary) float64 { return p.At.Seconds() }).values
	percentile := func(name string, of func(Summary) Seconds) line {
		return over(name, r.Points, func(p Summary) float64 {
			if p.Requests == 0 {
				return math.NaN()
			}
			return exponent(of(p))
		})
	}
	latencies := plot("Latency over time", xs, true,
		percentile("p50", func(p Summary) Seconds { return p.P50 }), percentile("p95", func(p Summary) Seconds { return p.P95 }),
		percentile("p99", func(p Summary) Seconds { return p.P99 }), percentile("max", func(p Summary) Seconds { return p.Max }))
	latencies.Note = "From when a request was due, on a logarithmic scale."
	list := []*chart{latencies, plot("Requests a second, asked and rightly answered", xs, false,
		over("asked", r.Points, func(p Summary) float64 { return p.AskedRate }),
		over("right answers", r.Points, func(p Summary) float64 { return p.RightRate })), r.distribution()}
	var errors []line
	for _, kind := range slices.Sorted(maps.Keys(r.Total.Errors)) {
		errors = append(errors, over(kind, r.Points, func(p Summary) float64 { return float64(p.Errors[kind]) / p.Duration.Seconds() }))
	}
	if len(errors) > 0 {
		list = append(list, plot("Errors a second, by kind", xs, false, errors...))
	}
	if len(r.Replicas) > 0 {
		xs = over("", r.Replicas, func(s Replicas) float64 { return s.At.Seconds() }).values
		list = append(list, plot("Replicas", xs, false,
			over("current", r.Replicas, func(s Replicas) float64 { return float64(s.Current) }),
			over("desired", r.Replicas, func(s Replicas) float64 { return float64(s.Desired) })),
			plot("CPU that the autoscaler sees", xs, false, over("% of what the pods request", r.Replicas, Replicas.cpu)))
	}
	return list
}

// distribution draws the histogram, in bars an eighth of a doubling wide.
func (r *Report) distribution() *chart {
	x := decades(exponent(r.Histogram[0].From), exponent(r.Total.Max), plotLeft, plotRight)
	edge := func(i int) float64 { return x.low + float64(i)*math.Log10(2)/8 }
	counts := make(map[int]float64)
	most := 1.0
	for _, b := range r.Histogram {
		i := int((exponent(b.From)-x.low)/math.Log10(2)*8 + 1e-9) // one on an edge opens the next
		counts[i] += float64(b.Count)
		most = max(most, counts[i])
	}
	y := linear(most*1.05, plotBottom, plotTop, plain)
	c := &chart{Title: "Distribution of latencies", Note: "Ramps are left out.", XTicks: x.ticks(), YTicks: y.ticks()}
	for _, i := range slices.Sorted(maps.Keys(counts)) {
		left, top := x.at(edge(i)), y.at(counts[i])
		c.Bars = append(c.Bars, bar{left, top, max(1, x.at(edge(i+1))-left-1), plotBottom - top,
			fmt.Sprintf("%s to %s: %s", x.format(edge(i)), x.format(edge(i+1)), plain(counts[i]))})
	}
	c.Marks = []mark{{x.at(exponent(r.Total.P50)), "p50"}, {x.at(exponent(r.Total.P99)), "p99"}}
	return c
}
