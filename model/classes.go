package model

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
)

// Classes are a classifier's labels: strings or integers, never both.
type Classes struct {
	Strings []string
	Ints    []int64
}

// Len returns the number of classes.
func (c Classes) Len() int { return max(len(c.Strings), len(c.Ints)) }

// Text returns class i as text; an integer label in decimal.
func (c Classes) Text(i int) string {
	if len(c.Ints) > 0 {
		return strconv.FormatInt(c.Ints[i], 10)
	}
	return c.Strings[i]
}

// Texts returns every class as text, in order.
func (c Classes) Texts() []string {
	texts := make([]string, c.Len())
	for i := range texts {
		texts[i] = c.Text(i)
	}
	return texts
}

// Equal reports whether both have the same labels, of the same type, in the
// same order.
func (c Classes) Equal(d Classes) bool {
	return slices.Equal(c.Strings, d.Strings) && slices.Equal(c.Ints, d.Ints)
}

// Repeated returns the first label that stands twice.
func (c Classes) Repeated() (string, bool) {
	seen := make(map[string]bool, c.Len())
	for _, text := range c.Texts() {
		if seen[text] {
			return text, true
		}
		seen[text] = true
	}
	return "", false
}

// indexString finds a label that is a string; one of integer classes when a
// graph turns them into text.
func (c Classes) indexString(s string) int {
	if len(c.Ints) > 0 {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return -1
		}
		return c.indexInt(v)
	}
	return slices.Index(c.Strings, s)
}

func (c Classes) indexInt(v int64) int { return slices.Index(c.Ints, v) }

// MarshalJSON writes an array of strings or of integers.
func (c Classes) MarshalJSON() ([]byte, error) {
	if len(c.Ints) > 0 {
		return json.Marshal(c.Ints)
	}
	return json.Marshal(append([]string{}, c.Strings...))
}

// UnmarshalJSON reads an array of strings or of integers.
func (c *Classes) UnmarshalJSON(data []byte) error {
	*c = Classes{}
	var ok bool
	if c.Ints, ok = list[int64](data); ok {
		return nil
	}
	if c.Strings, ok = list[string](data); ok {
		return nil
	}
	return errors.New("classes must be an array of strings or an array of integers")
}

// list reads an array of E. A null, which encoding/json would read as zero, is none.
func list[E any](data []byte) ([]E, bool) {
	var cells []*E
	if json.Unmarshal(data, &cells) != nil || slices.Contains(cells, nil) {
		return nil, false
	}
	values := make([]E, len(cells))
	for i, cell := range cells {
		values[i] = *cell
	}
	return values, true
}
