package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeaderLines(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("a:\r\n", n) }
	for _, c := range []struct {
		name  string
		reads []string
		want  bool
	}{
		{"as many as there may be", []string{lines(maxHeaderLines) + "\r\n"}, false},
		{"one more", []string{lines(maxHeaderLines+1) + "\r\n"}, true},
		{"many more, without an end", []string{lines(2 * maxHeaderLines)}, true},
		{"in many reads", strings.SplitAfter(lines(maxHeaderLines+2), ":"), true},
		{"ends of lines without a return", []string{strings.Repeat("a:\n", maxHeaderLines) + "\n" + lines(999)}, false},
		{"a body of many lines", []string{"POST / HTTP/1.1\r\n\r\n" + lines(999)}, false},
		{"a body of empty lines", []string{"POST / HTTP/1.1\r\n\r", strings.Repeat("\n", 999)}, false},
		{"a body after headers that were read before", []string{"\r\n" + lines(999)}, false},
		{"an empty line before a request", []string{"\r\n", lines(maxHeaderLines + 2)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h headers
			refused := false
			for _, read := range c.reads {
				refused = refused || h.tooMany([]byte(read))
			}
			require.Equal(t, c.want, refused)
		})
	}
}

// TestTooManyHeaders refuses a request before net/http keeps its headers, on a
// new connection and on one that was used, and answers a body of many lines.
func TestTooManyHeaders(t *testing.T) {
	s := start(t, setup{}, false)
	body := strings.Repeat("\n", 999) + setosa
	plain := fmt.Sprintf("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for before := range 3 {
		conn := dial(t, s)
		from := bufio.NewReader(conn)
		for range before {
			_, err := io.WriteString(conn, plain)
			require.NoError(t, err)
			status, text := answer(t, from)
			require.Equal(t, http.StatusOK, status, text)
		}
		_, err := io.WriteString(conn, "GET /models HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a:\r\n", maxHeaderLines))
		require.NoError(t, err)
		resp, err := http.ReadResponse(from, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "431 Request Header Fields Too Large", string(text))
	}
}
