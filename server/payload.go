package server

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
)

// maxPayloadRows bounds a line of the log: of a larger request it has the first.
const maxPayloadRows = 100

// logPayload logs the instances and the predictions of the share of requests
// that the operator has asked for, in the form that tepal predict replays. It
// comes after the answer, when the request holds no slot any more.
func (s *Server) logPayload(ctx context.Context, served *repository.Served, b *model.Batch, p *model.Predictions) {
	if !s.config.LogPayloads.Draw() || !s.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	instances, predictions := []byte{'['}, []byte{'['}
	for row := range min(b.Rows, maxPayloadRows) {
		if row > 0 {
			instances, predictions = append(instances, ','), append(predictions, ',')
		}
		instances = served.Codec.AppendInstance(instances, b, row)
		predictions = served.Codec.AppendPrediction(predictions, p, row, nil)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "payload",
		slog.String("model", served.Name), slog.String("model_version", served.Version), slog.Int("rows", b.Rows),
		slog.Any("instances", json.RawMessage(append(instances, ']'))),
		slog.Any("predictions", json.RawMessage(append(predictions, ']'))))
}
