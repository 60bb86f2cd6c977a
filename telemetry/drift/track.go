package drift

import (
	"math"
	"sort"

	"github.com/tepalhq/tepal/model"
)

// maxLabels is how many labels are told apart. The labels after them share otherLabel, as in the metrics of predictions.
const (
	maxLabels  = 200
	otherLabel = "_OTHER"
)

// track is what is watched of one feature, or of the output: the bins that its values are sorted into, and how they
// were filled in training. Its counts are in cells of the window: one for each bin, one for missing values, one for
// values out of range.
type track struct {
	name string
	// labels name the bins of a classifier's output, whose values are numbers of classes.
	labels []string
	// inner are the edges between bins. What is below the first bin counts in it, and what is above the last in that.
	inner []float64
	// low and high are the range seen in training; infinite where it is not known.
	low, high float64
	// reference is what was seen in training, nil when that is not known.
	reference *model.Histogram
	// at is the first of its cells.
	at int
	// missing and outside count since the start.
	missing, outside uint64
}

func (t *track) bins() int  { return len(t.inner) + 1 }
func (t *track) cells() int { return t.bins() + 2 }

// count sorts a value into its bin.
func (t *track) count(w *window, v float64) {
	if math.IsNaN(v) {
		t.missing++
		w.add(t.at + t.bins())
		return
	}
	// Bins hold their lower edge: a value's bin is the number of inner edges that are not above it.
	w.add(t.at + sort.Search(len(t.inner), func(i int) bool { return t.inner[i] > v }))
	if v < t.low || v > t.high {
		t.outside++
		w.add(t.at + t.bins() + 1)
	}
}

// featureTrack watches a feature. One without a histogram, and a text, are only counted.
func featureTrack(f *model.Feature) *track {
	if f.Type == model.String {
		return newTrack(f.Name, f.Type, nil, nil, nil)
	}
	return newTrack(f.Name, f.Type, f.Histogram, f.Minimum, f.Maximum)
}

// newTrack watches values of a type. Where that is float32, a value has been rounded on its way in, and so must be what
// it is compared with: 6.1 as float32 is below 6.1, and 7.9 above 7.9.
func newTrack(name string, typ model.Type, h *model.Histogram, low, high *float64) *track {
	round := func(v float64) float64 {
		if typ == model.Float32 {
			return float64(float32(v))
		}
		return v
	}
	t := &track{name: name, reference: h, low: math.Inf(-1), high: math.Inf(1)}
	if low != nil {
		t.low = round(*low)
	}
	if high != nil {
		t.high = round(*high)
	}
	if h != nil {
		for _, edge := range h.Edges[1:len(h.Counts)] {
			t.inner = append(t.inner, round(edge))
		}
	}
	return t
}

// outputTrack watches the label, or the value of a regression with one target; nil when the model answers neither.
func outputTrack(m *model.Model) *track {
	if m.Schema.Classes.Len() > 0 {
		return labelTrack(m)
	}
	for _, o := range m.Schema.Outputs {
		if o.Role != model.RoleValue || o.Columns != 1 {
			continue
		}
		if m.Training == nil || m.Training.Values == nil {
			return newTrack("", o.Type, nil, nil, nil)
		}
		h := m.Training.Values
		return newTrack("", o.Type, h, &h.Edges[0], &h.Edges[len(h.Counts)])
	}
	return nil
}

// labelTrack watches a classifier's label: class i is the value i, in a bin of its own.
func labelTrack(m *model.Model) *track {
	t := newTrack("", model.Int64, nil, nil, nil)
	var labels map[string]int64
	if m.Training != nil {
		labels = m.Training.Labels
	}
	var counts []int64
	for class, text := range m.Schema.Classes.Texts() {
		if class > maxLabels {
			counts[maxLabels] += labels[text]
			continue
		}
		if class > 0 {
			t.inner = append(t.inner, float64(class))
		}
		counts = append(counts, labels[text])
		t.labels = append(t.labels, text)
	}
	if m.Schema.Classes.Len() > maxLabels {
		t.labels[maxLabels] = otherLabel
	}
	if len(labels) > 0 {
		t.reference = &model.Histogram{Counts: counts}
	}
	return t
}
