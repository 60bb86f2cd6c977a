package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBodiesThatDoNotArrive asks with bodies that end in an error. A real slow
// client would take as long as readTimeout.
func TestBodiesThatDoNotArrive(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		slug   string
	}{
		{"too slow", t.Context(), os.ErrDeadlineExceeded, http.StatusRequestTimeout, "request-timeout"},
		// When a body is late net/http ends the context as well.
		{"too slow, context ended", gone, os.ErrDeadlineExceeded, http.StatusRequestTimeout, "request-timeout"},
		{"caller gone", gone, io.ErrUnexpectedEOF, statusClientClosed, "client-closed-request"},
		{"broken chunks", t.Context(), errors.New("malformed chunked encoding"), http.StatusBadRequest, "malformed-body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, setup{}, false)
			body := io.MultiReader(bytes.NewBufferString(setosa[:10]), iotest.ErrReader(test.err))
			r := httptest.NewRequestWithContext(test.ctx, http.MethodPost, "/predict", body)
			w := httptest.NewRecorder()
			s.routes().ServeHTTP(w, r)
			assert.Equal(t, test.status, w.Code)
			assert.Contains(t, w.Body.String(), "problems.md#"+test.slug+`"`)
			line := logLine(t, s, "POST /predict "+strconv.Itoa(test.status))
			assert.Equal(t, test.slug, line["problem"])
		})
	}
}

// TestHugeWorkspacesAreNotKept computes with more than keepBytes; what is kept
// for the next request must be small.
func TestHugeWorkspacesAreNotKept(t *testing.T) {
	s := start(t, setup{}, false)
	for most, kept := range map[int64]bool{keepBytes: true, keepBytes + 1: false} {
		x := s.newExchange()
		_, err := s.enter(t.Context(), caller{}, x)
		require.NoError(t, err)
		w := x.work
		require.NoError(t, w.take(most))
		assert.Equal(t, most-slotBytes, s.memory.Used())
		s.leave(x)
		assert.Zero(t, s.memory.Used())
		if next, _ := s.workspaces.Get().(*workspace); !kept {
			assert.NotSame(t, w, next)
		}
	}
}
