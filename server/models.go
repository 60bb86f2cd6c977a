package server

import (
	"net/http"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/telemetry"
)

// modelList is the answer to GET /models.
type modelList struct {
	Models []model.Document `json:"models"`
}

// listModels answers GET /models: every model that is served, as a document
// each.
func (s *Server) listModels(w http.ResponseWriter, r *http.Request) {
	// A server has one model, or none yet, and then the list is of nothing.
	var of *repository.Served
	list := modelList{Models: []model.Document{}}
	for _, served := range s.repository.Models() {
		of = served
	}
	s.documents.list.write(s, w, r, of, false, func() any {
		if of != nil {
			list.Models = append(list.Models, of.Document(of.Golden))
		}
		return list
	})
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
	s.documents.model.write(s, w, r, served, false, func() any { return served.Document(served.Golden) })
}
