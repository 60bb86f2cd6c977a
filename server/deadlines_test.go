package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair returns both ends of a connection through a listener whose deadlines are kept.
func pair(t *testing.T) (ours *watchedConn, theirs net.Conn) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d, run := watchDeadlines(ctx, l.(*net.TCPListener))
	var running sync.WaitGroup
	running.Go(run)
	var dialer net.Dialer
	theirs, err = dialer.DialContext(ctx, "tcp", l.Addr().String())
	require.NoError(t, err)
	conn, err := d.Accept()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, errors.Join(conn.Close(), theirs.Close(), l.Close()))
		stop()
		running.Wait()
		assert.Empty(t, d.conns, "a closed connection is forgotten")
	})
	return conn.(*watchedConn), theirs
}

// read reads one byte, and returns how that ended and how long it took.
func read(c net.Conn) (took time.Duration, err error) {
	start := time.Now()
	_, err = c.Read(make([]byte, 1))
	return time.Since(start), err
}

func TestDeadlinesAreKept(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
	}{
		{"past", -time.Hour},
		{"near", 100 * time.Millisecond},
		{"far", deadlineExact + deadlineStep},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, _ := pair(t)
			require.NoError(t, ours.SetDeadline(time.Now().Add(test.after)))
			took, err := read(ours)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.GreaterOrEqual(t, took, test.after, "not before its time")
			// The next one counts again, whatever became of the last.
			require.NoError(t, ours.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			_, err = read(ours)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		})
	}
}

func TestDeadlinesAreLifted(t *testing.T) {
	for name, later := range map[string]time.Time{"none": {}, "far": time.Now().Add(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pair(t)
			require.NoError(t, ours.SetReadDeadline(time.Unix(1, 0)))
			_, err := read(ours)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, ours.SetReadDeadline(later))
			_, err = theirs.Write([]byte("x"))
			require.NoError(t, err)
			_, err = read(ours)
			require.NoError(t, err)
		})
	}
}

// A deadline that is moved on with every request is never met.
func TestDeadlinesMoveOn(t *testing.T) {
	ours, theirs := pair(t)
	for range 6 { // together longer than the first deadline
		require.NoError(t, ours.SetReadDeadline(time.Now().Add(deadlineExact+deadlineStep)))
		time.AfterFunc(deadlineExact/4, func() { _, _ = theirs.Write([]byte("x")) })
		_, err := read(ours)
		require.NoError(t, err)
	}
}

// A caller who takes nothing does not hold a write for ever.
func TestDeadlinesOfWrites(t *testing.T) {
	ours, _ := pair(t)
	require.NoError(t, ours.SetWriteDeadline(time.Now().Add(deadlineExact+deadlineStep)))
	chunk := make([]byte, 1<<20)
	var err error
	for err == nil {
		_, err = ours.Write(chunk)
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}
