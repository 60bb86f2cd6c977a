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
	list []Attribute
	// unread are the attributes that are there and were not read.
	unread map[string]Attribute
	err    error
}

func (a *attributes) index(list []Attribute) error {
	a.list, a.unread = list, make(map[string]Attribute, len(list))
	for _, attribute := range list {
		if _, twice := a.unread[attribute.Name]; twice {
			return fmt.Errorf("attribute %q stands twice", attribute.Name)
		}
		a.unread[attribute.Name] = attribute
	}
	return nil
}

func (a *attributes) finish() error {
	for _, attribute := range a.list {
		if _, unread := a.unread[attribute.Name]; unread {
			a.fail("unknown attribute %q", attribute.Name)
		}
	}
	return a.err
}

func (a *attributes) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

// take returns the attribute; an empty one when it is not there or of another
// type.
func (a *attributes) take(name string, t AttributeType) Attribute {
	found, ok := a.unread[name]
	delete(a.unread, name)
	if ok && found.Type != t {
		a.fail("attribute %q is of type %d where %d is needed", name, found.Type, t)
		return Attribute{}
	}
	return found
}

func (a *attributes) int(name string, otherwise int64) int64 {
	if found := a.take(name, AttributeInt); found.Type == AttributeInt {
		return found.Int
	}
	return otherwise
}

func (a *attributes) string(name string) string    { return a.take(name, AttributeString).String }
func (a *attributes) ints(name string) []int64     { return a.take(name, AttributeInts).Ints }
func (a *attributes) strings(name string) []string { return a.take(name, AttributeStrings).Strings }

// numbers reads a list of floats, or the tensor of doubles or floats that
// opset 3 of ai.onnx.ml allows in its place under the name with "_as_tensor".
func (a *attributes) numbers(name string) []float64 {
	tensorName := name + "_as_tensor"
	values := widen(a.take(name, AttributeFloats).Floats)
	t := a.take(tensorName, AttributeTensor).Tensor
	switch {
	case t == nil:
		return values
	case len(values) > 0:
		a.fail("attributes %q and %q are both set", name, tensorName)
	case t.Type == model.Float64:
		return t.Float64s
	case t.Type == model.Float32:
		return widen(t.Float32s)
	case t.Type == model.Invalid:
		if a.err == nil {
			a.err = fmt.Errorf("attribute %q: %w", tensorName, elementError(t.Element))
		}
	default:
		a.fail("attribute %q is a tensor of %v, not of numbers with a fraction", tensorName, t.Type)
	}
	return nil
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
