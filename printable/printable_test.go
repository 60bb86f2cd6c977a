package printable

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"petal length (cm), größe, 花 ×2", "petal length (cm), größe, 花 ×2"},
		{"\x1b[2Jgone", `\u001b[2Jgone`},
		{"two\nlines\tand\rmore", `two\u000alines\u0009and\u000dmore`},
		{"\x7f", `\u007f`},
		{"\u009b31m", `\u009b31m`},         // C1: the control sequence introducer in one character
		{"\u202egnp.exe", `\u202egnp.exe`}, // right-to-left override
		{"\u2066a\u2069\u200e\u061c", `\u2066a\u2069\u200e\u061c`},
		{"a\u2028b\u2029c\u200bd\ufeff", `a\u2028b\u2029c\u200bd\ufeff`},
		{"\U000e0041", `\udb40\udc41`}, // a tag, in UTF-16 as JSON writes it
		{"\xff", "\ufffd"},
	} {
		assert.Equal(t, tt.want, Text(tt.in), "%q", tt.in)
	}
}

func TestLines(t *testing.T) {
	assert.Equal(t, "first\n  tepal: all is well\\u001b[0m", Lines("first\ntepal: all is well\x1b[0m"))
}

func TestWriterKeepsJSON(t *testing.T) {
	const value = "a\u009b\u202eé花\U000e0041\x1b\"\\"
	text, err := json.Marshal(value)
	require.NoError(t, err)
	var out bytes.Buffer
	w := NewWriter(&out)
	for i := range text { // however the writes are cut
		_, err := w.Write(text[i : i+1])
		require.NoError(t, err)
	}
	assert.Equal(t, `"a\u009b\u202eé花\udb40\udc41\u001b\"\\"`, out.String())
	var got string
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	assert.Equal(t, value, got)
}

func TestWriterHandsPlainTextOn(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	line := []byte("{\"message\":\"POST /predict 200\"}\n")
	out.Grow(1 << 16)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = w.Write(line); out.Reset() }))
	_, _ = w.Write(line)
	assert.Equal(t, string(line), out.String())
}
