package onnx

import (
	"errors"
	"fmt"

	"github.com/tepalhq/tepal/model"
)

// attributes reads a node's attributes by name. The first fault sticks, so
// that a builder reads all it needs and then asks once, by finish, which also
// refuses attributes that nothing read.
type attributes struct {
	list   []Attribute
	byName map[string]*Attribute
	read   map[string]bool
	err    error
}

func (a *attributes) index(list []Attribute) error {
	a.list, a.byName, a.read = list, make(map[string]*Attribute, len(list)), make(map[string]bool, len(list))
	for i := range list {
		if _, twice := a.byName[list[i].Name]; twice {
			return fmt.Errorf("attribute %q stands twice", list[i].Name)
		}
		a.byName[list[i].Name] = &list[i]
	}
	return nil
}

func (a *attributes) finish() error {
	if a.err != nil {
		return a.err
	}
	for i := range a.list {
		if name := a.list[i].Name; !a.read[name] {
			return fmt.Errorf("unknown attribute %q", name)
		}
	}
	return nil
}

// get returns the attribute, or nil when it is not there or of another type.
func (a *attributes) get(name string, t AttributeType) *Attribute {
	a.read[name] = true
	found := a.byName[name]
	if found != nil && found.Type != t {
		if a.err == nil {
			a.err = fmt.Errorf("attribute %q is of type %d where %d is needed", name, found.Type, t)
		}
		return nil
	}
	return found
}

func (a *attributes) int(name string, otherwise int64) int64 {
	if found := a.get(name, AttributeInt); found != nil {
		return found.Int
	}
	return otherwise
}

func (a *attributes) string(name string) string {
	if found := a.get(name, AttributeString); found != nil {
		return found.String
	}
	return ""
}

func (a *attributes) ints(name string) []int64 {
	if found := a.get(name, AttributeInts); found != nil {
		return found.Ints
	}
	return nil
}

func (a *attributes) strings(name string) []string {
	if found := a.get(name, AttributeStrings); found != nil {
		return found.Strings
	}
	return nil
}

// numbers reads a list of floats, or the tensor of doubles or floats that
// opset 3 of ai.onnx.ml allows in its place under the name with "_as_tensor".
func (a *attributes) numbers(name string) []float64 {
	var values []float64
	if found := a.get(name, AttributeFloats); found != nil {
		values = widen(found.Floats)
	}
	if found := a.get(name+"_as_tensor", AttributeTensor); found != nil && found.Tensor != nil {
		switch t := found.Tensor; {
		case len(values) > 0:
			a.fail(fmt.Errorf("attributes %q and %q are both set", name, found.Name))
		case t.Type == model.Float64:
			values = t.Float64s
		case t.Type == model.Float32:
			values = widen(t.Float32s)
		default:
			a.fail(fmt.Errorf("attribute %q is a tensor of %v, not of numbers with a fraction", found.Name, t.Type))
		}
	}
	return values
}

func (a *attributes) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func widen(values []float32) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = float64(v)
	}
	return out
}

// labelType is the type of a class label as a value.
func labelType(c *model.Classes) model.Type {
	if len(c.Strings) > 0 {
		return model.String
	}
	return model.Int64
}

// classes reads the labels of a classifier or a ZipMap: exactly one of the two
// lists is set, and no label stands twice.
func (a *attributes) classes() (*model.Classes, error) {
	c := &model.Classes{Strings: a.strings("classlabels_strings"), Ints: a.ints("classlabels_int64s")}
	switch {
	case a.err != nil:
		return nil, a.err
	case c.Len() == 0:
		return nil, errors.New("it has no class labels")
	case len(c.Strings) > 0 && len(c.Ints) > 0:
		return nil, errors.New("it has class labels of both types")
	}
	if label, twice := c.Repeated(); twice {
		return nil, fmt.Errorf("the class label %q stands twice", label)
	}
	return c, nil
}
