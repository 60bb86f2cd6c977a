package telemetry

import (
	"io"
	"sync"
	"time"
)

// The bounds of a LogBuffer: what it holds, when it begins to write, and for how long a line waits.
const (
	logBufferBytes = 64 << 10
	logBufferBegin = logBufferBytes * 3 / 4
	logBufferDelay = 100 * time.Millisecond
)

// LogBuffer is a writer that gathers lines, because a write to a pipe costs more than all else that is done to log a
// request. What it holds is written by a goroutine of its own when it is three quarters full and 100 ms after its first line came
// in, and at once by Flush; what it holds at the moment of a SIGKILL is lost. While a write is under way lines go into a
// second buffer of the same size; when that is full too, those who write to it wait, so that no line is given up. A line
// is lost only when writing it fails. Safe for concurrent use.
type LogBuffer struct {
	writing sync.Mutex // held by the one who writes, who alone has the spare
	w       io.Writer
	spare   []byte

	mu    sync.Mutex
	lost  func(lines int) // told how many lines a failed write has lost
	held  []byte
	lines int         // held
	timer *time.Timer // writes what is held; nil before the first line
}

// NewLogBuffer returns a buffer in front of w. Options.LogBuffer has the lines counted that it loses.
func NewLogBuffer(w io.Writer) *LogBuffer {
	return &LogBuffer{
		w: w, lost: func(int) {}, held: make([]byte, 0, logBufferBytes), spare: make([]byte, 0, logBufferBytes),
	}
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
	for len(b.held) > 0 && len(b.held)+len(line) > logBufferBytes {
		b.mu.Unlock()
		err = b.Flush()
		b.mu.Lock()
	}
	before := len(b.held)
	b.held = append(b.held, line...)
	b.lines++
	switch {
	case before == 0:
		b.arm(logBufferDelay)
	case before < logBufferBegin && len(b.held) >= logBufferBegin:
		b.arm(0)
	}
	return len(line), err
}

func (b *LogBuffer) arm(delay time.Duration) {
	if b.timer == nil {
		b.timer = time.AfterFunc(delay, func() { _ = b.Flush() }) // lost was told
		return
	}
	b.timer.Reset(delay)
}

// Flush writes what is held, after what is being written.
func (b *LogBuffer) Flush() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	out, lines, lost := b.held, b.lines, b.lost
	b.held, b.lines = b.spare, 0
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	b.spare = out[:0]
	if cap(out) > logBufferBytes {
		b.spare = make([]byte, 0, logBufferBytes) // one long line does not keep its memory
	}
	if lines == 0 {
		return nil
	}
	_, err := b.w.Write(out)
	if err != nil {
		lost(lines)
	}
	return err
}
