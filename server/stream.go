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

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/telemetry"
)

const (
	// streamChunk is what a stream reads at a time while there is memory for it, and what it writes at a time and computes
	// in one slot, but for the line that goes beyond it.
	streamChunk = 64 << 10
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
// read holds up his own lines alone, by TCP. While it waits for a line to begin
// it holds no buffers.
type stream struct {
	server  *Server
	served  *repository.Served
	x       *exchange // nil while no line has begun
	w       http.ResponseWriter
	input   io.Reader
	control *http.ResponseController
	record  *telemetry.Record
	// ctx has the request's values and does not end: a stream ends with its input, or when it cannot be written.
	ctx context.Context
	// first is what a stream waits with; x.body has what was read, and unread is the end of it that is still to be answered.
	first  [1]byte
	unread []byte
	// ended says that no more comes.
	ended bool
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
	t := &stream{
		server: s, served: served, w: w, input: r.Body, control: http.NewResponseController(w),
		record: telemetry.RecordFrom(r.Context()), ctx: context.WithoutCancel(r.Context()),
	}
	t.record.Stream = true
	defer t.rest()

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

// rest gives back the buffers when there is nothing in them.
func (t *stream) rest() {
	if t.x != nil {
		t.server.recycle(t.x)
		t.x = nil
	}
}

// fill reads until there is a line end that next has not seen. A line has the
// time of streamTimeout from here on, whatever dribbles in.
func (t *stream) fill() error {
	t.compact()
	_ = t.control.SetReadDeadline(time.Now().Add(t.server.streamTimeout))
	for waiting := true; ; waiting = false {
		// After the deadline is set, or the interruption would get lost.
		if t.server.input.Err() != nil {
			return errStopping
		}
		read, err := t.read(waiting)
		body := t.body()
		end := bytes.IndexByte(read, '\n')
		switch {
		case end < 0 && int64(len(*body)) > t.server.config.MaxBodyBytes:
			t.refused = t.tooLong()
			fallthrough
		case end < 0 && t.refused != nil:
			*body = (*body)[:0]
		}
		t.unread = *body
		if end >= 0 || err != nil {
			return err
		}
	}
}

// read reads once, a single byte while it waits, and returns what is new.
func (t *stream) read(waiting bool) ([]byte, error) {
	if waiting {
		n, err := t.input.Read(t.first[:])
		body := t.body()
		if n > 0 && len(*body) == cap(*body) {
			t.grow()
		}
		*body = append(*body, t.first[:n]...)
		return t.first[:n], err
	}
	body := t.body()
	// Without memory for a whole chunk there are the exchange's own bytes.
	_ = t.x.body.Grow(streamChunk)
	if len(*body) == cap(*body) {
		t.grow()
	}
	n, err := t.input.Read((*body)[len(*body):cap(*body)])
	read := (*body)[len(*body) : len(*body)+n]
	*body = (*body)[:len(*body)+n]
	return read, err
}

// body is what was read, in the exchange's buffer.
func (t *stream) body() *[]byte {
	if t.x == nil {
		t.x = t.server.newExchange()
	}
	return &t.x.body.Bytes
}

// compact moves what is unread to the front of the smallest buffer that holds
// it, and gives the others back.
func (t *stream) compact() {
	if len(t.unread) == 0 {
		t.rest()
		return
	}
	body := t.body()
	*body = append((*body)[:0], t.unread...)
	t.x.body.Shrink()
	t.x.out.Free()
}

// grow makes place for a line that the buffer is too small for. When there is
// none, the line is refused.
func (t *stream) grow() {
	body := &t.x.body
	err := body.Grow(max(len(body.Bytes)+1, min(2*cap(body.Bytes), int(t.server.config.MaxBodyBytes)+1)))
	if err != nil {
		t.refused = t.server.noMemory(telemetry.ShedBodyMemory, "the line")
		body.Bytes = body.Bytes[:0]
	}
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
	waited, err := t.server.enter(t.ctx, caller{}, t.x)
	t.record.QueueWait += waited
	if t.shed = err != nil; t.shed {
		t.refused = nil
		t.refuse(err)
		return
	}
	defer t.server.leave(t.x)
	for {
		if err := t.predict(); err != nil {
			t.refuse(err)
		}
		if len(t.x.out.Bytes) >= streamChunk || !t.next() {
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
	if err := t.server.decode(t.served, x, t.line); err != nil {
		return err
	}
	batch := &x.work.request.Batch
	if err := t.server.run(t.ctx, t.served, batch, &x.work.answers); err != nil {
		return x.work.request.Locate(err)
	}
	t.record.Rows += batch.Rows
	t.answered++
	x.encode(t.served)
	t.server.logPayload(t.ctx, t.server.payload(t.ctx, t.served, x.work))
	return nil
}

// refuse answers the line at hand with the problem that err is.
func (t *stream) refuse(err error) {
	e, cause := public(err)
	if cause != nil && t.record.Err == nil {
		// The first of them is told, since a stream may have any number.
		t.record.Err = cause
		t.server.log.ErrorContext(t.ctx, "a line could not be answered", "line", t.number, "error", clip.Text(cause.Error(), mostText))
	}
	t.problem(newProblem(outcomes[e.Kind].status, outcomes[e.Kind].title, e), e.Type)
}

func (t *stream) problem(p problem, kind string) {
	p.Line = t.number
	t.body() // a stream that ends while it waits has no buffers
	t.x.out.Bytes = append(t.x.out.Bytes, jsonLine(p)...)
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
	for out := t.x.out.Bytes; len(out) > 0; {
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
	t.x.out.Bytes = t.x.out.Bytes[:0]
}
