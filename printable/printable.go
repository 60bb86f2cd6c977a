// Package printable makes the texts of strangers, such as those in a model file or of a caller, safe to show: nothing in
// them drives a terminal, ends a line early or changes the order in which the rest is read.
//
// What is shown as it is are spaces and what unicode.IsPrint calls printable. Everything else becomes the escape that JSON
// has for it: control characters (C0, DEL and C1), marks of direction, separators of lines, and what is invisible.
package printable

import (
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s as one line.
func Text(s string) string {
	if safe(s) {
		return s
	}
	return string(Append(nil, []byte(s), ""))
}

// Lines returns s with its line ends kept. Lines after the first are indented, so that none of them can be taken for a
// message of its own.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n  ")
}

func safe(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}

// Bytes returns text with escapes for what is neither printable nor in keep: itself where there is nothing to escape, which
// is looked for in ASCII alone.
func Bytes(text []byte, keep string) []byte {
	for _, b := range text {
		if (b < ' ' || b >= 0x7f) && strings.IndexByte(keep, b) < 0 {
			return Append(nil, text, keep)
		}
	}
	return text
}

// Append appends text to dst with escapes for what is not printable and not in keep. Bytes that are not UTF-8 become
// U+FFFD.
func Append(dst, text []byte, keep string) []byte {
	const digits = "0123456789abcdef"
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case unicode.IsPrint(r) || r < utf8.RuneSelf && strings.IndexByte(keep, byte(r)) >= 0:
			dst = utf8.AppendRune(dst, r)
		default:
			for _, unit := range utf16.AppendRune(nil, r) {
				dst = append(dst, '\\', 'u', digits[unit>>12], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
			}
		}
		text = text[size:]
	}
	return dst
}

// Writer writes to another what Append makes of all that is written, with line ends and tabs kept. In JSON the text stays the same
// value. It is for one goroutine.
type Writer struct {
	out  io.Writer
	rest []byte // the begun character at the end of the last write
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	text := p
	if len(w.rest) > 0 {
		text = append(w.rest, p...)
	}
	whole := len(text) - begun(text)
	if _, err := w.out.Write(Bytes(text[:whole], "\n\t")); err != nil {
		return 0, err
	}
	w.rest = slices.Clone(text[whole:])
	return len(p), nil
}

// begun is the length of the character that text ends in the middle of.
func begun(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if end := text[len(text)-n:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return n
		}
	}
	return 0
}
