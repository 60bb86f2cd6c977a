package server

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/tepalhq/tepal/model"
)

// addHealth adds the probes. Liveness is the process being able to answer;
// readiness is a model that has proved its answers, on a server that is not
// about to stop. Neither ever waits.
func (s *Server) addHealth(mux *chi.Mux) {
	for _, route := range []struct {
		pattern string
		handler http.HandlerFunc
	}{
		{"/live_check", live}, {"/livez", live},
		{"/ready_check", s.ready}, {"/readyz", s.ready},
	} {
		mux.Get(route.pattern, route.handler)
		mux.Head(route.pattern, route.handler)
	}
}

func live(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, health{Status: "alive"})
}

// isProbe reports whether a path is one of addHealth's.
func isProbe(path string) bool {
	switch path {
	case "/live_check", "/livez", "/ready_check", "/readyz":
		return true
	}
	return false
}

// health is the body of a probe's answer.
type health struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Model, Version and Digest name what is ready, Golden how far it is proved.
	Model   string             `json:"model,omitempty"`
	Version string             `json:"version,omitempty"`
	Digest  string             `json:"digest,omitempty"`
	Golden  model.GoldenStatus `json:"golden,omitempty"`
}

// reasonDraining is why a server that stops is not ready.
const reasonDraining = "draining: the server is stopping"

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		writeHealth(w, http.StatusServiceUnavailable, health{Status: "not ready", Reason: reasonDraining})
		return
	}
	served, err := s.repository.Default()
	if err != nil {
		writeHealth(w, http.StatusServiceUnavailable, health{Status: "not ready", Reason: s.repository.Reason()})
		return
	}
	writeHealth(w, http.StatusOK, health{
		Status: "ready", Model: served.Name, Version: served.Version, Digest: served.Digest, Golden: served.Golden.Status,
	})
}

func writeHealth(w http.ResponseWriter, status int, h health) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, "application/json", h)
}
