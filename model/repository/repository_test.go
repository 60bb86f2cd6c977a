package repository

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
		{"a folder", Source{Path: folder}, "the model file " + folder + " is a directory where an ONNX file is needed"},
		{"a path through a file", Source{Path: inside}, "the model file " + inside + " cannot be opened: open " + inside + ": not a directory"},
		{"corrupt", Source{Path: corrupt}, "corrupt or unsupported: the model file " + corrupt + " cannot be served: not a readable ONNX file: "},
		{"empty", Source{Path: empty}, "corrupt or unsupported: the model file " + empty + " cannot be served: not an ONNX file: it has no ir_version"},
		{"too large", Source{Path: large}, "the model file " + large + " has 1073741825 bytes, more than the 1073741824 that are read"},
		{"another digest", Source{Path: whole, Digest: "sha256:0"}, "digest differs: the model file " + whole + " has " + onnx.Digest(artifacts.Iris) + " and sha256:0 is demanded"},
		{"another digest comes before corrupt", Source{Path: empty, Digest: "sha256:0"}, "digest differs: the model file " + empty + " has " + onnx.Digest(nil) + " and sha256:0 is demanded"},
		{"a name that is none", Source{Path: badName}, "corrupt or unsupported: the model file " + badName + ` cannot be served: "no name" is no name for a model: `},
		{"embedded", Source{Name: "iris", Data: []byte{1}}, "corrupt or unsupported: the embedded model iris cannot be served: not a readable ONNX file: "},
		{"nothing embedded", Source{Name: "iris"}, "corrupt or unsupported: the embedded model iris cannot be served: not an ONNX file: it has no ir_version"},
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
	require.ErrorContains(t, err, "the model file "+memory+" cannot be read: read "+memory+": ")
}

// TestOpenUnproven: the model comes beside the error, so that what is served
// can be told from what is wrong with it.
func TestOpenUnproven(t *testing.T) {
	data := changed(t, func(md *onnx.Metadata) { md.Golden.Rows[0].Label = json.RawMessage(`"rose"`) })
	served, err := Open(t.Context(), Source{Name: "iris", Data: data})
	require.ErrorContains(t, err, "golden mismatch: the embedded model iris does not answer as expected: golden row 0 (")
	require.ErrorContains(t, err, "): label rose is expected, and setosa was answered")
	require.NotNil(t, served)
	require.Equal(t, model.GoldenFailed, served.Golden.Status)
	require.Equal(t, "iris", served.Name)
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
