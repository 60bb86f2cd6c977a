// Package golden proves a model: it replays the golden rows that the artifact
// carries through the decoder, the program and the encoder that requests go
// through, and compares the answers with the expected ones.
package golden

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/rows"
)

// Prove replays the model's golden rows. A model without any is only made to
// answer. Either way it has to answer two different rows together as it does
// each alone. The document says what was found; when an answer was not the
// expected one, or there was none, the error says so too: a *model.Refusal with
// the cause, or an *model.Error of KindCanceled or KindDeadline when ctx ended.
//
// Rows are answered some at a time, so memory is in proportion to the artifact,
// however wide an answer is.
func Prove(ctx context.Context, m *model.Model, c *rows.Codec) (model.GoldenDocument, error) {
	doc := model.GoldenDocument{Status: model.GoldenUnproven}
	var err error
	p := prover{ctx: ctx, model: m, codec: c}
	if m.Golden != nil && len(m.Golden.Rows) > 0 {
		doc = model.GoldenDocument{Status: model.GoldenProven, Rows: len(m.Golden.Rows)}
		err = p.replay()
	}
	if err == nil {
		err = p.tryOut()
	}
	if err != nil {
		doc.Status, doc.Reason = model.GoldenFailed, err.Error()
	}
	return doc, err
}

// prover answers rows as a server does, with memory of its own.
type prover struct {
	ctx     context.Context //nolint:containedctx // The prover lives as long as one call of Prove.
	model   *model.Model
	codec   *rows.Codec
	decoder rows.Decoder
	request rows.Request
	answers model.Predictions
	out     []byte
}

func (p *prover) replay() error {
	floors, err := check(&p.model.Schema, p.model.Golden)
	if err != nil {
		return &model.Refusal{Cause: model.CauseGoldenRows, Err: err}
	}
	golden := p.model.Golden
	for first := 0; first < len(golden.Rows); {
		chunk := golden.Rows[first:min(first+p.chunk(), len(golden.Rows))]
		instances := make([]json.RawMessage, len(chunk))
		for i := range chunk {
			instances[i] = chunk[i].Instance
		}
		predictions, err := p.answer(instances)
		if err != nil {
			return p.blame(first, err)
		}
		for i := range chunk {
			if err := p.compare(&chunk[i], predictions[i], floors); err != nil {
				return mismatch("golden row %d (%s): %w", first+i, quoted(chunk[i].Instance), err)
			}
		}
		first += len(chunk)
	}
	return nil
}

func mismatch(format string, args ...any) error {
	return &model.Refusal{Cause: model.CauseMismatch, Err: fmt.Errorf(format, args...)}
}

// The values, of instances and answers, that are in memory at once, and the
// rows: a graph may compute far more for a row than it answers.
const (
	chunkValues = 1 << 16
	chunkRows   = 16
)

// chunk is how many rows are answered at once: at least two, since a fault can
// lie in rows that are answered together.
func (p *prover) chunk() int {
	width := 1
	for _, in := range p.model.Schema.Inputs {
		width += in.Columns
	}
	for _, out := range p.model.Schema.Outputs {
		if out.Columns == 0 {
			return 2
		}
		width += out.Columns
	}
	return min(max(chunkValues/width, 2), chunkRows)
}

// errInstances is an instance that the schema does not take.
var errInstances = errors.New("the instance does not fit the schema")

// blame finds the golden row, at or after the first of a chunk, that is not
// answered; err is what the chunk came to.
func (p *prover) blame(first int, err error) error {
	golden := p.model.Golden
	for i := first; i < min(first+p.chunk(), len(golden.Rows)); i++ {
		if _, alone := p.answer([]json.RawMessage{golden.Rows[i].Instance}); alone != nil {
			return p.refuse(alone, fmt.Errorf("golden row %d (%s): %w", i, quoted(golden.Rows[i].Instance), explain(alone)))
		}
	}
	return p.refuse(err, fmt.Errorf("golden rows from %d on are answered one by one and not together: %w", first, err))
}

// explain says of a faulty instance, which was the only one, what is wrong
// with it.
func explain(err error) error {
	e, ok := errors.AsType[*model.Error](err)
	if !ok || e.Kind != model.KindInvalid {
		return err
	}
	plain := *e
	plain.Pointer = strings.TrimPrefix(e.Pointer, "/0")
	return fmt.Errorf("%w: expected %s, got %s", &plain, e.Expected, e.Got)
}

// refuse gives an error its cause, by what it came from.
func (p *prover) refuse(from, err error) error {
	switch {
	case p.ctx.Err() != nil:
		return model.ContextError(p.ctx)
	case errors.Is(from, errInstances):
		return &model.Refusal{Cause: model.CauseGoldenRows, Err: err}
	default:
		return &model.Refusal{Cause: model.CauseNoAnswer, Err: err}
	}
}

// tryOut has the model answer two different rows, alone and together.
func (p *prover) tryOut() error {
	pair, alone, err := p.pair()
	if err != nil {
		return p.refuse(err, fmt.Errorf("an example instance is not answered: %w", explain(err)))
	}
	together, err := p.answer(pair)
	if err != nil {
		return p.refuse(err, fmt.Errorf("two instances are answered one by one and not together: %w", err))
	}
	for i := range pair {
		if !bytes.Equal(alone[i], together[i]) {
			return &model.Refusal{Cause: model.CauseNoAnswer, Err: fmt.Errorf("the instance %s is answered by %s alone, and by %s with another one",
				quoted(pair[i]), quoted(alone[i]), quoted(together[i]))}
		}
	}
	return nil
}

// pair finds two instances that the model answers, different ones where there
// are, and their answers. It takes golden rows, and examples where those are
// too few. An example that the model refuses as a caller's fault, such as a 0
// to divide by, is passed over.
func (p *prover) pair() (pair, alone []json.RawMessage, err error) {
	candidates, err := examples(&p.model.Schema)
	if err != nil {
		return nil, nil, err
	}
	if p.model.Golden != nil && len(p.model.Golden.Rows) > 0 {
		golden := p.model.Golden.Rows
		second := max(slices.IndexFunc(golden, func(r model.GoldenRow) bool { return !bytes.Equal(r.Instance, golden[0].Instance) }), 0)
		candidates = append([]json.RawMessage{golden[0].Instance, golden[second].Instance}, candidates...)
	}
	var refused error
	for _, instance := range candidates {
		if len(pair) == 1 && bytes.Equal(instance, pair[0]) {
			continue
		}
		answers, err := p.answer([]json.RawMessage{instance})
		if model.KindOf(err) == model.KindInvalid {
			refused = err
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if pair, alone = append(pair, instance), append(alone, answers...); len(pair) == 2 {
			return pair, alone, nil
		}
	}
	if len(pair) == 0 {
		return nil, nil, refused
	}
	return append(pair, pair[0]), append(alone, alone[0]), nil
}

// answer sends instances through the path of a request, and returns the answer
// to each.
func (p *prover) answer(instances []json.RawMessage) ([]json.RawMessage, error) {
	body, err := json.Marshal(instances)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInstances, err)
	}
	if err := p.decoder.Decode(p.codec, bytes.NewBuffer(body), &p.request, len(instances)); err != nil {
		return nil, fmt.Errorf("%w: %w", errInstances, err)
	}
	if err := p.model.Predict(p.ctx, &p.request.Batch, &p.answers); err != nil {
		return nil, err
	}
	p.request.Warnings = p.request.Warnings[:0]
	p.out = p.codec.Append(p.out[:0], &p.request, &p.answers)
	var predictions []json.RawMessage
	if err := json.Unmarshal(p.out, &predictions); err != nil {
		return nil, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return predictions, model.ContextError(p.ctx)
}

// mostQuoted is how much of a text of the file, or of an answer, a reason repeats, in bytes.
const mostQuoted = 200

func quoted(text []byte) string {
	return clip.Text(string(text[:min(len(text), 2*mostQuoted)]), mostQuoted)
}
