//go:build linux

package main

import (
	"context"
	_ "embed" // the template of the plots
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// marker is what the report stands between.
func (s *suite) marker(end string) string { return fmt.Sprintf("<!-- bench-%s:%s -->", s.name, end) }

// column is a number of the report.
type column struct {
	title  string
	digits int  // after the point
	spread bool // also show the least and the most
	value  func(sample) float64
	ratio  ratio
}

// ratio says what a column shows of its value: itself, or how it compares with that of the table's first variant.
type ratio int

const (
	itself ratio = iota
	toFirst
	firstTo
)

const microsecond = float64(time.Microsecond)

func (o outcome) rate() float64      { return float64(o.requests) / o.took.Seconds() }
func (o outcome) cpu() float64       { return float64(o.CPU) / microsecond / float64(o.requests) }
func (o outcome) p50Micros() float64 { return float64(o.p50) / microsecond }
func (o outcome) p99Micros() float64 { return float64(o.p99) / microsecond }

// of makes the value of a load the value of a sample.
func of(load int, value func(outcome) float64) func(sample) float64 {
	return func(s sample) float64 { return value(s.loads[load]) }
}

func serverColumns() []column {
	return []column{
		{"requests/s", 0, true, of(0, outcome.rate), itself},
		{"to bare", 2, true, of(0, outcome.rate), toFirst},
		{"p50 µs", 0, false, of(0, outcome.p50Micros), itself},
		{"p99 µs", 0, false, of(0, outcome.p99Micros), itself},
		{"p99 to bare", 2, true, of(0, outcome.p99Micros), toFirst},
		{"CPU µs", 1, false, of(0, outcome.cpu), itself},
		{"CPU to bare", 2, true, of(0, outcome.cpu), toFirst},
		{"allocations", 1, false, of(0, func(o outcome) float64 { return float64(o.Mallocs) / float64(o.requests) }), itself},
		{"bytes", 0, false, of(0, func(o outcome) float64 { return float64(o.Bytes) / float64(o.requests) }), itself},
		{"spans", 2, false, func(s sample) float64 { return s.spans }, itself},
		{"MB", 0, false, sample.resident, itself},
	}
}

func handlerColumns() []column {
	nanoseconds := func(s sample) float64 { return float64(s.alone.T) / float64(s.alone.N) }
	return []column{
		{"ns", 0, true, nanoseconds, itself},
		{"to bare", 2, true, nanoseconds, toFirst},
		{"allocations", 1, false, func(s sample) float64 { return float64(s.alone.MemAllocs) / float64(s.alone.N) }, itself},
		{"bytes", 0, false, func(s sample) float64 { return float64(s.alone.MemBytes) / float64(s.alone.N) }, itself},
	}
}

// loadColumns are those of one load, compared with the table's first row.
func loadColumns(load int) []column {
	return []column{
		{"requests/s", 0, true, of(load, outcome.rate), itself},
		{"first to this", 2, true, of(load, outcome.rate), firstTo},
		{"p50 µs", 0, false, of(load, outcome.p50Micros), itself},
		{"p99 µs", 0, true, of(load, outcome.p99Micros), itself},
		{"first's p99 to this", 2, true, of(load, outcome.p99Micros), firstTo},
		{"CPU s for 100,000", 1, true, of(load, func(o outcome) float64 { return o.cpu() / 10 }), itself},
	}
}

func scaleColumns() []column {
	return []column{
		{"requests/s", 0, true, of(0, outcome.rate), itself},
		{"to the first", 2, true, of(0, outcome.rate), toFirst},
		{"p99 µs", 0, false, of(0, outcome.p99Micros), itself},
		{"CPU µs", 1, true, of(0, outcome.cpu), itself},
		{"requests a core-second", 0, false, of(0, func(o outcome) float64 { return 1e6 / o.cpu() }), itself},
		{"rows a core-second", 0, false, func(s sample) float64 { return 1e6 / s.loads[0].cpu() * float64(s.rows) }, itself},
		{"MB", 0, false, sample.resident, itself},
	}
}

// report is what docs/performance.md shows.
func (b *bench) report(ctx context.Context) (string, error) {
	var r strings.Builder
	fmt.Fprintf(&r, "%s, %d processors, %s, %s/%s, commit %s. %d rounds of %v each. Medians of the rounds, and in brackets\n"+
		"the least and the most.\n", processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		b.Commit, b.Rounds, b.Duration)
	if b.versions {
		text, err := exec.CommandContext(ctx, python+"/bin/python", "bench/peer/versions.py").Output()
		if err != nil {
			return "", fmt.Errorf("versions of the peer: %w", err)
		}
		r.WriteString(string(text))
	}
	b.writeBars(&r)
	for _, t := range b.tables {
		b.writeTable(&r, t)
	}
	for _, s := range b.slopes {
		b.writeSlope(&r, s)
	}
	return r.String(), nil
}

func (b *bench) writeBars(r *strings.Builder) {
	if len(b.bars) > 0 {
		r.WriteString("\n| bar | limit | measured | |\n| --- | ---: | ---: | --- |\n")
	}
	for _, limit := range b.bars {
		others := b.samples[limit.against]
		if others == nil {
			continue
		}
		ours := b.samples[b.variants[0].name]
		middle := median(limit.values(ours, others))
		word, held := "at least", middle >= limit.limit
		if limit.most {
			word, held = "at most", middle <= limit.limit
		}
		fmt.Fprintf(r, "| %s | %s %g | %s | %s |\n", limit.title, word, limit.limit,
			limit.cell(ours, others), map[bool]string{true: "held", false: "**missed**"}[held])
	}
}

// shown are the variants whose names begin with one of these words; all, when there is none.
func (b *bench) shown(words []string) []variant {
	return slices.DeleteFunc(slices.Clone(b.variants), func(v variant) bool {
		return len(words) > 0 && !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(v.name, word) })
	})
}

func (b *bench) writeTable(r *strings.Builder, t table) {
	list := b.shown(t.of)
	if len(list) == 0 {
		return
	}
	head, rule := "| variant |", "| --- |"
	for _, c := range t.columns {
		head += " " + c.title + " |"
		rule += " ---: |"
	}
	fmt.Fprintf(r, "\n%s\n\n%s\n%s\n", t.title, head, rule)
	for _, v := range list {
		fmt.Fprintf(r, "| `%s` |", v.name)
		for _, c := range t.columns {
			fmt.Fprintf(r, " %s |", c.cell(b.samples[v.name], b.samples[list[0].name]))
		}
		r.WriteString("\n")
	}
}

// writeSlope fits a line to the medians of the processor time, by the least squares of what it is off in proportion: else
// the largest alone would decide.
func (b *bench) writeSlope(r *strings.Builder, s slope) {
	var n, sx, sy, sxx, sxy float64
	for _, v := range b.shown([]string{s.of}) {
		x, y := v.at, median(column{value: of(0, outcome.cpu)}.values(b.samples[v.name], nil))
		w := 1 / (y * y)
		n, sx, sy, sxx, sxy = n+w, sx+w*x, sy+w*y, sxx+w*x*x, sxy+w*x*y
	}
	if n > 0 {
		each := (n*sxy - sx*sy) / (n*sxx - sx*sx)
		fmt.Fprintf(r, "\nA request takes %.1f µs of a processor, and %.3f µs more for each %s.\n", (sy-each*sx)/n, each, s.unit)
	}
}

// values are the numbers of the rounds, sorted. Ratios are taken within each round: what slowed the machine down slowed
// both.
func (c column) values(samples, first []sample) []float64 {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = c.value(samples[i])
		switch c.ratio {
		case toFirst:
			values[i] /= c.value(first[i])
		case firstTo:
			values[i] = c.value(first[i]) / values[i]
		}
	}
	slices.Sort(values)
	return values
}

func median(sorted []float64) float64 {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (c column) text(v float64) string { return strconv.FormatFloat(v, 'f', c.digits, 64) }

// cell shows the median, and the spread where it says something.
func (c column) cell(samples, first []sample) string {
	values := c.values(samples, first)
	switch {
	case math.IsNaN(values[0]):
		return "–"
	case !c.spread:
		return c.text(median(values))
	}
	return fmt.Sprintf("%s (%s–%s)", c.text(median(values)), c.text(values[0]), c.text(values[len(values)-1]))
}

//go:embed plots.svg
var plots string

// panel is a plot of one column, on a linear scale.
type panel struct {
	Title string
	Y     int
	Bars  []drawn
	most  float64
}

// drawn is what a panel shows of a variant.
type drawn struct {
	Name, Text string
	Y          int
	value      float64
}

// Width is that of a variant's bar.
func (p panel) Width(d drawn) int { return max(1, int(d.value/p.most*420)) }

// draw places the columns that are drawn, one panel below the other.
func (b *bench) draw() (panels []panel, height int) {
	const row, title = 20, 34
	for _, t := range b.tables {
		list := b.shown(t.of)
		for _, at := range t.plots {
			c := t.columns[at]
			p := panel{Title: strings.TrimSuffix(t.title, ":") + ": " + c.title, Y: height + 22}
			height += title
			for _, v := range list {
				if value := median(c.values(b.samples[v.name], b.samples[list[0].name])); !math.IsNaN(value) {
					p.most = max(p.most, value)
					p.Bars = append(p.Bars, drawn{v.name, c.text(value), height, value})
					height += row
				}
			}
			panels = append(panels, p)
		}
	}
	return panels, height + title/2
}

// write puts the plots beside the page, and the report between its markers.
func (b *bench) write(report string) error {
	if panels, height := b.draw(); len(panels) > 0 {
		path := strings.TrimSuffix(b.Write, ".md") + "-" + b.name + ".svg"
		var svg strings.Builder
		err := template.Must(template.New("plots").Parse(plots)).Execute(&svg, map[string]any{"Panels": panels, "Height": height})
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(svg.String()), 0o644); err != nil {
			return err
		}
		report += fmt.Sprintf("\n![The same as bars](%s)\n", filepath.Base(path))
	}
	return replaceSection(b.Write, b.marker("begin"), b.marker("end"), report)
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

// diskUse is how many bytes the files below the paths have.
func diskUse(paths []string) (bytes float64, err error) {
	for _, path := range paths {
		err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			info, err := entry.Info()
			if err == nil {
				bytes += float64(info.Size())
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return bytes, nil
}

// replaceSection puts the text between the markers of a file.
func replaceSection(path, begin, end, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s has no section between %s and %s", path, begin, end)
	}
	page = []byte(before + begin + "\n\n" + text + "\n" + end + after)
	return os.WriteFile(path, page, 0o644)
}
