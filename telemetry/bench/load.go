//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync"
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
	length := -1
	for len(line) > len("\r\n") {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	body, err := c.reader.Peek(length)
	if err != nil {
		return nil, err
	}
	_, err = c.reader.Discard(length)
	return body, err
}

// check sees that the server gives the answers that are expected.
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
		var got, want any
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		if err := json.Unmarshal(answers[i], &want); err != nil {
			return err
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%q is answered with %s and not with %s", requests[i], body, answers[i])
		}
	}
	return nil
}

// load sends requests for that long, one at a time on each connection, and returns how long each took, sorted.
func load(ctx context.Context, addr string, requests [][]byte, connections int, d time.Duration) ([]time.Duration, error) {
	var group sync.WaitGroup
	took := make([][]time.Duration, connections)
	faults := make([]error, connections)
	for i := range connections {
		group.Go(func() { took[i], faults[i] = ask(ctx, addr, requests, i*len(requests)/connections, d) })
	}
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return nil, err
		}
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, nil
}

// ask is the load on one connection, beginning with the given request.
func ask(ctx context.Context, addr string, requests [][]byte, first int, d time.Duration) ([]time.Duration, error) {
	c, err := dial(ctx, addr, d)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	took := make([]time.Duration, 0, 1<<14)
	for at, end := time.Now(), time.Now().Add(d); at.Before(end); {
		if _, err := c.ask(requests[(first+len(took))%len(requests)]); err != nil {
			return nil, err
		}
		now := time.Now()
		took = append(took, now.Sub(at))
		at = now
	}
	return took, ctx.Err()
}
