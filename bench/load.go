//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http/httputil"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// patience is how long anything may take that should take no time at all.
const patience = 10 * time.Second

// request is a body as it is sent, with the headers of a common client.
func request(body []byte) []byte {
	return fmt.Appendf(nil, "POST /predict HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: bench\r\nAccept: */*\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// client is one connection. It does as little as a client can, because it shares the processors with the server that it
// measures.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
	body   bytes.Buffer
}

func dial(ctx context.Context, addr string, d time.Duration) (*client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, reader: bufio.NewReader(conn)}, conn.SetDeadline(time.Now().Add(d + patience))
}

// ask sends a request and returns the answer's body, which is valid until the next.
func (c *client) ask(request []byte) ([]byte, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return nil, fmt.Errorf("the answer is %q", line)
	}
	length := -1 // in chunks
	for len(line) > len("\r\n") {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return nil, err
		}
		const name = "Content-Length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return nil, err
			}
		}
	}
	c.body.Reset()
	if length >= 0 {
		_, err = io.CopyN(&c.body, c.reader, int64(length))
		return c.body.Bytes(), err
	}
	if _, err = c.body.ReadFrom(httputil.NewChunkedReader(c.reader)); err == nil {
		_, err = c.reader.Discard(len("\r\n")) // after the last chunk
	}
	return c.body.Bytes(), err
}

// prediction is what answers are compared by.
type prediction struct {
	Label         string
	Probabilities map[string]float64
}

// check sees that the server gives the answers that are expected, but for the rounding of probabilities.
func check(ctx context.Context, addr string, requests, answers [][]byte) error {
	c, err := dial(ctx, addr, 0)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for i := range answers {
		body, err := c.ask(requests[i])
		if err != nil {
			return err
		}
		var got, want prediction
		if err := errors.Join(json.Unmarshal(body, &got), json.Unmarshal(answers[i], &want)); err != nil {
			return err
		}
		near := func(a, b float64) bool { return math.Abs(a-b) < 1e-5 }
		if got.Label != want.Label || !maps.EqualFunc(got.Probabilities, want.Probabilities, near) {
			return fmt.Errorf("%q is answered with %s and not with %s", requests[i], body, answers[i])
		}
	}
	return nil
}

// load is how requests are sent: one at a time on each connection, or when they are due. A connection that is free then
// takes the next, and one that is due while none is free waits, and its latency with it.
type load struct {
	title       string
	connections int
	rate        float64 // a second; 0: as fast as they are answered
	share       float64 // of the rate at which the requests of an earlier load were answered, in place of rate
}

// send sends requests for that long and returns how long each took, sorted.
func (l load) send(ctx context.Context, addr string, requests [][]byte, d time.Duration) ([]time.Duration, error) {
	var due chan time.Time
	if l.rate > 0 {
		due = make(chan time.Time, int(l.rate*d.Seconds())+1)
		go pace(due, l.rate, d)
	}
	var group sync.WaitGroup
	took := make([][]time.Duration, l.connections)
	faults := make([]error, l.connections)
	for i := range l.connections {
		group.Go(func() { took[i], faults[i] = ask(ctx, addr, requests, i*len(requests)/l.connections, d, due) })
	}
	group.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	if err := errors.Join(faults...); err != nil || len(all) > 0 {
		return all, err
	}
	return nil, errors.New("no request was answered")
}

// pace says when requests are due, evenly over that long, one at least. It sleeps on a thread of its own: Go's timers may be late by a
// millisecond. A request counts from when it was due, or from the end of a sleep that was late by less than that.
func pace(due chan<- time.Time, rate float64, d time.Duration) {
	runtime.LockOSThread() // never unlocked: the thread ends with this
	defer close(due)
	start := time.Now()
	for n := range max(int(rate*d.Seconds()), 1) {
		at := start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if wait := time.Until(at); wait > 0 {
			rest := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&rest, nil) // a signal makes one request early
			if now := time.Now(); now.Sub(at) < time.Millisecond {
				at = now
			}
		}
		due <- at
	}
}

// ask is the load on one connection, beginning with the given request.
func ask(ctx context.Context, addr string, requests [][]byte, first int, d time.Duration, due <-chan time.Time) ([]time.Duration, error) {
	c, err := dial(ctx, addr, d)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	took := make([]time.Duration, 0, 1<<14)
	end := time.Now().Add(d)
	next := func(now time.Time) (time.Time, bool) { return now, now.Before(end) }
	if due != nil {
		next = func(time.Time) (time.Time, bool) { at, more := <-due; return at, more }
	}
	now := time.Now()
	for at, more := next(now); more; at, more = next(now) {
		if _, err := c.ask(requests[(first+len(took))%len(requests)]); err != nil {
			return nil, err
		}
		now = time.Now()
		took = append(took, now.Sub(at))
	}
	return took, ctx.Err()
}
