// Package model is Tepal's domain: what a model is, what it takes and what it
// answers. It knows no wire protocol, no file format and no telemetry vendor;
// those are adapters that translate to and from the types here.
package model

import (
	"context"
	"fmt"
)

// Program is the compiled form of a model's graph. Implementations are
// immutable and safe for concurrent use.
type Program interface {
	// Run evaluates a batch. inputs are the graph's inputs in the order of
	// Schema.Inputs, all with the same number of rows; outputs has one tensor
	// for each of Schema.Outputs and its storage is reused. An error is a
	// fault of the program, but for an *Error of KindInvalid: a value of the
	// caller's that fits the schema and not the graph, such as text that is
	// to be a number. Its pointer is "/" and the row in the batch.
	Run(ctx context.Context, inputs, outputs []Tensor) error
}

// Model is a loaded artifact. It is immutable once built and safe for
// concurrent use.
type Model struct {
	// Name is what clients call the model by.
	Name string
	// Version is the model's version, a decimal integer as text.
	Version string
	// Digest identifies the artifact's bytes: "sha256:" and 64 hexadecimal digits.
	Digest string
	// Size is the artifact's length in bytes.
	Size int
	// Schema says what the model takes and answers.
	Schema Schema
	// Warnings are what is odd about the file, and no reason not to serve it, in
	// sentences for people.
	Warnings []string
	// Operators counts the graph's nodes by operator.
	Operators map[string]int
	// Metrics, Training and Golden come from the artifact's metadata; nil
	// where it carries none.
	Metrics  *Metrics
	Training *Training
	Golden   *Golden
	// Program evaluates the graph.
	Program Program
	// RowBytes is the most memory that Program takes for each row of a batch:
	// its results on the way and its outputs, without the inputs.
	RowBytes int64
}

// Predict evaluates the batch into p, whose storage is reused. It returns an
// *Error of KindDeadline or KindCanceled when ctx ended, one of KindInvalid, as
// Program.Run does, for values that the graph has no answer for, and any other
// error when the program itself failed.
func (m *Model) Predict(ctx context.Context, b *Batch, p *Predictions) error {
	if err := ContextError(ctx); err != nil {
		return err
	}
	b.Trim()
	p.reset(&m.Schema)
	if err := m.Program.Run(ctx, b.Inputs, p.Outputs); err != nil {
		if ended := ContextError(ctx); ended != nil {
			return ended
		}
		return fmt.Errorf("model %s version %s: %w", m.Name, m.Version, err)
	}
	return p.check(b.Rows)
}
