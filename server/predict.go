package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/model/rows"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/telemetry"
)

// exchange is the memory of one request, kept for the next: a body and an
// answer, of which the first bytes belong to the connection.
type exchange struct {
	body, out memory.Buffer
	// reader is what is decoded of the body.
	reader bytes.Buffer
	// work is there while the request holds a slot.
	work *workspace
}

// workspace is what a request computes with while it holds a slot.
type workspace struct {
	decoder rows.Decoder
	request rows.Request
	answers model.Predictions
	// lease is for what goes beyond the slot's own memory, and most is the most it was.
	lease memory.Lease
	most  int64
}

func (s *Server) newExchange() *exchange {
	if x, ok := s.exchanges.Get().(*exchange); ok {
		return x
	}
	return &exchange{body: s.memory.Buffer(smallBytes), out: s.memory.Buffer(smallBytes)}
}

// recycle gives back all that the request has taken.
func (s *Server) recycle(x *exchange) {
	x.body.Free()
	x.out.Free()
	x.reader = bytes.Buffer{}
	s.exchanges.Put(x)
}

// enter takes a slot, and memory to compute with. Whoever gets it calls leave.
func (s *Server) enter(ctx context.Context, from caller, x *exchange) (waited time.Duration, err error) {
	if waited, err = s.admission.acquire(ctx, from); err != nil {
		return waited, err
	}
	var ok bool
	if x.work, ok = s.workspaces.Get().(*workspace); !ok {
		x.work = &workspace{lease: s.memory.Lease()}
	}
	return waited, nil
}

// leave gives back what enter took.
func (s *Server) leave(x *exchange) {
	w := x.work
	x.work = nil
	_ = w.lease.Set(0)
	if w.most <= keepBytes {
		s.workspaces.Put(w)
	}
	s.admission.release()
}

// take makes the memory that is computed with n bytes.
func (w *workspace) take(n int64) error {
	if err := w.lease.Set(n - slotBytes); err != nil {
		return err
	}
	w.most = max(w.most, n)
	return nil
}

// predict answers POST /predict: Tepal's own front door. Package rows has the
// forms of bodies and answers.
func (s *Server) predict(w http.ResponseWriter, r *http.Request) {
	// A refusal does not wait for the body that it refuses to read, and the
	// connection is of no use with a body still on its way.
	w.Header()["Connection"] = closeConnection
	served, err := s.repository.Default()
	if err != nil {
		fail(w, r, err)
		return
	}
	record := telemetry.RecordFrom(r.Context())
	record.ModelName, record.ModelVersion = served.Name, served.Version
	media, ok := takes(w, r)
	if !ok || !sends(w, r, media) {
		return
	}
	if err := s.admission.offer(); err != nil {
		fail(w, r, err)
		return
	}
	if media == ndjsonMedia {
		s.stream(w, r, served)
		return
	}
	x := s.newExchange()
	defer s.recycle(x)
	if !s.readBody(w, r, x) {
		return
	}
	if !s.draining.Load() {
		delete(w.Header(), "Connection")
	}
	payload, err := s.answer(r.Context(), caller{w, r}, served, x)
	if err != nil {
		fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, "application/json", x.out.Bytes)
	s.logPayload(r.Context(), payload)
}

// answer turns the body into the answer while it holds a slot.
func (s *Server) answer(ctx context.Context, from caller, served *repository.Served, x *exchange) (payload []slog.Attr, err error) {
	record := telemetry.RecordFrom(ctx)
	record.Event(telemetry.EventRead)
	waited, err := s.enter(ctx, from, x)
	record.QueueWait = waited
	if err != nil {
		return nil, err
	}
	defer s.leave(x)
	record.Event(telemetry.EventSlot)
	if err := s.decode(served, x, x.body.Bytes); err != nil {
		return nil, err
	}
	x.body.Free()
	record.Event(telemetry.EventDecoded)
	record.Rows = x.work.request.Batch.Rows
	if err := s.evaluate(ctx, served, &x.work.request.Batch, &x.work.answers); err != nil {
		return nil, x.work.request.Locate(err)
	}
	x.encode(served)
	record.Event(telemetry.EventEncoded)
	return s.payload(ctx, served, x.work), nil
}

// decode reads a body, or a line of one, and takes the memory for that and for
// its answer. It is the one way to a batch, whatever the protocol.
func (s *Server) decode(served *repository.Served, x *exchange, body []byte) error {
	w := x.work
	if err := w.take(served.Codec.BatchBytes(len(body), s.config.MaxBatch)); isFull(err) {
		return s.noMemory(telemetry.ShedBatchMemory, "the batch")
	} else if err != nil {
		return batchTooLarge()
	}
	x.reader = *bytes.NewBuffer(body)
	if err := w.decoder.Decode(served.Codec, &x.reader, &w.request, s.config.MaxBatch); err != nil {
		return err
	}
	return s.charge(served, x, len(body))
}

// encode appends the answer, which there is room for since decode.
func (x *exchange) encode(served *repository.Served) {
	x.out.Bytes = append(served.Codec.Append(x.out.Bytes, &x.work.request, &x.work.answers), '\n')
}

// evaluate predicts for a request, with its span.
func (s *Server) evaluate(ctx context.Context, served *repository.Served, b *model.Batch, p *model.Predictions) error {
	record := telemetry.RecordFrom(ctx)
	span := record.StartPrediction(served.Name, served.Version, served.Digest, b.Rows, b.Rows)
	defer span.End()
	err := s.run(ctx, served, b, p)
	if err != nil {
		span.Fail("the prediction failed")
	}
	return err
}

// run is the one place where a model predicts for a client, whatever the
// protocol: with its metrics.
func (s *Server) run(ctx context.Context, served *repository.Served, b *model.Batch, p *model.Predictions) error {
	start := time.Now()
	if err := served.Predict(ctx, b, p); err != nil {
		return err
	}
	metrics := s.metrics.Load()
	metrics.Ran(b.Rows, time.Since(start))
	countPredictions(metrics, served.Model, p)
	s.observe(served.Model, b, p)
	return nil
}

// countPredictions counts the predictions by label, and notes how sure the
// model was of each.
func countPredictions(metrics *telemetry.ModelMetrics, m *model.Model, p *model.Predictions) {
	if m.Schema.Classes.Len() == 0 {
		metrics.Predicted(0, p.Rows)
		return
	}
	for i := range p.Rows {
		if class := p.Class(i); class >= 0 {
			metrics.Predicted(class, 1)
		}
		if confidence, ok := p.Confidence(i); ok {
			metrics.Confident(confidence)
		}
	}
}
