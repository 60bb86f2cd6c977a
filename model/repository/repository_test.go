package repository

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

// write makes a file of the given bytes and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// changed is the default model with its metadata changed.
func changed(t *testing.T, change func(md *onnx.Metadata)) []byte {
	t.Helper()
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	md, err := file.ReadMetadata()
	require.NoError(t, err)
	change(md)
	require.NoError(t, file.SetMetadata(md))
	return file.Marshal()
}

func TestOpen(t *testing.T) {
	digest := onnx.Digest(artifacts.Iris)
	for _, s := range []Source{
		{Name: "other", Data: artifacts.Iris},
		{Path: write(t, "m.onnx", artifacts.Iris)},
		{Path: write(t, "m.onnx", artifacts.Iris), Digest: digest},
	} {
		served, err := Open(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, "iris", served.Name, "the artifact's own name comes first")
		require.Equal(t, digest, served.Digest)
		require.Equal(t, model.GoldenProven, served.Golden.Status)
		require.NotNil(t, served.Codec)
	}

	nameless := changed(t, func(md *onnx.Metadata) { md.Name = "" })
	for _, c := range []struct {
		source Source
		want   string
	}{
		{Source{Path: write(t, "flowers.v2.onnx", nameless)}, "flowers.v2"},
		{Source{Path: write(t, "flowers", nameless)}, "flowers"},
		{Source{Path: write(t, "flowers.onnx", nameless), Name: "named"}, "named"},
		{Source{Name: "embedded", Data: nameless}, "embedded"},
	} {
		served, err := Open(t.Context(), c.source)
		require.NoError(t, err)
		require.Equal(t, c.want, served.Name)
	}
}

func TestOpenFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.onnx")
	folder := t.TempDir()
	corrupt := write(t, "corrupt.onnx", artifacts.Iris[:len(artifacts.Iris)/2])
	empty := write(t, "empty.onnx", nil)
	whole := write(t, "iris.onnx", artifacts.Iris)
	inside := filepath.Join(whole, "inside.onnx")
	badName := write(t, "no name.onnx", changed(t, func(md *onnx.Metadata) { md.Name = "" }))
	large := write(t, "large.onnx", nil)
	require.NoError(t, os.Truncate(large, MaxArtifactBytes+1))
	for _, c := range []struct {
		name   string
		source Source
		want   string
	}{
		{"missing", Source{Path: missing}, "missing: the model file " + missing + " does not exist"},
		{"a folder", Source{Path: folder}, "unreadable: the model file " + folder + " is a directory where an ONNX file is needed"},
		{"a path through a file", Source{Path: inside}, "unreadable: the model file " + inside + " cannot be opened: open " + inside + ": not a directory"},
		{"corrupt", Source{Path: corrupt}, "corrupt: the model file " + corrupt + ": not a readable ONNX file: "},
		{"empty", Source{Path: empty}, "corrupt: the model file " + empty + ": not an ONNX file: it has no ir_version"},
		{"too large", Source{Path: large}, "unreadable: the model file " + large + " has 1073741825 bytes, more than the 1073741824 that are read"},
		{"another digest", Source{Path: whole, Digest: "sha256:0"}, "digest differs: the model file " + whole + " has " + onnx.Digest(artifacts.Iris) + " and sha256:0 is demanded"},
		{"another digest comes before corrupt", Source{Path: empty, Digest: "sha256:0"}, "digest differs: the model file " + empty + " has " + onnx.Digest(nil) + " and sha256:0 is demanded"},
		{"a name that is none", Source{Path: badName}, "invalid: the model file " + badName + `: "no name" is no name for a model: `},
		{"embedded", Source{Name: "iris", Data: []byte{1}}, "corrupt: the embedded model iris: not a readable ONNX file: "},
		{"nothing embedded", Source{Name: "iris"}, "corrupt: the embedded model iris: not an ONNX file: it has no ir_version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			served, err := Open(t.Context(), c.source)
			require.Nil(t, served)
			if strings.HasSuffix(c.want, ": ") {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

// TestOpenUnreadable: a file that may not be opened, and one that may but fails.
func TestOpenUnreadable(t *testing.T) {
	locked := write(t, "locked.onnx", artifacts.Iris)
	require.NoError(t, os.Chmod(locked, 0))
	if f, err := os.Open(locked); err != nil {
		_, err := Open(t.Context(), Source{Path: locked})
		require.EqualError(t, err, "the model file "+locked+" cannot be opened: open "+locked+": permission denied")
	} else {
		// The superuser may open everything.
		require.NoError(t, f.Close())
	}
	const memory = "/proc/self/mem"
	if _, err := os.Stat(memory); err != nil {
		t.Skip("there is no file here that fails when it is read")
	}
	_, err := Open(t.Context(), Source{Path: memory})
	require.ErrorContains(t, err, "unreadable: the model file "+memory+" cannot be read: read "+memory+": ")
}

// TestOpenUnproven: the model comes beside the error, so that what is served
// can be told from what is wrong with it.
func TestOpenUnproven(t *testing.T) {
	data := changed(t, func(md *onnx.Metadata) { md.Golden.Rows[0].Label = json.RawMessage(`"rose"`) })
	served, err := Open(t.Context(), Source{Name: "iris", Data: data})
	require.ErrorContains(t, err, "golden mismatch: the embedded model iris: golden row 0 (")
	require.ErrorContains(t, err, `): label "rose" is expected, and "setosa" was answered`)
	require.NotNil(t, served)
	require.Equal(t, model.GoldenFailed, served.Golden.Status)
	require.Equal(t, "iris", served.Name)
}

// TestOpenCauses: the reason begins with a word for the cause, and is bounded
// whatever the file quotes.
func TestOpenCauses(t *testing.T) {
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	file.Graph.Nodes[0].OpType = "TreeEnsemble"
	require.Equal(t, "ai.onnx.ml", file.Graph.Nodes[0].Domain)
	unsupported := file.Marshal()
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"not supported", unsupported, `not supported: the embedded model x: operators that are not supported: "ai.onnx.ml.TreeEnsemble"`},
		{"invalid", changed(t, func(md *onnx.Metadata) { md.Schema.Features = md.Schema.Features[:1] }), "invalid: the embedded model x: the schema names 1 features"},
		{"a long name", changed(t, func(md *onnx.Metadata) { md.Name = strings.Repeat("é", 1<<20) }), "invalid: the embedded model x: "},
		{"a long instance", changed(t, func(md *onnx.Metadata) {
			md.Golden.Rows[0].Instance = json.RawMessage(`["` + strings.Repeat("x", 1<<20) + `"]`)
		}), "invalid golden rows: the embedded model x: golden row 0 ("},
		{"a long label", changed(t, func(md *onnx.Metadata) {
			md.Golden.Rows[0].Label = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
		}), "golden mismatch: the embedded model x: golden row 0 ("},
		{"nothing to expect", changed(t, func(md *onnx.Metadata) {
			md.Golden.Rows[0] = model.GoldenRow{Instance: md.Golden.Rows[0].Instance}
		}), "invalid golden rows: the embedded model x: golden row 0 ("},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(t.Context(), Source{Name: "x", Data: c.data})
			require.ErrorContains(t, err, c.want)
			require.True(t, strings.HasPrefix(err.Error(), c.want))
			require.True(t, utf8.ValidString(err.Error()))
			require.Less(t, len(err.Error()), 2200)
		})
	}
}

// TestRequireGolden: a model of which nothing is proven is served or refused.
func TestRequireGolden(t *testing.T) {
	bare := changed(t, func(md *onnx.Metadata) { md.Golden = nil })
	served, err := Open(t.Context(), Source{Name: "x", Data: bare})
	require.NoError(t, err)
	require.Equal(t, model.GoldenUnproven, served.Golden.Status)
	served, err = Open(t.Context(), Source{Name: "x", Data: bare, RequireGolden: true})
	require.EqualError(t, err, "unproven: the embedded model x: it carries no golden rows, and they are demanded")
	require.Equal(t, model.GoldenUnproven, served.Golden.Status)
	_, err = Open(t.Context(), Source{Name: "x", Data: artifacts.Iris, RequireGolden: true})
	require.NoError(t, err)
}

// TestOpenEnds: a context that ends is all that Open waits for; a pipe that
// nobody writes to is a file that takes for ever.
func TestOpenEnds(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := Open(ctx, Source{Path: pipe})
		opened <- err
	}()
	cancel()
	require.Equal(t, model.KindCanceled, model.KindOf(<-opened))
	// What still reads the pipe ends with it.
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	_, err = Open(ctx, Source{Name: "iris", Data: artifacts.Iris})
	require.Equal(t, model.KindCanceled, model.KindOf(err))
}

func TestRepository(t *testing.T) {
	r := New()
	notReady := &model.Error{Kind: model.KindNotReady, Type: "model-not-ready", Detail: "the model is not ready; the readiness check says why"}
	_, err := r.Default()
	require.Equal(t, notReady, err)
	_, err = r.Find("iris")
	require.Equal(t, notReady, err)
	require.Equal(t, "loading: the model is being loaded and proved", r.Reason())
	require.Empty(t, r.Models())

	r.Refuse(errors.New("missing: no file"))
	_, err = r.Default()
	require.Equal(t, notReady, err, "the reason is for operators")
	require.Equal(t, "missing: no file", r.Reason())

	served := &Served{Model: &model.Model{Name: "iris"}}
	r.Serve(served)
	got, err := r.Default()
	require.NoError(t, err)
	require.Same(t, served, got)
	got, err = r.Find("iris")
	require.NoError(t, err)
	require.Same(t, served, got)
	require.Equal(t, []*Served{served}, r.Models())
	require.Empty(t, r.Reason())
	got, err = r.Find("Iris")
	require.Nil(t, got)
	require.Equal(t, &model.Error{
		Kind: model.KindNotFound, Type: "model-not-found", Detail: "no such model is served", Expected: "iris",
	}, err)

	r.Refuse(errors.New("draining"))
	_, err = r.Find("iris")
	require.Equal(t, notReady, err)
	require.Equal(t, "draining", r.Reason())
	require.Empty(t, r.Models())
}
