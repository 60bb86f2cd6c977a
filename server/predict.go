package server

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/model/rows"
	"github.com/tepalhq/tepal/telemetry"
)

// exchange is the working memory of one prediction request, kept for the next.
type exchange struct {
	body bytes.Buffer
	// held is what the body has taken of the server's memory for bodies.
	held    int64
	decoder rows.Decoder
	request rows.Request
	answers model.Predictions
	out     []byte
}

// keepBytes is the largest buffer that is kept between requests: a single huge
// batch must not hold its memory for ever.
const keepBytes = 1 << 20

func (s *Server) newExchange() *exchange {
	if x, ok := s.exchanges.Get().(*exchange); ok {
		return x
	}
	return new(exchange)
}

func (s *Server) recycle(x *exchange) {
	s.bodyMemory.Add(-x.held)
	x.held = 0
	if x.body.Cap() <= keepBytes && cap(x.out) <= keepBytes {
		s.exchanges.Put(x)
	}
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
	if err := s.answer(r.Context(), caller{w, r}, served, x); err != nil {
		fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, "application/json", x.out)
	s.logPayload(r.Context(), served, &x.request.Batch, &x.answers)
}

// answer turns the body into the answer while it holds a slot.
func (s *Server) answer(ctx context.Context, from caller, served *repository.Served, x *exchange) error {
	record := telemetry.RecordFrom(ctx)
	record.Event(telemetry.EventRead)
	waited, err := s.admission.acquire(ctx, from)
	record.QueueWait = waited
	if err != nil {
		return err
	}
	defer s.admission.release()
	record.Event(telemetry.EventSlot)
	if err := x.decoder.Decode(served.Codec, &x.body, &x.request, s.config.MaxBatch); err != nil {
		return err
	}
	record.Event(telemetry.EventDecoded)
	record.Rows = x.request.Batch.Rows
	if err := s.evaluate(ctx, served, &x.request.Batch, &x.answers); err != nil {
		return x.request.Locate(err)
	}
	x.out = append(served.Codec.Append(x.out[:0], &x.request, &x.answers), '\n')
	record.Event(telemetry.EventEncoded)
	return nil
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
