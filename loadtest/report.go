package loadtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// Seconds is a duration that JSON has as a number of seconds.
type Seconds struct{ time.Duration }

// MarshalJSON writes the number.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, s.Seconds(), 'f', -1, 64), nil
}

// String leaves three digits, which is what the histogram knows.
func (s Seconds) String() string {
	unit := time.Microsecond
	for d := s.Duration; d >= time.Millisecond; d /= 10 {
		unit *= 10
	}
	return s.Round(unit).String()
}

// Summary is what came of a stage, of all of them, or of a point of the plots.
// Latencies begin when a request was due.
type Summary struct {
	Name     string  `json:"name,omitempty"`
	At       Seconds `json:"at_seconds"`
	Duration Seconds `json:"duration_seconds"`
	Requests uint64  `json:"requests"`
	// Rates are of a second: asked by the load, and right answers that arrived.
	AskedRate  float64           `json:"asked_rate"`
	RightRate  float64           `json:"right_rate"`
	ErrorShare Share             `json:"error_share"`
	Errors     map[string]uint64 `json:"errors,omitempty"`
	Mean       Seconds           `json:"mean_seconds"`
	P50        Seconds           `json:"p50_seconds"`
	P90        Seconds           `json:"p90_seconds"`
	P95        Seconds           `json:"p95_seconds"`
	P99        Seconds           `json:"p99_seconds"`
	P999       Seconds           `json:"p999_seconds"`
	Max        Seconds           `json:"max_seconds"`
	// SentP99 begins when a request was sent: far below P99, it tells of a
	// server that kept requests from being sent.
	SentP99 Seconds `json:"sent_p99_seconds"`
}

func (t *tally) summary(name string) Summary {
	errors := uint64(0)
	for _, n := range t.failures {
		errors += n
	}
	h, seconds, requests := &t.latency, max(t.length, 1).Seconds(), max(t.latency.n, 1)
	return Summary{
		Name: name, At: Seconds{t.start}, Duration: Seconds{t.length}, Requests: h.n, Errors: t.failures,
		AskedRate: float64(h.n) / seconds, RightRate: float64(t.right) / seconds, ErrorShare: Share(float64(errors) / float64(requests)),
		Mean: Seconds{h.sum / time.Duration(requests)}, P50: h.quantile(0.5), P90: h.quantile(0.9), P95: h.quantile(0.95),
		P99: h.quantile(0.99), P999: h.quantile(0.999), Max: Seconds{h.max}, SentP99: t.sent.quantile(0.99),
	}
}

// proper is what came of the load proper: ramps only lead to it.
func (r *recorder) proper() (all tally) {
	for _, p := range r.phases {
		if !p.Ramp {
			all.start = cmp.Or(all.start, p.start)
			all.merge(&p.tally)
		}
	}
	return all
}

// Bucket counts the latencies of the load proper from its edge up to the next.
type Bucket struct {
	From  Seconds `json:"from_seconds"`
	Count uint64  `json:"count"`
}

// Knee is what a search for it found.
type Knee struct {
	// Held is the highest step that held all gates; nil when none did.
	Held *Summary `json:"held"`
	// Ended are the gates that the next step broke; none when the search ran out of steps.
	Ended []Verdict `json:"ended_by,omitempty"`
}

// String says where the knee is.
func (k *Knee) String() string {
	text := "knee: none, the first step was not held"
	if k.Held != nil {
		text = fmt.Sprintf("knee: %s held", k.Held.Name)
	}
	for _, v := range k.Ended {
		text += fmt.Sprintf("; then %v", v)
	}
	return text
}

// Report is the outcome of a run.
type Report struct {
	Target      string    `json:"target"`
	Model       string    `json:"model"`
	Version     string    `json:"model_version"`
	Digest      string    `json:"model_digest"`
	Started     time.Time `json:"started"`
	Connections int       `json:"connections"`
	Timeout     Seconds   `json:"timeout_seconds"`
	Payloads    string    `json:"payloads"`
	Total       Summary   `json:"total"`
	Stages      []Summary `json:"stages"`
	Gates       []Verdict `json:"gates"`
	Knee        *Knee     `json:"knee,omitempty"`
	Interrupted bool      `json:"interrupted"`
	Points      []Summary `json:"points"`
	Histogram   []Bucket  `json:"histogram"`
	// Replicas are what was seen of the autoscaler; Note says why nothing was.
	Replicas []Replicas `json:"replicas,omitempty"`
	Note     string     `json:"note,omitempty"`
}

// Broken returns the gates that did not hold.
func (r *Report) Broken() []Verdict { return broken(r.Gates) }

func (r *runner) report(interrupted bool) *Report {
	all := r.proper()
	report := &Report{
		Target: r.Target, Model: r.model.Name, Version: r.model.Version, Digest: r.model.Digest, Started: r.start.UTC(),
		Connections: r.Connections, Timeout: Seconds{r.Timeout}, Payloads: "drawn from the schema", Total: all.summary("all"),
		Interrupted: interrupted, Replicas: r.replicas, Note: r.trouble,
	}
	if r.Replay != "" {
		report.Payloads = "replayed from " + r.Replay
	}
	switch {
	case r.Steps != nil:
		report.Knee = &Knee{Held: r.held, Ended: broken(r.verdicts)}
		report.Gates = r.Gates.ofSearch(r.held, r.verdicts)
	case !interrupted:
		report.Gates = r.Gates.judge(report.Total)
	}
	for _, p := range r.phases {
		if p.latency.n > 0 {
			report.Stages = append(report.Stages, p.summary(p.name()))
		}
	}
	for i, n := range all.latency.counts {
		if n > 0 {
			report.Histogram = append(report.Histogram, Bucket{Seconds{edge(i)}, n})
		}
	}
	for _, b := range r.points() {
		report.Points = append(report.Points, b.summary(""))
	}
	return report
}

// Rows returns the rows of the tables: the stages, and their sum where it says more.
func (r *Report) Rows() []Summary {
	if len(r.Stages) < 2 || r.Knee != nil {
		return r.Stages
	}
	return append(slices.Clone(r.Stages), r.Total)
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteTable writes the report for a terminal.
func (r *Report) WriteTable(out io.Writer) error {
	fmt.Fprintf(out, "%s, model %s version %s, %d connections, payloads %s\n\n", r.Target, r.Model, r.Version, r.Connections, r.Payloads)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tasked\tright\trequests\terrors\tp50\tp90\tp95\tp99\tp99.9\tmax\tp99 as sent\t")
	for _, s := range r.Rows() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t%v\t\n", s.Name, perSecond(s.AskedRate), perSecond(s.RightRate),
			s.Requests, s.ErrorShare, s.P50, s.P90, s.P95, s.P99, s.P999, s.Max, s.SentP99)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, kind := range slices.Sorted(maps.Keys(r.Total.Errors)) {
		fmt.Fprintf(out, "error: %s: %d\n", kind, r.Total.Errors[kind])
	}
	if r.Note != "" {
		fmt.Fprintf(out, "note: %s\n", r.Note)
	}
	for _, g := range r.Gates {
		fmt.Fprintf(out, "gate %v: %s\n", g, map[bool]string{true: "held", false: "BROKEN"}[g.Held])
	}
	if r.Interrupted {
		fmt.Fprintln(out, "interrupted: the figures are of what was sent until then")
	}
	if r.Knee != nil {
		fmt.Fprintln(out, r.Knee)
	}
	return nil
}
