// Package repository loads, proves and holds the models that a process serves.
// A model that cannot be loaded or proved has its place here too, with the
// reason, so that a server can say why it is not ready.
package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/tepalhq/tepal/clip"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/golden"
	"github.com/tepalhq/tepal/model/onnx"
	"github.com/tepalhq/tepal/model/rows"
)

// Source says where an artifact comes from.
type Source struct {
	// Path is the artifact's file; empty when Data holds it.
	Path string
	// Name is the model's name when the artifact has none. Empty means the
	// file's name without its ending.
	Name string
	// Data is an artifact that is already in memory.
	Data []byte
	// Digest, when not empty, is the only digest that is taken.
	Digest string
	// RequireGolden refuses an artifact without golden rows.
	RequireGolden bool
}

// MaxArtifactBytes is the largest artifact that is read.
const MaxArtifactBytes = 1 << 30

// Served is a model that has proved its answers. It is immutable.
type Served struct {
	*model.Model
	Codec  *rows.Codec
	Golden model.GoldenDocument
}

// Open reads, loads and proves an artifact. Its error is fit for an operator:
// it begins with a word for the cause, names the file and the fault, and is of
// bounded length. When only the proof failed, the model is returned beside the
// error.
//
// When ctx ends, Open returns at once, with an *model.Error of KindCanceled or
// KindDeadline; a file that is still being read is left to itself.
func Open(ctx context.Context, s Source) (*Served, error) {
	type result struct {
		served *Served
		err    error
	}
	opened := make(chan result, 1)
	go func() {
		served, err := open(ctx, s)
		opened <- result{served, err}
	}()
	select {
	case r := <-opened:
		return r.served, r.err
	case <-ctx.Done():
		return nil, model.ContextError(ctx)
	}
}

func open(ctx context.Context, s Source) (*Served, error) {
	data, err := s.read()
	if err != nil {
		return nil, err
	}
	if got := onnx.Digest(data); s.Digest != "" && got != s.Digest {
		return nil, fmt.Errorf("digest differs: %s has %s and %s is demanded", s, got, s.Digest)
	}
	m, err := onnx.Load(data, s.name())
	if err != nil {
		return nil, refused(s, model.CauseInvalid, err)
	}
	if err := model.ContextError(ctx); err != nil {
		return nil, err
	}
	served := &Served{Model: m, Codec: rows.New(m)}
	served.Golden, err = golden.Prove(ctx, m, served.Codec)
	if err == nil && s.RequireGolden && served.Golden.Status != model.GoldenProven {
		err = &model.Refusal{Cause: model.CauseUnproven, Err: errors.New("it carries no golden rows, and they are demanded")}
	}
	if err != nil {
		return served, refused(s, model.CauseNoAnswer, err)
	}
	return served, nil
}

// maxReason bounds a reason: an error can quote much of a file.
const maxReason = 2000

// refused is the error for a source that is not served, with its cause, or
// otherwise with another one. That the context ended is no refusal.
func refused(s Source, otherwise model.Cause, err error) error {
	if kind := model.KindOf(err); kind == model.KindCanceled || kind == model.KindDeadline {
		return err
	}
	cause := model.CauseOf(err, otherwise)
	text := err.Error()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return &model.Refusal{Cause: cause, Err: fmt.Errorf("%s: %s: %s", cause, s, text)}
}

// String names the source for people.
func (s Source) String() string {
	if s.Path == "" {
		return "the embedded model " + s.Name
	}
	return "the model file " + s.Path
}

func (s Source) name() string {
	if s.Name != "" {
		return s.Name
	}
	return strings.TrimSuffix(filepath.Base(s.Path), ".onnx")
}

func (s Source) read() ([]byte, error) {
	if s.Path == "" {
		return s.Data, nil
	}
	f, err := os.Open(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("missing: %s does not exist", s)
	}
	if err != nil {
		return nil, fmt.Errorf("unreadable: %s cannot be opened: %w", s, err)
	}
	defer f.Close()
	var data []byte
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		return nil, fmt.Errorf("unreadable: %s is a directory where an ONNX file is needed", s)
	case info.Size() > MaxArtifactBytes:
		return nil, fmt.Errorf("unreadable: %s has %d bytes, more than the %d that are read", s, info.Size(), MaxArtifactBytes)
	default:
		data, err = io.ReadAll(io.LimitReader(f, MaxArtifactBytes))
	}
	if err != nil {
		return nil, fmt.Errorf("unreadable: %s cannot be read: %w", s, err)
	}
	return data, nil
}

// Repository holds the model that a server serves, or the reason why it serves
// none. It is safe for concurrent use; readers never wait.
type Repository struct {
	state atomic.Pointer[state]
}

type state struct {
	served *Served
	reason string
}

// New returns a repository whose model is still to be loaded.
func New() *Repository {
	r := &Repository{}
	r.state.Store(&state{reason: "loading: the model is being loaded and proved"})
	return r
}

// Serve makes the model the one that is served from then on.
func (r *Repository) Serve(served *Served) { r.state.Store(&state{served: served}) }

// mostReason is how long a reason is at most, in bytes: it can quote names in
// the file, which are as long as their author liked.
const mostReason = 1 << 10

// Refuse says why nothing is served from then on.
func (r *Repository) Refuse(err error) {
	r.state.Store(&state{reason: clip.Text(err.Error(), mostReason)})
}

// Reason says why nothing is served; it is empty when something is. It names
// files and faults, and is meant for operators.
func (r *Repository) Reason() string { return r.state.Load().reason }

// Default returns the model that a request which names none is for. The error
// is a *model.Error of KindNotReady.
func (r *Repository) Default() (*Served, error) {
	s := r.state.Load()
	if s.served == nil {
		return nil, &model.Error{Kind: model.KindNotReady, Type: "model-not-ready", Detail: "the model is not ready; the readiness check says why"}
	}
	return s.served, nil
}

// Find returns the model of that name. The error is a *model.Error of
// KindNotFound, or of KindNotReady when nothing is served.
func (r *Repository) Find(name string) (*Served, error) {
	served, err := r.Default()
	if err == nil && served.Name != name {
		return nil, &model.Error{Kind: model.KindNotFound, Type: "model-not-found", Detail: "no such model is served", Expected: served.Name}
	}
	return served, err
}

// Models returns every model that is served.
func (r *Repository) Models() []*Served {
	if s := r.state.Load(); s.served != nil {
		return []*Served{s.served}
	}
	return nil
}
