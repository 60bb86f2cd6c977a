// Package golden proves a model: it replays the golden rows that the artifact
// carries through the decoder, the program and the encoder that requests go
// through, and compares the answers with the expected ones.
package golden

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/rows"
)

// Prove replays the model's golden rows. A model without any is only made to
// answer once. The document says what was found; when an answer was not the
// expected one, or there was none, the error says so too.
func Prove(ctx context.Context, m *model.Model, c *rows.Codec) (model.GoldenDocument, error) {
	doc, prove := model.GoldenDocument{Status: model.GoldenAbsent}, tryOut
	if m.Golden != nil && len(m.Golden.Rows) > 0 {
		doc, prove = model.GoldenDocument{Status: model.GoldenProven, Rows: len(m.Golden.Rows)}, replay
	}
	err := prove(ctx, m, c)
	if err != nil {
		doc.Status, doc.Reason = model.GoldenFailed, err.Error()
	}
	return doc, err
}

// tryOut has the model answer an example.
func tryOut(ctx context.Context, m *model.Model, c *rows.Codec) error {
	instance, err := example(&m.Schema)
	if err == nil {
		_, err = answer(ctx, m, c, []json.RawMessage{instance})
	}
	if err != nil {
		return fmt.Errorf("an example instance is not answered: %w", err)
	}
	return nil
}

// prediction is one answer as a client reads it.
type prediction struct {
	Label         json.RawMessage     `json:"label"`
	Probabilities map[string]*float64 `json:"probabilities"`
	Value         json.RawMessage     `json:"value"`
}

func replay(ctx context.Context, m *model.Model, c *rows.Codec) error {
	if err := check(m.Golden); err != nil {
		return err
	}
	instances := make([]json.RawMessage, len(m.Golden.Rows))
	for i := range m.Golden.Rows {
		instances[i] = m.Golden.Rows[i].Instance
	}
	predictions, err := answer(ctx, m, c, instances)
	if err != nil {
		return fmt.Errorf("golden rows: %w", err)
	}
	for i := range m.Golden.Rows {
		if err := compare(m, &m.Golden.Rows[i], &predictions[i]); err != nil {
			return fmt.Errorf("golden row %d (%s): %w", i, m.Golden.Rows[i].Instance, err)
		}
	}
	return nil
}

// mostTolerance is the largest tolerance of a probability that still tells a
// right answer from a wrong one.
const mostTolerance = 0.1

// check sees to it that there is something to prove.
func check(g *model.Golden) error {
	if !(g.Tolerance >= 0) {
		return fmt.Errorf("the golden rows' tolerance is %v", g.Tolerance)
	}
	for i := range g.Rows {
		row := &g.Rows[i]
		if row.Label == nil && len(row.Probabilities) == 0 && len(row.Value) == 0 {
			return fmt.Errorf("golden row %d (%s) expects nothing", i, row.Instance)
		}
		if len(row.Probabilities) > 0 && g.Tolerance > mostTolerance {
			return fmt.Errorf("the golden rows' tolerance is %v, and above %v a probability proves nothing", g.Tolerance, mostTolerance)
		}
	}
	return nil
}

// answer sends instances through the path of a request.
func answer(ctx context.Context, m *model.Model, c *rows.Codec, instances []json.RawMessage) ([]prediction, error) {
	body, err := json.Marshal(instances)
	if err != nil {
		return nil, fmt.Errorf("the instances are not JSON: %w", err)
	}
	var decoder rows.Decoder
	var request rows.Request
	var answered model.Predictions
	if err := decoder.Decode(c, bytes.NewBuffer(body), &request, len(instances)); err != nil {
		return nil, fmt.Errorf("the instances do not fit the schema: %w", err)
	}
	if err := m.Predict(ctx, &request.Batch, &answered); err != nil {
		return nil, err
	}
	var predictions []prediction
	if err := json.Unmarshal(c.Append(nil, &request, &answered), &predictions); err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return predictions, nil
}

// compare checks all that the golden row tells of its answer.
func compare(m *model.Model, want *model.GoldenRow, got *prediction) error {
	if want.Label != nil {
		if label, answered := labelOf(want.Label), labelOf(got.Label); !reflect.DeepEqual(label, answered) {
			return fmt.Errorf("label %v is expected, and %v was answered", label, answered)
		}
	}
	if want.Probabilities != nil && len(want.Probabilities) != m.Schema.Classes.Len() {
		return fmt.Errorf("it has %d probabilities for %d classes", len(want.Probabilities), m.Schema.Classes.Len())
	}
	for i, p := range want.Probabilities {
		class := m.Schema.Classes.Text(i)
		if err := near(p, got.Probabilities[class], m.Golden.Tolerance); err != nil {
			return fmt.Errorf("probability of %s: %w", class, err)
		}
	}
	if want.Value == nil {
		return nil
	}
	values := got.values()
	if len(values) != len(want.Value) {
		return fmt.Errorf("values %v are expected, and %s was answered", want.Value, got.Value)
	}
	for i, v := range want.Value {
		if err := near(v, values[i], m.Golden.Tolerance); err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
	}
	return nil
}

// labelOf reads a label; nil when there is none. Integers keep all their digits,
// so that two long ones are not taken for one.
func labelOf(raw json.RawMessage) any {
	var label any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if decoder.Decode(&label) != nil {
		return nil
	}
	return label
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

func near(want float64, got *float64, tolerance float64) error {
	if got == nil {
		return fmt.Errorf("%v is expected within %v, and none was answered", want, tolerance)
	}
	if !(math.Abs(want-*got) <= tolerance) {
		return fmt.Errorf("%v is expected within %v, and %v was answered", want, tolerance, *got)
	}
	return nil
}

// example returns an instance that the model takes, as a JSON object: the
// example of each feature, or else a value from its range, or zero.
func example(s *model.Schema) (json.RawMessage, error) {
	instance := make(map[string]any, len(s.Features))
	for i := range s.Features {
		instance[s.Features[i].Name] = exampleValue(&s.Features[i])
	}
	return json.Marshal(instance)
}

func exampleValue(f *model.Feature) any {
	switch {
	case f.Example != nil:
		return f.Example
	case f.Type == model.String:
		// Some models read numbers from text; to others it is a text like any.
		return "0"
	case f.Type == model.Bool:
		return false
	case f.Minimum != nil:
		return *f.Minimum
	default:
		return 0
	}
}
