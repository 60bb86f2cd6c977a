// Package clip shortens texts of strangers, of callers and of files, to what an answer, a reason or a line of a log can
// hold. It exists so that there is one way to do it: at the edge of a character, and in valid UTF-8.
package clip

import (
	"strings"
	"unicode/utf8"
)

// Text returns s when it has at most n bytes, and else as many whole characters as n bytes hold, with an ellipsis
// after them. What is no UTF-8 becomes the replacement character.
func Text(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	cut := n
	for cut > 0 && cut > n-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.ToValidUTF8(s[:cut], "\uFFFD") + "…"
}
