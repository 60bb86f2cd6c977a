package clip

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestText(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"abc", 0, "…"},
		{"aéb", 2, "a…"}, // é has two bytes
		{"aéb", 3, "aé…"},
		{"😀😀", 7, "😀…"},
		{"a\xffb", 9, "a\uFFFDb"},
		{strings.Repeat("\x80", 9), 8, "\uFFFD…"},
	} {
		assert.Equal(t, test.want, Text(test.in, test.n), "%q to %d", test.in, test.n)
	}
}
