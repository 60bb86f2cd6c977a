package server

import (
	"net/http"
	"sync"
	"time"

	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/telemetry"
)

// largeDocument is the size from which on a document that changes is made anew
// every documentLife at most: a wide model's takes megabytes, and time.
const (
	largeDocument = 64 << 10
	documentLife  = 5 * time.Second
)

// document is one that callers ask for at their leisure. Its text is made once
// for all who ask while it is as it is, one at a time, and is charged to the
// memory budget for as long as it is kept or anybody still takes it.
type document struct {
	mu   sync.Mutex
	last *rendering
}

// rendering is the text of a document as it was at one time.
type rendering struct {
	of    any // what it is a document of
	made  time.Time
	text  []byte
	lease memory.Lease
	users int // those who take it
}

// write answers with the document of something. One that changes is made anew,
// another only when it is of something else.
func (d *document) write(s *Server, w http.ResponseWriter, r *http.Request, of any, changes bool, build func() any) {
	text, err := d.take(s, of, changes, build)
	if err != nil {
		fail(w, r, s.noMemory(telemetry.ShedDocumentMemory, "the document"))
		return
	}
	defer d.giveBack(text)
	writeBody(w, http.StatusOK, jsonMedia, text.text)
}

func (d *document) take(s *Server, of any, changes bool, build func() any) (*rendering, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last := d.last; last == nil || last.of != of || changes && (len(last.text) < largeDocument || time.Since(last.made) > documentLife) {
		d.drop(last)
		d.last = nil
		made := &rendering{of: of, made: time.Now(), text: jsonLine(build()), lease: s.memory.Lease()}
		// A small one is the connection's.
		if err := made.lease.Set(int64(len(made.text)) - smallBytes); err != nil {
			return nil, err
		}
		d.last = made
	}
	d.last.users++
	return d.last, nil
}

func (d *document) giveBack(text *rendering) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text.users--
	if text != d.last {
		d.drop(text)
	}
}

// drop gives back the memory of what nobody takes any more.
func (d *document) drop(text *rendering) {
	if text != nil && text.users == 0 {
		_ = text.lease.Set(0)
	}
}
