package drift

import "math"

// Report is a model's drift at one moment, the answer to GET /models/{name}/drift.
type Report struct {
	Model         string     `json:"model"`
	Version       string     `json:"version"`
	WindowSeconds float64    `json:"window_seconds"`
	Features      []Variable `json:"features"`
	// Output is nil when the model answers nothing that can be watched.
	Output *Variable `json:"output"`
}

// Variable is the drift of a feature or of the output over the window.
type Variable struct {
	Name string `json:"name,omitempty"`
	// PSI is nil while there are no samples, and where there is nothing to compare them with.
	PSI *float64 `json:"psi"`
	// Samples are the values counted, without those that are missing.
	Samples uint64 `json:"samples"`
	Missing uint64 `json:"missing"`
	// OutOfRange counts the samples outside the range seen in training.
	OutOfRange uint64 `json:"out_of_range"`
	// Labels name the bins where they are labels.
	Labels []string `json:"labels,omitempty"`
	// Reference is what was seen in training, Live what is in the window.
	Reference *Histogram `json:"reference"`
	Live      *Histogram `json:"live"`
}

// Histogram counts by bin. Those of live values have the edges of the reference.
type Histogram struct {
	Edges  []float64 `json:"edges,omitempty"`
	Counts []uint64  `json:"counts"`
}

// Report returns the drift of everything observed so far that is still in the window.
func (d *Monitor) Report() Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fold()
	r := Report{
		Model: d.model.Name, Version: d.model.Version, WindowSeconds: d.window.length.Seconds(),
		Features: []Variable{},
	}
	for i, t := range d.tracks {
		v := t.variable(d.window)
		if i == len(d.model.Schema.Features) {
			r.Output = &v
			break
		}
		r.Features = append(r.Features, v)
	}
	return r
}

// variable reads a track's counts.
func (t *track) variable(w *window) Variable {
	cells := w.live[t.at:][:t.cells()]
	bins := cells[:t.bins()]
	v := Variable{
		Name: t.name, Samples: uint64(total(bins)), Missing: cells[len(bins)], OutOfRange: cells[len(bins)+1],
		Labels: t.labels,
	}
	if t.reference != nil || t.labels != nil {
		v.Live = &Histogram{Counts: append([]uint64(nil), bins...)}
	}
	if h := t.reference; h != nil {
		v.Reference = &Histogram{Edges: h.Edges}
		for _, n := range h.Counts {
			v.Reference.Counts = append(v.Reference.Counts, uint64(n))
		}
		if psi, ok := psi(bins, v.Reference.Counts); ok {
			// Six decimals: what is beyond them depends on the processor.
			psi = math.Round(psi*1e6) / 1e6
			v.PSI = &psi
		}
	}
	return v
}

// floor is the least share that a bin is taken to have. The logarithm of an empty one has no bound; with this floor a
// bin that was empty and holds everything gives 9.2. It is also that of shares which are smaller and not 0, so that a
// single value more does not matter much.
const floor = 1e-4

// psi is the population stability index of the counts against those of the reference; there is none unless both have
// samples.
func psi(live, reference []uint64) (float64, bool) {
	n, m := total(live), total(reference)
	if n == 0 || m == 0 {
		return 0, false
	}
	sum := 0.0
	for i := range live {
		p, q := max(float64(live[i])/n, floor), max(float64(reference[i])/m, floor)
		sum += (p - q) * math.Log(p/q)
	}
	return sum, true
}

func total(counts []uint64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += float64(n)
	}
	return sum
}
