package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/telemetry"
)

const (
	// streamChunk is what a stream reads at a time, and what it writes at a time and computes in one slot, but for the
	// line that goes beyond it. It is the part of a body's memory that does not count.
	streamChunk = freeBodyBytes
	// streamTimeout is how long a stream waits for a line to arrive whole, and for its caller to take a chunk of answers.
	streamTimeout = readTimeout
	// abandonPause is how long a stream that ended early is still read.
	abandonPause = 500 * time.Millisecond
)

// errStopping ends a stream because the server stops.
var errStopping = errors.New("the server is stopping")

// stream is one exchange of lines (NDJSON): each line that is not blank is
// what the body of a request could be, and is answered by a line. One
// goroutine reads, computes and writes in turn, so that a caller who does not
// read holds up his own lines alone, by TCP.
type stream struct {
	server  *Server
	served  *repository.Served
	x       *exchange
	w       http.ResponseWriter
	body    io.Reader
	control *http.ResponseController
	record  *telemetry.Record
	// ctx has the request's values and does not end: a stream ends with its input, or when it cannot be written.
	ctx context.Context
	// buf is what was read and unread the end of it that is still to be answered; ended says that no more comes.
	buf, unread []byte
	ended       bool
	// line is the one at hand, without its end, and number its place, from 1 on.
	line   []byte
	number int
	// refused is why the line that is being read will not be answered; what is left of it is passed over.
	refused error
	// shed says that the last line found no slot.
	shed bool
	// answered counts lines that are not written yet.
	answered int
}

// stream answers lines until there are no more.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, served *repository.Served) {
	x := s.newExchange()
	defer s.recycle(x)
	t := &stream{
		server: s, served: served, x: x, w: w, body: r.Body, control: http.NewResponseController(w),
		record: telemetry.RecordFrom(r.Context()), ctx: context.WithoutCancel(r.Context()),
	}
	t.record.Stream = true
	// The storage of the exchange's body, as far as it does not count, is the buffer of the stream, and x.body is set to each
	// line in it.
	x.body.Reset()
	x.body.Grow(streamChunk)
	t.buf, x.out = x.body.AvailableBuffer()[:0:streamChunk], x.out[:0]
	defer func() { x.body = *bytes.NewBuffer(t.buf[:0]) }()

	// The header Connection: close, which every answer has until its body is read, stays: net/http mixes up a connection
	// that is kept after a stream that it did not read to its end, and by then it would be too late for the header.
	_ = t.control.EnableFullDuplex()
	defer t.abandon()
	w.Header().Set("Content-Type", ndjsonMedia)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := t.run(); err != nil {
		t.fail(r.Context(), err)
		t.send()
	}
}

// abandon gives what is still to come of a stream that ended early a moment:
// net/http reads on, so that its caller reads what he was told.
func (t *stream) abandon() {
	if !t.ended {
		_ = t.control.SetReadDeadline(time.Now().Add(abandonPause))
	}
}

// run reads and answers until there is no more to read, or until no more can be
// read.
func (t *stream) run() error {
	for {
		err := t.fill()
		if errors.Is(err, io.EOF) {
			err, t.ended = nil, true
			// net/http goes on reading, to see whether the caller is there, and would take a deadline for his end.
			_ = t.control.SetReadDeadline(time.Time{})
		}
		for t.next() {
			t.compute()
			t.send()
		}
		if err != nil || t.ended {
			return err
		}
	}
}

// fill reads until there is a line end that next has not seen. A line has the
// time of streamTimeout from here on, whatever dribbles in.
func (t *stream) fill() error {
	t.compact()
	_ = t.control.SetReadDeadline(time.Now().Add(t.server.streamTimeout))
	for {
		// After the deadline is set, or the interruption would get lost.
		if t.server.input.Err() != nil {
			return errStopping
		}
		if len(t.buf) == cap(t.buf) {
			t.grow()
		}
		n, err := t.body.Read(t.buf[len(t.buf):cap(t.buf)])
		read := t.buf[len(t.buf) : len(t.buf)+n]
		t.buf = t.buf[:len(t.buf)+n]
		end := bytes.IndexByte(read, '\n')
		switch {
		case end < 0 && int64(len(t.buf)) > t.server.config.MaxBodyBytes:
			t.refused = t.tooLong()
			fallthrough
		case end < 0 && t.refused != nil:
			t.buf = t.buf[:0]
		}
		t.unread = t.buf
		if end >= 0 || err != nil {
			return err
		}
	}
}

// compact moves what is unread to the front of the buffer, which is made small
// again after a large line.
func (t *stream) compact() {
	into := t.buf[:0]
	if cap(t.buf) > keepBytes && len(t.unread) <= streamChunk {
		into = make([]byte, 0, streamChunk)
		t.server.bodyMemory.Add(-t.x.held)
		t.x.held = 0
	}
	t.buf = append(into, t.unread...)
}

// grow makes place for a line that the buffer is too small for. When there is
// none, the line is refused.
func (t *stream) grow() {
	size := min(int64(2*cap(t.buf)), t.server.config.MaxBodyBytes+1)
	more := size - freeBodyBytes - t.x.held
	if t.server.bodyMemory.Add(more) > maxBodies*t.server.config.MaxBodyBytes {
		t.server.bodyMemory.Add(-more)
		t.refused = t.server.admission.shed(telemetry.ShedBodyMemory, "overloaded", bodyMemoryDetail)
		t.buf = t.buf[:0]
		return
	}
	t.x.held += more
	t.buf = append(make([]byte, 0, size), t.buf...)
}

func (t *stream) tooLong() error {
	return &model.Error{
		Kind: model.KindTooLarge, Type: "body-too-large", Detail: "the line is longer than the server takes",
		Expected: fmt.Sprintf("at most %d bytes", t.server.config.MaxBodyBytes), Got: "more",
	}
}

// next takes the next line that is to be answered: one that is not blank, or
// longer than it may be. The last one may lack its line end.
func (t *stream) next() bool {
	for {
		line, rest, whole := bytes.Cut(t.unread, []byte{'\n'})
		if last := t.ended && (len(line) > 0 || t.refused != nil); !whole && !last {
			return false
		}
		t.line, t.unread = line, rest
		t.number++
		if int64(len(line)) > t.server.config.MaxBodyBytes {
			t.refused = t.tooLong()
		}
		if t.refused != nil || len(bytes.TrimLeft(line, " \t\r")) > 0 {
			return true
		}
	}
}

// compute answers the line at hand, and those after it, in one slot, until
// there is enough to write. A line that finds no slot is refused, and the next
// one waits first, as its caller would be asked to.
func (t *stream) compute() {
	if t.shed {
		wait(t.server.input, retryAfter*time.Second)
	}
	waited, err := t.server.admission.acquire(t.ctx, caller{})
	t.record.QueueWait += waited
	if t.shed = err != nil; t.shed {
		t.refused = nil
		t.refuse(err)
		return
	}
	defer t.server.admission.release()
	for {
		if err := t.predict(); err != nil {
			t.refuse(err)
		}
		if len(t.x.out) >= streamChunk || !t.next() {
			return
		}
	}
}

// predict answers the line at hand, as the body of a request would be.
func (t *stream) predict() error {
	x := t.x
	if err := t.refused; err != nil {
		t.refused = nil
		return err
	}
	x.body = *bytes.NewBuffer(t.line)
	if err := x.decoder.Decode(t.served.Codec, &x.body, &x.request, t.server.config.MaxBatch); err != nil {
		return err
	}
	if err := t.server.run(t.ctx, t.served, &x.request.Batch, &x.answers); err != nil {
		return x.request.Locate(err)
	}
	t.record.Rows += x.request.Batch.Rows
	t.answered++
	x.out = append(t.served.Codec.Append(x.out, &x.request, &x.answers), '\n')
	t.server.logPayload(t.ctx, t.served, &x.request.Batch, &x.answers)
	return nil
}

// refuse answers the line at hand with the problem that err is.
func (t *stream) refuse(err error) {
	e, cause := public(err)
	if cause != nil && t.record.Err == nil {
		// The first of them is told, since a stream may have any number.
		t.record.Err = cause
		t.server.log.ErrorContext(t.ctx, "a line could not be answered", "line", t.number, "error", cause)
	}
	t.problem(newProblem(outcomes[e.Kind].status, outcomes[e.Kind].title, e), e.Type)
}

func (t *stream) problem(p problem, kind string) {
	p.Line = t.number
	t.x.out = append(t.x.out, jsonLine(p)...)
	t.server.telemetry.Metrics().Streamed(kind, 1)
}

// fail says at which line a stream that could not be read to its end ends, in
// its last line.
func (t *stream) fail(ctx context.Context, err error) {
	t.number++
	e := &model.Error{Type: "malformed-body", Detail: "the body could not be read to its end"}
	status, title := http.StatusBadRequest, outcomes[model.KindMalformed].title
	switch {
	case errors.Is(err, errStopping) || t.server.input.Err() != nil:
		e = stopping("the server stops before this line, which is not answered, nor is any after it")
		status, title = http.StatusServiceUnavailable, titleStopping
	case errors.Is(err, os.ErrDeadlineExceeded):
		e = lateBody(fmt.Sprintf("the next line within %v", t.server.streamTimeout))
		status, title = http.StatusRequestTimeout, titleLate
	case ctx.Err() != nil:
		panic(http.ErrAbortHandler)
	}
	t.record.ErrorType = e.Type
	t.problem(newProblem(status, title, e), e.Type)
}

// send writes the answers there are. A caller who does not take them, or has
// gone, loses the connection.
func (t *stream) send() {
	t.server.telemetry.Metrics().Streamed("", t.answered)
	t.answered = 0
	for out := t.x.out; len(out) > 0; {
		_ = t.control.SetWriteDeadline(time.Now().Add(t.server.streamTimeout))
		n, err := t.w.Write(out[:min(len(out), streamChunk)])
		if err == nil {
			err = t.control.Flush()
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		out = out[n:]
	}
	if cap(t.x.out) > keepBytes {
		t.x.out = nil
	}
	t.x.out = t.x.out[:0]
}
