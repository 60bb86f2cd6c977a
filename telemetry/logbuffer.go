package telemetry

import (
	"io"
	"sync"
	"time"
)

// The bounds of a LogBuffer: what it holds, and for how long.
const (
	logBufferBytes = 64 << 10
	logBufferDelay = 100 * time.Millisecond
)

// LogBuffer is a writer that gathers lines, because a write to a pipe costs more than all else that is done to log a
// request. What it holds is written when it is full, 100 ms after its first line came in, and by Flush and Close; what it
// holds at the moment of a SIGKILL is lost. A writer that blocks makes those wait who write to the buffer, so that no line
// is given up; a line is lost only when writing it fails. Safe for concurrent use.
type LogBuffer struct {
	w io.Writer

	mu    sync.Mutex
	lost  func(lines int) // told how many lines a failed write has lost
	held  []byte
	lines int         // held
	timer *time.Timer // writes what is held; nil while nothing is
}

// NewLogBuffer returns a buffer in front of w. Options.LogBuffer has the lines counted that it loses.
func NewLogBuffer(w io.Writer) *LogBuffer {
	return &LogBuffer{w: w, lost: func(int) {}, held: make([]byte, 0, logBufferBytes)}
}

func (b *LogBuffer) onLost(lost func(lines int)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = lost
}

// Write takes one line. Its error is that of lines which had to be written to make room.
func (b *LogBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if len(b.held)+len(line) > logBufferBytes {
		err = b.flush()
	}
	b.held = append(b.held, line...)
	b.lines++
	if b.timer == nil {
		b.timer = time.AfterFunc(logBufferDelay, func() { _ = b.Flush() }) // lost was told
	}
	return len(line), err
}

// Flush writes what is held.
func (b *LogBuffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

func (b *LogBuffer) flush() error {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.held) == 0 {
		return nil
	}
	_, err := b.w.Write(b.held)
	if err != nil {
		b.lost(b.lines)
	}
	b.lines = 0
	b.held = b.held[:0]
	if cap(b.held) > logBufferBytes {
		b.held = make([]byte, 0, logBufferBytes) // one long line does not keep its memory
	}
	return err
}
