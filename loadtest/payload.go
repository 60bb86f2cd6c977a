package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/tepalhq/tepal/model"
)

// description is what the target says of one of its models: as much of a
// model.Document as a load test needs.
type description struct {
	Name    string               `json:"name"`
	Version string               `json:"version"`
	Digest  string               `json:"digest"`
	Task    model.Task           `json:"task"`
	Schema  model.SchemaDocument `json:"schema"`
	Classes []any                `json:"classes"`
}

// isClass reports whether a label, as JSON has it, is one of the classes.
func (m *description) isClass(label any) bool {
	switch label.(type) {
	case string, float64:
		return slices.Contains(m.Classes, label)
	}
	return false
}

// isByClass reports whether there is a number for each class, and each is right.
func (m *description) isByClass(numbers map[string]*float64, right func(*float64) bool) bool {
	for _, class := range m.Classes {
		if !right(numbers[text(class)]) {
			return false
		}
	}
	return len(numbers) == len(m.Classes)
}

// text is a class as the name of a member.
func text(class any) string {
	if number, ok := class.(float64); ok {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return fmt.Sprint(class)
}

// has reports whether the model answers an output of the role.
func (m *description) has(r model.Role) bool {
	return slices.ContainsFunc(m.Schema.Outputs, func(o model.Output) bool { return o.Role == r })
}

// patience is how long one question about readiness or models may take.
const patience = 5 * time.Second

// fetch reads JSON from the target; a status other than 200 is an error.
func fetch(ctx context.Context, client *http.Client, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", resp.Status, body[:min(len(body), 200)])
	default:
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	return nil
}

// awaitReady asks until the target says that it is ready, at most for so long.
func awaitReady(ctx context.Context, client *http.Client, base string, wait time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for {
		var status any
		err := fetch(bounded, client, base+"/ready_check", &status)
		if err == nil {
			return nil
		}
		select {
		case <-bounded.Done():
			return errors.Join(fmt.Errorf("the target is not ready after %v: %w", wait, err), ctx.Err())
		case <-every.C:
		}
	}
}

// describe reads the document of the model of that name, or of the only one
// when the name is empty.
func describe(ctx context.Context, client *http.Client, base, name string) (*description, error) {
	if name == "" {
		var list struct {
			Models []description `json:"models"`
		}
		if err := fetch(ctx, client, base+"/models", &list); err != nil {
			return nil, err
		}
		if len(list.Models) != 1 {
			return nil, fmt.Errorf("the target serves %d models: say which one by --model", len(list.Models))
		}
		name = list.Models[0].Name
	}
	var m description
	return &m, fetch(ctx, client, base+"/models/"+url.PathEscape(name), &m)
}

// maxPayloads bounds the instances held in memory. They are made before the
// load, so that making them takes no time from it, and sent over and over.
const maxPayloads = 10_000

// draw makes instances within what the schema says of each feature. The same
// schema and seed give the same ones.
func (m *description) draw(seed uint64) ([][]byte, error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	list := make([][]byte, maxPayloads)
	for i := range list {
		instance := make(map[string]any)
		for _, f := range m.Schema.Features {
			if instance[f.Name] = draw(&f, rng); instance[f.Name] == nil {
				return nil, fmt.Errorf("the model has no example of the feature %s to send: give a file of instances by --replay", f.Name)
			}
		}
		var err error
		if list[i], err = json.Marshal(instance); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// draw returns a value of a feature; nil for a string without an example.
func draw(f *model.FeatureDocument, rng *rand.Rand) any {
	low, high := 0.0, 1.0
	if f.Minimum != nil && f.Maximum != nil {
		low, high = *f.Minimum, *f.Maximum
	} else if example, ok := f.Example.(float64); ok {
		low, high = example, example
	}
	switch f.JSONType {
	case "number":
		return round(low+rng.Float64()*(high-low), low, high)
	case "integer":
		low = math.Ceil(low)
		return int64(low) + rng.Int64N(max(0, int64(high)-int64(low))+1)
	case "boolean":
		return rng.IntN(2) == 1
	}
	return f.Example
}

// round leaves three digits of the range, as measured values have.
func round(v, low, high float64) float64 {
	if high <= low {
		return low
	}
	scale := math.Pow(10, 3-math.Ceil(math.Log10(high-low)))
	return min(high, max(low, math.Round(v*scale)/scale))
}

// replayFile reads instances from a file.
func (m *description) replayFile(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	instances, err := m.replay(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return instances, nil
}

// replay reads instances from JSON Lines, or from the payload lines of a log
// of tepal serve; when there is one of those, all other lines are passed over.
// The first maxPayloads are kept.
func (m *description) replay(in io.Reader) ([][]byte, error) {
	var plain, logged [][]byte
	var fault error
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<30)
	for number := 1; len(logged) < maxPayloads && lines.Scan(); number++ {
		line := bytes.TrimSpace(lines.Bytes())
		var payload struct {
			Message   string            `json:"message"`
			Instances []json.RawMessage `json:"instances"`
		}
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &payload) == nil && payload.Message == "payload":
			for _, instance := range payload.Instances {
				logged = append(logged, m.named(instance))
			}
		case !json.Valid(line) && fault == nil:
			fault = fmt.Errorf("line %d is no JSON", number)
		case len(plain) < maxPayloads:
			plain = append(plain, m.named(bytes.Clone(line)))
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case len(logged) > 0:
		return logged, nil
	case fault == nil && len(plain) == 0:
		return nil, errors.New("there is no instance in it")
	}
	return plain, fault
}

// named turns an instance that is an array of values into an object; whatever
// does not fit the schema is sent as it is, for the target to refuse.
func (m *description) named(instance []byte) []byte {
	var values []json.RawMessage
	if json.Unmarshal(instance, &values) != nil || len(values) != len(m.Schema.Features) {
		return instance
	}
	object := make(map[string]json.RawMessage)
	for i, f := range m.Schema.Features {
		object[f.Name] = values[i]
	}
	text, _ := json.Marshal(object) // values that were JSON are JSON
	return text
}
