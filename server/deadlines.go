package server

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How late a deadline may be, and how soon one has to be to be kept exactly.
const (
	deadlineStep  = 250 * time.Millisecond
	deadlineExact = 2 * time.Second
)

// deadlines keeps the deadlines of a listener's connections by looking at them
// four times a second. net/http sets five for each request, each of them seconds
// or minutes away and nearly all never met; a timer that is moved as often costs
// more than a prediction, and wakes a processor that has nothing to do.
type deadlines struct {
	*net.TCPListener
	now atomic.Int64 // Unix nanoseconds, at most deadlineStep ago

	mu    sync.Mutex
	conns map[*watchedConn]struct{}
	limit connectionLimit
}

// watchDeadlines returns the listener with its connections' deadlines kept
// until ctx ends: not before the last connection is closed.
func watchDeadlines(ctx context.Context, l *net.TCPListener) (d *deadlines, run func()) {
	d = &deadlines{TCPListener: l, conns: make(map[*watchedConn]struct{})}
	d.now.Store(time.Now().UnixNano())
	return d, func() {
		tick := time.NewTicker(deadlineStep)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				d.look(now)
			}
		}
	}
}

// look ends the waits of connections whose deadline has come.
func (d *deadlines) look(now time.Time) {
	d.now.Store(now.UnixNano())
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.read.look(now)
		c.write.look(now)
	}
}

// end bounds what connections wait for: reads under way end soon, and all that
// is read and written from then on at the last. It comes after the listener is
// closed.
func (d *deadlines) end(soon, last time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.read.end(soon, last)
		c.write.end(last, last)
	}
}

// Accept implements net.Listener.
func (d *deadlines) Accept() (net.Conn, error) {
	conn, err := d.AcceptTCP()
	if err != nil {
		return nil, err
	}
	c := &watchedConn{TCPConn: conn, owner: d, caller: callerSide{closed: make(chan struct{})}}
	c.read.set, c.write.set = conn.SetReadDeadline, conn.SetWriteDeadline
	c.quiet.Store(d.now.Load())
	d.mu.Lock()
	d.conns[c] = struct{}{}
	victim := d.makeRoom(c)
	d.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
	}
	return c, nil
}

// watchedConn is a connection whose deadlines may be met deadlineStep late.
type watchedConn struct {
	*net.TCPConn
	owner       *deadlines
	read, write deadline
	caller      callerSide
	// discarded says that enough was read on after a refusal. It belongs to the
	// goroutine that serves the connection.
	discarded bool
	// headers are those that are read while it is quiet, by the same goroutine.
	headers headers
	// quiet is since when it waits for a request, busy while it has one; asked
	// says that it has had one. extra is set before it is served.
	quiet atomic.Int64
	asked atomic.Bool
	extra bool
}

// SetDeadline implements net.Conn.
func (c *watchedConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *watchedConn) SetReadDeadline(t time.Time) error { return c.read.move(t, c.owner.now.Load()) }

// SetWriteDeadline implements net.Conn.
func (c *watchedConn) SetWriteDeadline(t time.Time) error { return c.write.move(t, c.owner.now.Load()) }

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	c.owner.forget(c)
	return c.TCPConn.Close()
}

// deadline is that of one direction of a connection.
type deadline struct {
	set func(time.Time) error // on the connection itself

	mu   sync.Mutex
	at   time.Time // zero: none, or one that is set
	real bool      // one is set on the connection
	last time.Time // none is later; zero: any may be
}

// move changes the deadline. One that is near or past is set at once, since
// that is how net/http and streams interrupt a read.
func (d *deadline) move(t time.Time, now int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.last.IsZero() && t.After(d.last) {
		t = d.last
	}
	if !t.IsZero() && t.UnixNano()-now < int64(deadlineExact) {
		d.at, d.real = time.Time{}, true
		return d.set(t)
	}
	d.at = t
	if !d.real {
		return nil
	}
	d.real = false
	return d.set(time.Time{})
}

// end moves the deadline to soon if it is later, and lets none be later than the
// last from then on. Where there is none, there still is none: so net/http waits
// for a caller to go away, while a handler works for him.
func (d *deadline) end(soon, last time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = last
	if d.at.After(soon) {
		d.at, d.real = time.Time{}, true
		_ = d.set(soon) // a connection that is closed needs no deadline
	}
}

// look sets the deadline on the connection when it has come.
func (d *deadline) look(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() || now.Before(d.at) {
		return
	}
	d.at, d.real = time.Time{}, true
	_ = d.set(now) // a connection that is closed needs no deadline
}
