package server

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/tepalhq/tepal/model"
)

// takesJSON refuses a body that says it is something else than JSON; one that
// says nothing is taken for JSON.
func takesJSON(w http.ResponseWriter, r *http.Request) bool {
	refuse := func(expected, got string) bool {
		writeProblem(w, r, http.StatusUnsupportedMediaType, "Unsupported media type", &model.Error{
			Type: "unsupported-media-type", Detail: "the body is of a media type or encoding that is not taken", Expected: expected, Got: got,
		})
		return false
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return refuse("no Content-Encoding", clipHeader(encoding))
	}
	header := r.Header.Get("Content-Type")
	if header == "" || header == "application/json" {
		return true
	}
	media, params, err := mime.ParseMediaType(header)
	if err != nil || media != "application/json" {
		return refuse("application/json", clipHeader(header))
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return refuse("application/json in UTF-8", clipHeader(header))
	}
	return true
}

// sendsJSON refuses a caller who accepts no JSON.
func sendsJSON(w http.ResponseWriter, r *http.Request) bool {
	headers := r.Header.Values("Accept")
	if len(headers) == 0 || headers[0] == "*/*" || accepts(headers, "application/json") {
		return true
	}
	writeProblem(w, r, http.StatusNotAcceptable, "Not acceptable", &model.Error{
		Type: "not-acceptable", Detail: "the answer would be of a media type that the caller does not accept",
		Expected: "application/json", Got: clipHeader(strings.Join(headers, ", ")),
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

// readBody reads the body up to its limit into buf; when it cannot, it has
// answered why.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) bool {
	buf.Reset()
	if r.ContentLength > s.config.MaxBodyBytes {
		s.refuseBody(w, r)
		return false
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, s.config.MaxBodyBytes))
	if err == nil {
		return true
	}
	switch _, tooLarge := errors.AsType[*http.MaxBytesError](err); {
	case tooLarge:
		s.refuseBody(w, r)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		writeProblem(w, r, http.StatusRequestTimeout, "Request timeout", &model.Error{
			Type: "request-timeout", Detail: "the body did not arrive in time", Expected: fmt.Sprintf("the whole body within %v", readTimeout),
		})
	case r.Context().Err() != nil:
		fail(w, r, model.ContextError(r.Context()))
	default:
		fail(w, r, &model.Error{Kind: model.KindMalformed, Type: "malformed-body", Detail: "the body could not be read to its end"})
	}
	return false
}

// refuseBody answers for a body beyond the limit, and closes the connection:
// the rest of the body would only be read to be thrown away.
func (s *Server) refuseBody(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	fail(w, r, &model.Error{
		Kind: model.KindTooLarge, Type: "body-too-large", Detail: "the body is larger than the server takes",
		Expected: fmt.Sprintf("at most %d bytes", s.config.MaxBodyBytes),
	})
}
