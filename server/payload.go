package server

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/tepalhq/tepal/model/repository"
)

// maxPayloadRows bounds a line of the log: of a larger request it has the first.
const maxPayloadRows = 100

// maxPayloadBytes bounds it too, but for the row that goes beyond: of wide rows
// it has fewer.
const maxPayloadBytes = 256 << 10

// payload is what is logged of the share of requests that the operator has
// asked for: instances and predictions in the form that tepal predict replays;
// nil for the others.
func (s *Server) payload(ctx context.Context, served *repository.Served, w *workspace) []slog.Attr {
	if !s.config.LogPayloads.Draw() || !s.log.Enabled(ctx, slog.LevelInfo) {
		return nil
	}
	b := &w.request.Batch
	instances, predictions := []byte{'['}, []byte{'['}
	for row := range min(b.Rows, maxPayloadRows) {
		if len(instances)+len(predictions) > maxPayloadBytes {
			break
		}
		if row > 0 {
			instances, predictions = append(instances, ','), append(predictions, ',')
		}
		instances = served.Codec.AppendInstance(instances, b, row)
		predictions = served.Codec.AppendPrediction(predictions, &w.answers, row, nil)
	}
	return []slog.Attr{
		slog.String("model", served.Name), slog.String("model_version", served.Version), slog.Int("rows", b.Rows),
		slog.Any("instances", json.RawMessage(append(instances, ']'))),
		slog.Any("predictions", json.RawMessage(append(predictions, ']'))),
	}
}

// logPayload logs what payload has returned. It comes after the answer, when the
// request holds no slot any more.
func (s *Server) logPayload(ctx context.Context, payload []slog.Attr) {
	if payload != nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "payload", payload...)
	}
}
