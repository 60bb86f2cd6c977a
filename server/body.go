package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/telemetry"
)

// The media types of bodies and answers.
const (
	jsonMedia   = "application/json"
	ndjsonMedia = "application/x-ndjson"
)

// takes returns the media type of the body; one that says nothing is taken for
// JSON. It refuses a body that says it is something else than JSON or NDJSON.
func takes(w http.ResponseWriter, r *http.Request) (media string, ok bool) {
	refuse := func(expected, got string) (string, bool) {
		writeProblem(w, r, http.StatusUnsupportedMediaType, "Unsupported media type", &model.Error{
			Type: "unsupported-media-type", Detail: "the body is of a media type or encoding that is not taken", Expected: expected, Got: got,
		})
		return "", false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return refuse("no Content-Encoding", clip.Text(encoding, mostHeader))
	}
	header := r.Header.Get("Content-Type")
	if header == "" || header == jsonMedia {
		return jsonMedia, true
	}
	media, params, err := mime.ParseMediaType(header)
	if err != nil || media != jsonMedia && media != ndjsonMedia {
		return refuse(jsonMedia+" or "+ndjsonMedia, clip.Text(header, mostHeader))
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return refuse(media+" in UTF-8", clip.Text(header, mostHeader))
	}
	return media, true
}

// sends refuses a caller who does not accept the media type of the answer,
// which is that of the body.
func sends(w http.ResponseWriter, r *http.Request, media string) bool {
	headers := r.Header.Values("Accept")
	if len(headers) == 0 || headers[0] == "*/*" || headers[0] == "" || accepts(headers, media) {
		return true
	}
	writeProblem(w, r, http.StatusNotAcceptable, "Not acceptable", &model.Error{
		Type: "not-acceptable", Detail: "the answer would be of a media type that the caller does not accept",
		Expected: media, Got: clip.Text(strings.Join(headers, ", "), mostHeader),
	})
	return false
}

// accepts reports whether Accept headers (RFC 9110, section 12.5.1) allow the
// media type: the most specific range that matches it decides, and one of
// weight zero forbids it.
func accepts(headers []string, media string) bool {
	kind, _, _ := strings.Cut(media, "/")
	best, allowed := -1, false
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			name, params, err := mime.ParseMediaType(strings.TrimSpace(part))
			if err != nil {
				continue
			}
			specific := map[string]int{"*/*": 0, kind + "/*": 1, media: 2}
			rank, matches := specific[name]
			if !matches || rank < best {
				continue
			}
			weight, err := strconv.ParseFloat(params["q"], 64)
			best, allowed = rank, err != nil || weight > 0
		}
	}
	return allowed
}

// mostHeader is how much of a header an answer repeats, in bytes.
const mostHeader = 128

// What is read of a body that is of no use any more.
const (
	restBytes = 64 << 20
	restTime  = readTimeout
	// A caller who has stopped sending is not waited for: restStep has to come
	// within restPause.
	restStep  = 256 << 10
	restPause = deadlineExact
)

// readOn reads on after a refusal and throws away what comes, within bounds. Most
// clients send all of a body before they look for an answer, and if the
// connection were closed with something unread on it, the answer would be lost
// on its way to them.
func readOn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if media := w.Header()["Content-Type"]; r.ContentLength != 0 && len(media) == 1 && media[0] == problemMedia {
			discardRest(w, r)
		}
	})
}

func discardRest(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	err := control.Flush()
	if err == nil {
		err = discard(r.Body, control.SetReadDeadline)
		if conn, ok := r.Context().Value(connKey{}).(*watchedConn); ok {
			conn.discarded = true
		}
	}
	if !errors.Is(err, io.EOF) {
		// net/http would read on by itself, and wait for it.
		_ = control.SetReadDeadline(time.Now())
	}
}

// discard reads to the end, within bounds; the error is io.EOF when it came there.
func discard(r io.Reader, setDeadline func(time.Time) error) error {
	end := time.Now().Add(restTime)
	for n := int64(0); n < restBytes && time.Now().Before(end); n += restStep {
		if err := setDeadline(time.Now().Add(restPause)); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, restStep); err != nil {
			return err
		}
	}
	return nil
}

// readBody reads the body up to its limit; when it cannot, it has answered why.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	if r.ContentLength > s.config.MaxBodyBytes {
		s.refuseBody(w, r)
		return false
	}
	err := readAll(s.limitBody(w, r), &x.body, cmp.Or(max(r.ContentLength, 0), s.config.MaxBodyBytes))
	if err == nil {
		return true
	}
	switch _, tooLarge := errors.AsType[*http.MaxBytesError](err); {
	case tooLarge:
		s.refuseBody(w, r)
	case isFull(err):
		fail(w, r, s.noMemory(telemetry.ShedBodyMemory, "the body"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.refuseLateBody(w, r)
	case r.Context().Err() != nil:
		fail(w, r, model.ContextError(r.Context()))
	default:
		fail(w, r, &model.Error{Kind: model.KindMalformed, Type: "malformed-body", Detail: "the body could not be read to its end"})
	}
	return false
}

// refuseLateBody answers for a body that did not come in time: its own, or that
// which a stop has for it.
func (s *Server) refuseLateBody(w http.ResponseWriter, r *http.Request) {
	telemetry.RecordFrom(r.Context()).LateBody = true
	if s.input.Err() != nil {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		writeProblem(w, r, http.StatusServiceUnavailable, titleStopping, stopping("the server stops before the body has arrived"))
		return
	}
	writeProblem(w, r, http.StatusRequestTimeout, titleLate, lateBody(fmt.Sprintf("the whole body within %v", readTimeout)))
}

// The titles of problems of status 408, and of those of 503 whose server stops.
const (
	titleLate     = "Request timeout"
	titleStopping = "Stopping"
)

func lateBody(expected string) *model.Error {
	return &model.Error{Type: "request-timeout", Detail: "the body did not arrive in time", Expected: expected}
}

func stopping(detail string) *model.Error {
	return &model.Error{Type: "server-stopping", Detail: detail}
}

// limitBody bounds what is read of a body; one that says how long it is ends
// there.
func (s *Server) limitBody(w http.ResponseWriter, r *http.Request) io.Reader {
	if r.ContentLength >= 0 {
		return r.Body
	}
	return http.MaxBytesReader(w, r.Body, s.config.MaxBodyBytes)
}

// readAll reads to the end, which is expected after most bytes at the latest.
// Memory is taken as bytes arrive: to say that many will come takes none.
func readAll(r io.Reader, into *memory.Buffer, most int64) error {
	for {
		if size := len(into.Bytes); size == cap(into.Bytes) {
			if err := into.Grow(max(size+1, min(2*size, int(most)))); err != nil {
				return err
			}
		}
		n, err := r.Read(into.Bytes[len(into.Bytes):cap(into.Bytes)])
		into.Bytes = into.Bytes[:len(into.Bytes)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// refuseBody answers for a body beyond the limit.
func (s *Server) refuseBody(w http.ResponseWriter, r *http.Request) {
	got := "more"
	if r.ContentLength >= 0 {
		got = fmt.Sprintf("%d bytes", r.ContentLength)
	}
	fail(w, r, &model.Error{
		Kind: model.KindTooLarge, Type: "body-too-large", Detail: "the body is larger than the server takes",
		Expected: fmt.Sprintf("at most %d bytes", s.config.MaxBodyBytes), Got: got,
	})
}
