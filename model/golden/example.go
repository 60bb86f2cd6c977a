package golden

import (
	"encoding/json"

	"github.com/tepalhq/tepal/model"
)

// examples returns instances that the model should take, as JSON objects, no
// two alike where the schema leaves a choice: of each feature the example, or
// else a value from the low or the high end of its range, or of what is usual.
func examples(s *model.Schema) ([]json.RawMessage, error) {
	var instances []json.RawMessage
	for _, value := range []func(f *model.Feature) any{exampleValue, highValue, lowValue} {
		instance := make(map[string]any, len(s.Features))
		for i := range s.Features {
			instance[s.Features[i].Name] = value(&s.Features[i])
		}
		text, err := json.Marshal(instance)
		if err != nil {
			return nil, err
		}
		instances = append(instances, text)
	}
	return instances, nil
}

func exampleValue(f *model.Feature) any {
	if f.Example != nil {
		return f.Example
	}
	return lowValue(f)
}

func lowValue(f *model.Feature) any {
	switch {
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

func highValue(f *model.Feature) any {
	switch {
	case f.Type == model.String:
		return "1"
	case f.Type == model.Bool:
		return true
	case f.Maximum != nil:
		return *f.Maximum
	case f.Minimum != nil:
		return *f.Minimum + 1
	default:
		return 1
	}
}
