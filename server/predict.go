package server

import (
	"bytes"
	"context"
	"net/http"

	"go.opentelemetry.io/otel/codes"

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
	w.Header().Set("Connection", "close")
	read := false
	defer func() {
		if !read {
			abandonBody(w)
		}
	}()
	served, err := s.repository.Default()
	if err != nil {
		fail(w, r, err)
		return
	}
	record := telemetry.RecordFrom(r.Context())
	record.ModelName, record.ModelVersion = served.Name, served.Version
	if !takesJSON(w, r) || !sendsJSON(w, r) {
		return
	}
	if err := s.admission.offer(); err != nil {
		fail(w, r, err)
		return
	}
	x := s.newExchange()
	defer s.recycle(x)
	if read = s.readBody(w, r, x); !read {
		return
	}
	if !s.draining.Load() {
		w.Header().Del("Connection")
	}
	if err := s.answer(r.Context(), served, x); err != nil {
		fail(w, r, err)
		return
	}
	writeBody(w, http.StatusOK, "application/json", x.out)
}

// answer turns the body into the answer while it holds a slot.
func (s *Server) answer(ctx context.Context, served *repository.Served, x *exchange) error {
	record := telemetry.RecordFrom(ctx)
	waited, err := s.admission.acquire(ctx)
	record.QueueWait = waited
	if err != nil {
		return err
	}
	defer s.admission.release()
	if err := x.decoder.Decode(served.Codec, &x.body, &x.request, s.config.MaxBatch); err != nil {
		return err
	}
	record.Rows = x.request.Batch.Rows
	if err := s.evaluate(ctx, served.Model, &x.request.Batch, &x.answers); err != nil {
		return err
	}
	x.out = append(served.Codec.Append(x.out[:0], &x.request, &x.answers), '\n')
	return nil
}

// evaluate is the one place where a model predicts for a client, whatever the
// protocol: with its span and its counts.
func (s *Server) evaluate(ctx context.Context, m *model.Model, b *model.Batch, p *model.Predictions) error {
	ctx, span := s.telemetry.StartPrediction(ctx, m.Name, m.Version, m.Digest, b.Rows)
	defer span.End()
	if err := m.Predict(ctx, b, p); err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, "the prediction failed")
		return err
	}
	s.count(m, p)
	return nil
}

// count counts the predictions by label.
func (s *Server) count(m *model.Model, p *model.Predictions) {
	metrics := s.metrics.Load()
	if m.Schema.Classes.Len() == 0 {
		metrics.Predicted(0, p.Rows)
		return
	}
	for i := range p.Rows {
		if class := p.Class(i); class >= 0 {
			metrics.Predicted(class, 1)
		}
	}
}
