package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// The bounds of a request's headers, the line of the request included.
// net/http bounds their bytes alone, and keeps some hundred bytes for each
// line, however short, before there is a request that admission could refuse.
const (
	maxHeaderBytes = 16 << 10
	maxHeaderLines = 128
)

// headers counts the lines of the headers that are being read.
type headers struct {
	lines int
	// begun says that the line at hand is not empty; whole, that the empty line
	// after the headers has come.
	begun, whole bool
}

// tooMany counts the lines in what was read, up to the empty line. One that
// comes first may end headers whose lines were read with the request before, so
// that a body follows; or it precedes a request, and what was read with it goes
// uncounted.
func (h *headers) tooMany(read []byte) bool {
	for !h.whole {
		line, rest, ended := bytes.Cut(read, []byte{'\n'})
		h.begun = h.begun || len(bytes.TrimSuffix(line, []byte{'\r'})) > 0
		if !ended {
			break
		}
		empty := !h.begun
		h.lines, h.begun, read = h.lines+1, false, rest
		if empty {
			h.whole = h.lines > 1
			break
		}
	}
	return h.lines > maxHeaderLines+1 // the empty line
}

var errHeaders = errors.New("the headers have too many lines")

// refuseHeaders answers as net/http does when headers have too many bytes. The
// error is one that net/http adds no answer of its own to.
func (c *watchedConn) refuseHeaders() error {
	const status = "431 Request Header Fields Too Large"
	_ = c.TCPConn.SetWriteDeadline(time.Now().Add(time.Second)) // it is closed next, whatever came of it
	_, _ = io.WriteString(c.TCPConn, "HTTP/1.1 "+status+"\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+status)
	_ = c.CloseWrite()
	return &net.OpError{Op: "read", Net: "tcp", Err: errHeaders}
}
