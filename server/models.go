package server

import (
	"net/http"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/telemetry"
)

// modelList is the answer to GET /models.
type modelList struct {
	Models []model.Document `json:"models"`
}

// listModels answers GET /models: every model that is served, as a document
// each.
func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	list := modelList{Models: []model.Document{}}
	for _, served := range s.repository.Models() {
		list.Models = append(list.Models, served.Document(served.Golden))
	}
	writeJSON(w, http.StatusOK, "application/json", list)
}

// showModel answers GET /models/{name}: all there is to know of one model.
func (s *Server) showModel(w http.ResponseWriter, r *http.Request) {
	served, err := s.repository.Find(pathValue(r, "name"))
	if err != nil {
		fail(w, r, err)
		return
	}
	record := telemetry.RecordFrom(r.Context())
	record.ModelName, record.ModelVersion = served.Name, served.Version
	writeJSON(w, http.StatusOK, "application/json", served.Document(served.Golden))
}
