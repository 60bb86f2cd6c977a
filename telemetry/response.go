package telemetry

import (
	"context"
	"io"
	"net/http"
)

// response is a http.ResponseWriter that remembers what was sent through it. http.ResponseController finds what else
// the connection can do through Unwrap.
type response struct {
	http.ResponseWriter
	ctx  context.Context // the request's, as it was before the handler could give it a deadline
	head bool            // the request is a HEAD, whose answer net/http sends without its body

	status     int   // 0 until it is sent
	size       int64 // bytes of the body
	clientGone bool  // the caller had gone when the status was sent
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	w.sending(status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.sending(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	if !w.head {
		w.size += int64(n)
	}
	return n, err
}

// FlushError is what http.ResponseController calls to flush.
func (w *response) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err == nil {
		w.sending(http.StatusOK)
	}
	return err
}

// Unwrap returns the writer below, for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sending notes the first final status. Informational ones (1xx) may precede it; those after it are not sent.
func (w *response) sending(status int) {
	if w.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.status = status
	w.clientGone = clientGone(w.ctx)
}

// clientGone reports whether the request's context was cancelled by net/http because the connection or the stream is
// closed. A deadline, or a server that cancels with a cause of its own, is no caller who has gone.
func clientGone(ctx context.Context) bool {
	return ctx.Err() != nil && context.Cause(ctx) == context.Canceled //nolint:errorlint // A cause that wraps it is a cause of its own.
}

// countingBody counts the bytes read of a body; what a caller declares may never come.
type countingBody struct {
	io.ReadCloser
	size int64
}

// Read implements io.Reader.
func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.size += int64(n)
	return n, err
}
