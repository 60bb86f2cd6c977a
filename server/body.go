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
		return refuse("no Content-Encoding", clipHeader(encoding))
	}
	header := r.Header.Get("Content-Type")
	if header == "" || header == jsonMedia {
		return jsonMedia, true
	}
	media, params, err := mime.ParseMediaType(header)
	if err != nil || media != jsonMedia && media != ndjsonMedia {
		return refuse(jsonMedia+" or "+ndjsonMedia, clipHeader(header))
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return refuse(media+" in UTF-8", clipHeader(header))
	}
	return media, true
}

// sends refuses a caller who does not accept the media type of the answer,
// which is that of the body.
func sends(w http.ResponseWriter, r *http.Request, media string) bool {
	headers := r.Header.Values("Accept")
	if len(headers) == 0 || headers[0] == "*/*" || accepts(headers, media) {
		return true
	}
	writeProblem(w, r, http.StatusNotAcceptable, "Not acceptable", &model.Error{
		Type: "not-acceptable", Detail: "the answer would be of a media type that the caller does not accept",
		Expected: media, Got: clipHeader(strings.Join(headers, ", ")),
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

// clipHeader keeps a caller's header from filling the answer.
func clipHeader(value string) string { return strings.ToValidUTF8(value[:min(len(value), 128)], "�") }

// abandonBody gives what is still to come of a body a moment to arrive, so
// that a client who sends no more of it does not hold the connection.
func abandonBody(w http.ResponseWriter) {
	const moment = 500 * time.Millisecond
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(moment))
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
		writeProblem(w, r, http.StatusRequestTimeout, titleLate, lateBody(fmt.Sprintf("the whole body within %v", readTimeout)))
	case r.Context().Err() != nil:
		fail(w, r, model.ContextError(r.Context()))
	default:
		fail(w, r, &model.Error{Kind: model.KindMalformed, Type: "malformed-body", Detail: "the body could not be read to its end"})
	}
	return false
}

// titleLate is the title of a problem of status 408.
const titleLate = "Request timeout"

func lateBody(expected string) *model.Error {
	return &model.Error{Type: "request-timeout", Detail: "the body did not arrive in time", Expected: expected}
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
