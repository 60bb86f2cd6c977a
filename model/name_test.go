package model

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "Z", "0", "iris", "Iris-2.1_final", "9.-_", strings.Repeat("x", 128)} {
		assert.True(t, ValidName(name), name)
	}
	for _, name := range []string{
		"", ".", "..", ".hidden", "-flag", "_x", "a/b", `a\b`, "a b", "a\n", "a\x00", "a%2f", "café", "\xff", strings.Repeat("x", 129),
	} {
		assert.False(t, ValidName(name), name)
	}
}
