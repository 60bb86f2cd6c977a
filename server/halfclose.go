package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// connection is a watchedConn's other half: what its caller has closed.
//
// A caller who closes his side may have gone, or may have said all that he has
// to say and wait for the answer: TCP tells the two apart only once something is
// sent to him, which one who has gone answers with a reset.
type callerSide struct {
	once   sync.Once
	closed chan struct{}
}

// Read implements net.Conn. While a handler works on a request that was read
// whole, net/http reads one byte to see whether the caller is still there, and
// cancels the request's context when it meets the end. That end is kept from it,
// until the connection is reset: an answer is on its way to somebody who may
// wait for it (https://go.dev/issue/18527). Where any other read asks for one
// byte, its deadline ends it.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.quiet.Load() != busy && c.headers.tooMany(p[:n]) {
		return 0, c.refuseHeaders()
	}
	if len(p) == 1 && errors.Is(err, io.EOF) {
		c.caller.once.Do(func() { close(c.caller.closed) })
		err = awaitReset(c.TCPConn)
	}
	return n, err
}

// CloseWrite ends our side and reads on, within bounds. net/http calls it when it
// has answered a request whose body it did not read, as that of a stream that a
// stop has ended: if the connection were closed with something unread on it, the
// answer would be lost on its way to the caller.
func (c *watchedConn) CloseWrite() error {
	err := c.TCPConn.CloseWrite()
	if err == nil && !c.discarded {
		_ = discard(c.TCPConn, c.SetReadDeadline) // it is closed next, whatever came
	}
	return err
}

// awaitReset returns when the connection is reset or closed, or its read
// deadline is over.
func awaitReset(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var reset error
	err = raw.Read(func(fd uintptr) (done bool) {
		reset = pendingError(fd)
		return reset != nil
	})
	return errors.Join(reset, err)
}

type connKey struct{}

// withConn lets handlers know the connection by the request's context.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// caller is who waits for an answer; the zero value is nobody in particular.
type caller struct {
	w http.ResponseWriter
	r *http.Request
}

// closed returns a channel that is closed when the caller has closed his side of
// the connection.
func (c caller) closed() <-chan struct{} {
	if c.r == nil {
		return nil
	}
	conn, _ := c.r.Context().Value(connKey{}).(*watchedConn)
	if conn == nil {
		return nil
	}
	return conn.caller.closed
}

// probe sends an interim answer, which a caller who waits passes over (RFC 9110,
// section 15.2) and one who has gone resets the connection for. HTTP/1.0 has none.
func (c caller) probe() {
	if c.r.ProtoAtLeast(1, 1) {
		c.w.WriteHeader(http.StatusContinue)
	}
}
