package server

import (
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/tepalhq/tepal/telemetry"
)

// opsConnections is how many connections the ops address takes.
const opsConnections = 64

// spareConnections is how many connections beyond the limit are taken, to be
// told so. Probes are answered on them.
func spareConnections(limit int) int { return max(16, limit/16) }

// silence is how long a connection without a request may be in the way of
// others. A client sends its first request with the handshake or right after it.
const silence = time.Second

// connectionLimit is how many connections a listener takes. Beyond it the one
// that has been idle for longest is closed, or else one that has not sent its
// first request for long; when there is neither, a new one is extra: what it
// asks is refused, probes excepted.
type connectionLimit struct {
	most   int
	closed func(telemetry.ClosedReason)

	// Under the lock of deadlines: extra are the connections beyond the limit,
	// in the order they came, and looked is when there was last nobody to close.
	extra  []*watchedConn
	looked int64
}

// busy is in place of the time since when a connection is quiet.
const busy = 0

// makeRoom takes in a connection that was just added, and returns the one to
// close in its place, if there are too many.
func (d *deadlines) makeRoom(c *watchedConn) *watchedConn {
	l := &d.limit
	if l.most == 0 || len(d.conns)-len(l.extra) <= l.most {
		return nil
	}
	if victim := d.quietest(c); victim != nil {
		return victim
	}
	c.extra = true
	l.extra = append(l.extra, c)
	if len(l.extra) <= spareConnections(l.most) {
		return nil
	}
	l.closed(telemetry.ClosedExtra)
	return l.extra[0]
}

// quietest returns the connection that is closed in favour of c. When there is
// none it is not looked for again before the clock of deadlines moves.
func (d *deadlines) quietest(c *watchedConn) *watchedConn {
	const enough = 64 // idle connections to choose from, in the map's random order
	now := d.now.Load()
	if d.limit.looked == now {
		return nil
	}
	var idle, silent *watchedConn
	found := 0
	for other := range d.conns {
		quiet := other.quiet.Load()
		switch {
		case other == c || other.extra || quiet == busy:
		case other.asked.Load():
			if idle == nil || quiet < idle.quiet.Load() {
				idle = other
			}
			found++
		case quiet <= now-int64(silence) && (silent == nil || quiet < silent.quiet.Load()):
			silent = other
		}
		if found == enough {
			break
		}
	}
	switch {
	case idle != nil:
		d.limit.closed(telemetry.ClosedIdle)
		return idle
	case silent != nil:
		d.limit.closed(telemetry.ClosedSilent)
		return silent
	}
	d.limit.looked = now
	return nil
}

// forget removes a connection that is closed.
func (d *deadlines) forget(c *watchedConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	if c.extra {
		d.limit.extra = slices.DeleteFunc(d.limit.extra, func(other *watchedConn) bool { return other == c })
	}
}

// count returns the number of connections that are open.
func (d *deadlines) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns)
}

// noteState is the ConnState of an HTTP server: it keeps when a connection
// became quiet.
func noteState(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*watchedConn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		c.asked.Store(true)
		c.quiet.Store(busy)
	case http.StateIdle:
		c.headers = headers{}
		c.quiet.Store(c.owner.now.Load())
	}
}

// refuseExtra refuses what is asked on connections beyond the limit, probes
// excepted, and has them closed.
func (s *Server) refuseExtra(next http.Handler) http.Handler {
	refuse := s.telemetry.Unmatched(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, s.admission.shed(telemetry.ShedConnections, "overloaded", "the server has as many connections as it takes"))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(*watchedConn); !ok || !conn.extra {
			next.ServeHTTP(w, r)
			return
		}
		w.Header()["Connection"] = closeConnection
		if isProbe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		refuse.ServeHTTP(w, r)
	})
}
