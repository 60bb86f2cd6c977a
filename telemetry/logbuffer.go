package telemetry

import (
	"io"
	"sync"
	"time"
)

// The bounds of a LogBuffer: what it holds, what it holds besides for urgent lines alone, when it begins to write, for how
// long a line waits, and for how long anybody waits for a write.
const (
	logBufferBytes   = 64 << 10
	logBufferReserve = 64 << 10
	logBufferBegin   = logBufferBytes * 3 / 4
	logBufferDelay   = 100 * time.Millisecond
	logPatience      = time.Second
)

// LogBuffer is a writer that gathers lines, because a write to a pipe costs more than all else that is done to log a
// request. What it holds is written by a goroutine of its own when it is three quarters full, 100 ms after its first
// line came in, and at once by Start and Flush; what it holds at the moment of a SIGKILL is lost. While a write is under
// way lines go into a second buffer of the same size; when that is full too, further lines are lost and counted: whoever
// reads the log slowly, or no longer, must delay neither requests nor the server's stop. Nobody waits but in Flush, and
// urgent lines have 64 KiB more. Safe for concurrent use.
type LogBuffer struct {
	w io.Writer

	mu      sync.Mutex
	lost    func(reason string, lines int) // told of the lines that were given up
	held    []byte
	spare   []byte // while nothing is being written
	lines   int    // held
	timer   *time.Timer
	writing bool
	stuck   bool          // somebody has waited for the write under way in vain
	next    chan struct{} // closed when what is held is written
	current chan struct{} // closed when what is being written is
	err     error         // of the last write
}

// NewLogBuffer returns a buffer in front of w. Options.LogBuffer has the lines counted that it loses.
func NewLogBuffer(w io.Writer) *LogBuffer {
	return &LogBuffer{
		w: w, lost: func(string, int) {}, next: make(chan struct{}),
		held: make([]byte, 0, logBufferBytes), spare: make([]byte, 0, logBufferBytes),
	}
}

func (b *LogBuffer) onLost(lost func(reason string, lines int)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = lost
}

// Write takes one line, and never waits. It returns no error: a line that is lost is counted.
func (b *LogBuffer) Write(line []byte) (int, error) { return b.take(line, logBufferBytes) }

// urgentLines is a LogBuffer's writer for lines that have its reserve.
type urgentLines struct{ *LogBuffer }

// Write takes one line, as LogBuffer's does.
func (u urgentLines) Write(line []byte) (int, error) {
	return u.take(line, logBufferBytes+logBufferReserve)
}

// take holds a line, unless there would be more than the limit then. An empty buffer takes a line of any length.
func (b *LogBuffer) take(line []byte, limit int) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.held)
	if before > 0 && before+len(line) > limit {
		b.begin()
		b.lost("queue-full", 1)
		return len(line), nil
	}
	b.held = append(b.held, line...)
	b.lines++
	switch {
	case before < logBufferBegin && len(b.held) >= logBufferBegin:
		b.begin()
	case before == 0:
		b.arm()
	}
	return len(line), nil
}

// Start begins to write what is held, and does not wait.
func (b *LogBuffer) Start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begin()
}

// Flush writes what is held, and waits until it is written, for a second at most. Its error is that of the write.
func (b *LogBuffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	written := b.current
	if len(b.held) > 0 {
		written = b.next
		b.begin()
	}
	if written == nil || !b.wait(written) {
		return nil
	}
	return b.err
}

// arm sees to it that what is held is written in a while.
func (b *LogBuffer) arm() {
	if b.timer == nil {
		b.timer = time.AfterFunc(logBufferDelay, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.begin()
		})
		return
	}
	b.timer.Reset(logBufferDelay)
}

// begin starts to write what is held, unless somebody does already.
func (b *LogBuffer) begin() {
	if b.writing || len(b.held) == 0 {
		return
	}
	b.writing = true
	go b.write()
}

// wait gives the lock up until the event, and reports whether it came before patience was at an end.
func (b *LogBuffer) wait(event <-chan struct{}) bool {
	if b.stuck {
		return false
	}
	b.mu.Unlock()
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-event:
		b.mu.Lock()
		return true
	case <-timer.C:
		b.mu.Lock()
		b.stuck = b.writing
		return false
	}
}

// write writes until nothing is held.
func (b *LogBuffer) write() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.held) > 0 {
		out, lines := b.held, b.lines
		b.held, b.lines = b.spare, 0
		b.current, b.next = b.next, make(chan struct{})
		b.mu.Unlock()
		_, err := b.w.Write(out)
		b.mu.Lock()
		b.stuck, b.err = false, err
		if err != nil {
			b.lost("write-failed", lines)
		}
		b.spare = out[:0]
		if cap(out) > logBufferBytes {
			b.spare = make([]byte, 0, logBufferBytes) // one long line does not keep its memory
		}
		close(b.current)
	}
	b.writing, b.current = false, nil
}
