//go:build unix

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The markers that the report stands between.
const (
	beginMarker = "<!-- bench-telemetry:begin -->"
	endMarker   = "<!-- bench-telemetry:end -->"
)

// column is a number of the report.
type column struct {
	title  string
	digits int  // after the point
	spread bool // also show the least and the most
	value  func(s, bare sample) float64
}

const microsecond = float64(time.Microsecond)

func (u used) rate() float64           { return float64(u.Requests) / u.Took.Seconds() }
func (u used) nanoseconds() float64    { return float64(u.Took) / float64(u.Requests) }
func (u used) cpu() float64            { return float64(u.CPU) / microsecond / float64(u.Requests) }
func (u used) each(all uint64) float64 { return float64(all) / float64(u.Requests) }

func serverColumns() []column {
	return []column{
		{"requests/s", 0, true, func(s, _ sample) float64 { return s.rate() }},
		{"to bare", 2, true, func(s, bare sample) float64 { return s.rate() / bare.rate() }},
		{"p50 µs", 0, false, func(s, _ sample) float64 { return float64(s.p50) / microsecond }},
		{"p99 µs", 0, false, func(s, _ sample) float64 { return float64(s.p99) / microsecond }},
		{"p99 to bare", 2, true, func(s, bare sample) float64 { return float64(s.p99) / float64(bare.p99) }},
		{"CPU µs", 1, false, func(s, _ sample) float64 { return s.cpu() }},
		{"CPU to bare", 2, true, func(s, bare sample) float64 { return s.cpu() / bare.cpu() }},
		{"allocations", 1, false, func(s, _ sample) float64 { return s.each(s.Mallocs) }},
		{"bytes", 0, false, func(s, _ sample) float64 { return s.each(s.Bytes) }},
		{"spans", 2, false, func(s, _ sample) float64 { return s.spans }},
		{"MiB", 0, false, func(s, _ sample) float64 { return float64(s.Resident) / (1 << 20) }},
	}
}

func handlerColumns() []column {
	return []column{
		{"ns", 0, true, func(s, _ sample) float64 { return s.alone.nanoseconds() }},
		{"to bare", 2, true, func(s, bare sample) float64 { return s.alone.nanoseconds() / bare.alone.nanoseconds() }},
		{"allocations", 1, false, func(s, _ sample) float64 { return s.alone.each(s.alone.Mallocs) }},
		{"bytes", 0, false, func(s, _ sample) float64 { return s.alone.each(s.alone.Bytes) }},
	}
}

// report is what docs/performance.md shows.
func (b *bench) report() string {
	var r strings.Builder
	fmt.Fprintf(&r, "%s, %d processors, %s, %s/%s, commit %s. %d rounds of %v each, %d connections. Medians of the rounds, and in\n"+
		"brackets the least and the most.\n\n", processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		b.Commit, b.Rounds, b.Duration, b.Connections)
	r.WriteString("The variants, and what they cost over loopback, for each request:\n\n")
	b.table(&r, serverColumns(), true)
	r.WriteString("\nTheir handlers alone, without a network, for each call:\n\n")
	b.table(&r, handlerColumns(), false)
	return r.String()
}

// table writes a row for each variant; of the whole server there is no handler to call.
func (b *bench) table(r *strings.Builder, columns []column, whole bool) {
	head, rule := "| variant |", "| --- |"
	for _, c := range columns {
		head += " " + c.title + " |"
		rule += " ---: |"
	}
	fmt.Fprintf(r, "%s\n%s\n", head, rule)
	for i, v := range b.variants {
		if v.build == nil && !whole {
			continue
		}
		fmt.Fprintf(r, "| `%s` |", v.name)
		for _, c := range columns {
			fmt.Fprintf(r, " %s |", c.cell(b.samples[i], b.samples[0]))
		}
		r.WriteString("\n")
	}
}

// cell shows the median, and the spread where it says something. Ratios are taken within each round: what slowed the
// machine down slowed both.
func (c column) cell(samples, bare []sample) string {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = c.value(samples[i], bare[i])
	}
	slices.Sort(values)
	text := func(v float64) string { return strconv.FormatFloat(v, 'f', c.digits, 64) }
	middle := (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	if !c.spread {
		return text(middle)
	}
	return fmt.Sprintf("%s (%s–%s)", text(middle), text(values[0]), text(values[len(values)-1]))
}

// processor is the name of the processor, as the kernel knows it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it, there is no name
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// replaceSection puts the text between the markers of a file.
func replaceSection(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), beginMarker)
	_, after, ends := strings.Cut(rest, endMarker)
	if !begins || !ends {
		return fmt.Errorf("%s has no section between %s and %s", path, beginMarker, endMarker)
	}
	page = []byte(before + beginMarker + "\n\n" + text + "\n" + endMarker + after)
	return os.WriteFile(path, page, 0o644)
}
