package golden

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tepalhq/tepal/model"
)

// mostTolerance is the largest tolerance that still tells a right answer from a
// wrong one.
const mostTolerance = 0.1

// floors are the sizes that smaller scores and values are taken to have when
// the tolerance is a share of them: of each class or target the largest that is
// expected, and 1 at most.
type floors struct{ scores, values []float64 }

// raise lifts floors to what a row expects.
func raise(floors []float64, row model.Expected) []float64 {
	for i, v := range row {
		if i == len(floors) {
			floors = append(floors, 0)
		}
		if !math.IsNaN(v) {
			floors[i] = min(max(floors[i], math.Abs(v)), 1)
		}
	}
	return floors
}

// check sees to it that there is something to prove in each row, and returns
// the floors.
func check(s *model.Schema, g *model.Golden) (f floors, err error) {
	if !(g.Tolerance >= 0 && g.Tolerance <= mostTolerance) {
		return f, fmt.Errorf("the tolerance is %v, and has to be from 0 to %v: above that, wrong answers pass", g.Tolerance, mostTolerance)
	}
	for i := range g.Rows {
		row := &g.Rows[i]
		if err := checkRow(s, row); err != nil {
			return f, fmt.Errorf("golden row %d (%s): %w", i, quoted(row.Instance), err)
		}
		f.scores, f.values = raise(f.scores, row.Scores), raise(f.values, row.Value)
	}
	return f, nil
}

func checkRow(s *model.Schema, row *model.GoldenRow) error {
	expected := false
	for _, part := range []struct {
		role model.Role
		any  bool
	}{
		{model.RoleLabel, expectsLabel(row)}, {model.RoleProbabilities, row.Probabilities.Any()},
		{model.RoleScores, row.Scores.Any()}, {model.RoleValue, row.Value.Any()},
	} {
		if part.any && !s.Has(part.role) {
			return fmt.Errorf("it expects %s, and the model answers %s", part.role, answers(s))
		}
		expected = expected || part.any
	}
	if !expected {
		return errors.New("it expects nothing")
	}
	classes := s.Classes.Len()
	if row.Probabilities.Any() && len(row.Probabilities) != classes {
		return fmt.Errorf("it has %d probabilities for %d classes", len(row.Probabilities), classes)
	}
	if row.Scores.Any() && len(row.Scores) != classes {
		return fmt.Errorf("it has %d scores for %d classes", len(row.Scores), classes)
	}
	return nil
}

// answers lists what a prediction has.
func answers(s *model.Schema) string {
	var roles []string
	for _, o := range s.Outputs {
		if o.Role != model.RoleOther {
			roles = append(roles, string(o.Role))
		}
	}
	return cmp.Or(strings.Join(roles, " and "), "nothing")
}

// expectsLabel: null expects nothing.
func expectsLabel(row *model.GoldenRow) bool {
	return len(row.Label) > 0 && string(row.Label) != "null"
}

// prediction is one answer as a client reads it; what no golden row asks for is
// left as it is, since an answer can be wide.
type prediction struct {
	Label         json.RawMessage `json:"label"`
	Probabilities json.RawMessage `json:"probabilities"`
	Scores        json.RawMessage `json:"scores"`
	Value         json.RawMessage `json:"value"`
}

// compare checks all that the golden row tells of its answer.
func (p *prover) compare(want *model.GoldenRow, answer json.RawMessage, f floors) error {
	var got prediction
	if err := json.Unmarshal(answer, &got); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	if expectsLabel(want) && !sameLabel(want.Label, got.Label) {
		return fmt.Errorf("label %s is expected, and %s was answered", quoted(want.Label), answered(got.Label))
	}
	tolerance := p.model.Golden.Tolerance
	even := func(int, float64) float64 { return tolerance }
	if err := p.compareClasses("probability", want.Probabilities, got.Probabilities, even); err != nil {
		return err
	}
	share := func(class int, v float64) float64 { return tolerance * max(math.Abs(v), f.scores[class]) }
	if err := p.compareClasses("score", want.Scores, got.Scores, share); err != nil {
		return err
	}
	if !want.Value.Any() {
		return nil
	}
	values := got.values()
	if len(values) != len(want.Value) {
		return fmt.Errorf("%d values are expected, and %s was answered", len(want.Value), answered(got.Value))
	}
	for i, v := range want.Value {
		if err := near(v, values[i], tolerance*max(math.Abs(v), f.values[i])); err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
	}
	return nil
}

// compareClasses compares a number for each class with those of an answer, in
// which null stands for what is no number. allowed is how far each may be off.
func (p *prover) compareClasses(what string, want model.Expected, answer json.RawMessage, allowed func(class int, v float64) float64) error {
	if !want.Any() {
		return nil
	}
	var got map[string]*float64
	_ = json.Unmarshal(answer, &got)
	for i, v := range want {
		class := p.model.Schema.Classes.Text(i)
		if err := near(v, got[class], allowed(i, v)); err != nil {
			return fmt.Errorf("%s of %.64q: %w", what, class, err)
		}
	}
	return nil
}

func answered(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return "none"
	}
	return quoted(raw)
}

// values returns the value of a regression as a list, whatever its form; nil
// stands for what is no number.
func (p *prediction) values() []*float64 {
	var list []*float64
	if json.Unmarshal(p.Value, &list) == nil && list != nil {
		return list
	}
	var one *float64
	_ = json.Unmarshal(p.Value, &one)
	return []*float64{one}
}

// near compares a number; NaN expects nothing.
func near(want float64, got *float64, tolerance float64) error {
	switch {
	case math.IsNaN(want):
		return nil
	case got == nil:
		return fmt.Errorf("%v is expected within %.3g, and none was answered", want, tolerance)
	case !(math.Abs(want-*got) <= tolerance):
		return fmt.Errorf("%v is expected within %.3g, and %v was answered", want, tolerance, *got)
	default:
		return nil
	}
}

// sameLabel compares two labels as values. Trainers call a class 1, 1.0, true
// or "1", and exporters write what ONNX can hold, an integer or a text. Two
// texts are the same letter by letter.
func sameLabel(want, got json.RawMessage) bool {
	a, b := labelOf(want), labelOf(got)
	if a == nil || b == nil {
		return false
	}
	textA, bothA := a.(string)
	textB, bothB := b.(string)
	if bothA && bothB {
		return textA == textB
	}
	x, isX := numberOf(a)
	y, isY := numberOf(b)
	return isX && isY && x == y
}

// labelOf reads a label; nil when there is none. Numbers keep all their digits.
func labelOf(raw json.RawMessage) any {
	var label any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if decoder.Decode(&label) != nil {
		return nil
	}
	return label
}

// numberOf is a label as a number that can be compared: an integer, so that two
// long ones are not taken for one, or a number with a fraction.
func numberOf(label any) (any, bool) {
	switch v := label.(type) {
	case bool:
		if v {
			return int64(1), true
		}
		return int64(0), true
	case json.Number:
		return number(v.String())
	case string:
		if v == "True" || v == "False" || v == "true" || v == "false" {
			return numberOf(strings.EqualFold(v, "true"))
		}
		return number(v)
	default:
		return nil, false
	}
}

func number(text string) (any, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	v, err := strconv.ParseFloat(text, 64)
	// From there on a double may stand for a neighbour of what was written.
	const inexact = 1 << 53
	if v == math.Trunc(v) && math.Abs(v) < inexact {
		return int64(v), err == nil
	}
	return v, err == nil
}
