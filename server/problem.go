package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/telemetry"
)

// problem is an answer to a request that went wrong: application/problem+json
// of RFC 9457, with the member "error" that Open Inference clients read.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Pointer  string `json:"pointer,omitempty"`
	Expected string `json:"expected,omitempty"`
	Got      string `json:"got,omitempty"`
	// Line is the line of a stream, from 1 on.
	Line  int    `json:"line,omitempty"`
	Error string `json:"error"`
}

// problemMedia is the media type of problems.
const problemMedia = "application/problem+json"

// problemBase is where the types of problems are described; a type's slug is
// the anchor.
const problemBase = "https://github.com/tepalhq/tepal/blob/main/docs/problems.md#"

// retryAfter is what a refused client is told to wait, in seconds: the least
// that the header can say, and longer than the queue.
const retryAfter = 1

// outcomes is how each kind of error is answered. It is never written to.
var outcomes = map[model.Kind]struct {
	status int
	title  string
	retry  bool
}{
	model.KindInternal:   {http.StatusInternalServerError, "Internal error", false},
	model.KindMalformed:  {http.StatusBadRequest, "Malformed request", false},
	model.KindInvalid:    {http.StatusUnprocessableEntity, "Not this model's schema", false},
	model.KindTooLarge:   {http.StatusRequestEntityTooLarge, "Request too large", false},
	model.KindNotFound:   {http.StatusNotFound, "Not found", false},
	model.KindNotReady:   {http.StatusServiceUnavailable, "Not ready", true},
	model.KindOverloaded: {http.StatusServiceUnavailable, "Overloaded", true},
	model.KindDeadline:   {http.StatusGatewayTimeout, "Out of time", false},
	// Nobody reads this one: its caller has gone.
	model.KindCanceled: {statusClientClosed, "Caller gone", false},
}

// statusClientClosed is the status that nginx made common for a caller who has
// gone.
const statusClientClosed = 499

// fail answers with the problem that err is. What is not a *model.Error, or is
// of KindInternal, becomes a plain 500, and its text is for the log alone.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	e, cause := public(err)
	if cause != nil {
		telemetry.RecordFrom(r.Context()).Err = cause
	}
	o := outcomes[e.Kind]
	if o.retry {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	writeProblem(w, r, o.status, o.title, e)
}

// public is what a caller is told of err, and the cause that is not told.
func public(err error) (e *model.Error, cause error) {
	if e, ok := errors.AsType[*model.Error](err); ok && e.Kind != model.KindInternal {
		return e, nil
	}
	return internalError(), err
}

// writeProblem answers with a problem of a status that no kind of error has,
// or that a kind has.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, title string, e *model.Error) {
	record := telemetry.RecordFrom(r.Context())
	record.ErrorType, record.Pointer = e.Type, e.Pointer
	writeJSON(w, status, problemMedia, newProblem(status, title, e))
}

// mostText is how long each text of a problem may be, in bytes: names and values
// in it are as long as a caller or the author of a file likes.
const mostText = 512

func newProblem(status int, title string, e *model.Error) problem {
	short := func(s string) string { return clip.Text(s, mostText) }
	return problem{
		Type: problemBase + e.Type, Title: title, Status: status, Detail: short(e.Detail),
		Pointer: short(e.Pointer), Expected: short(e.Expected), Got: short(e.Got), Error: short(e.Error()),
	}
}

// answerPanic answers for a handler that panicked; the log has the panic and
// its stack.
func answerPanic(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r, http.StatusInternalServerError, outcomes[model.KindInternal].title, internalError())
}

// internalError is all that a caller is told of a fault of the server.
func internalError() *model.Error {
	return &model.Error{Type: "internal-error", Detail: "the server failed to answer; its log has the reason"}
}

// writeJSON answers with v as JSON and a line end, as a person at a terminal
// likes it.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	writeBody(w, status, contentType, jsonLine(v))
}

func jsonLine(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		// Every document is made of types that marshal.
		panic(err)
	}
	return append(text, '\n')
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	// One array for all, and names that are canonical: Set would look at each and allocate for each.
	values := [...]string{contentType, strconv.Itoa(len(body)), "nosniff"}
	h["Content-Type"], h["Content-Length"], h["X-Content-Type-Options"] = values[0:1:1], values[1:2:2], values[2:3:3]
	w.WriteHeader(status)
	// A caller who has gone while it is written to cannot be told.
	_, _ = w.Write(body)
}
