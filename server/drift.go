package server

import (
	"net/http"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/telemetry"
	"github.com/tepalhq/tepal/telemetry/drift"
)

// watch begins to watch the model for drift.
func (s *Server) watch(m *model.Model) {
	monitor := drift.New(m, s.config.DriftWindow, func(rows int) {
		s.telemetry.Metrics().Dropped("drift", "queue-full", rows)
	})
	s.telemetry.Registry().MustRegister(monitor)
	s.lifecycle.wait.Go(func() { monitor.Run(s.watching) })
	s.drift.Store(monitor)
}

// observe shows what was asked and answered to the model's monitor.
func (s *Server) observe(m *model.Model, b *model.Batch, p *model.Predictions) {
	if monitor := s.monitorOf(m); monitor != nil {
		monitor.Observe(b, p)
	}
}

// monitorOf returns the monitor of the model, nil when it is not watched.
func (s *Server) monitorOf(m *model.Model) *drift.Monitor {
	if monitor := s.drift.Load(); monitor != nil && monitor.Model() == m {
		return monitor
	}
	return nil
}

// showDrift answers GET /models/{name}/drift: how what the model is asked and
// answers differs from what it was trained with.
func (s *Server) showDrift(w http.ResponseWriter, r *http.Request) {
	served, err := s.repository.Find(pathValue(r, "name"))
	if err != nil {
		fail(w, r, err)
		return
	}
	record := telemetry.RecordFrom(r.Context())
	record.ModelName, record.ModelVersion = served.Name, served.Version
	monitor := s.monitorOf(served.Model)
	if monitor == nil {
		fail(w, r, &model.Error{Kind: model.KindNotReady, Type: "model-not-ready", Detail: "the model is not watched for drift yet"})
		return
	}
	s.documents.drift.write(s, w, r, monitor, true, func() any { return monitor.Report() })
}
