package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	row        = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n"
	answer     = `{"label":"setosa","probabilities":{"setosa":1,"versicolor":0,"virginica":0}}` + "\n"
	faultyRows = row + "5.1,3.5,much,0.2\n"
)

// folder is a folder with a file of rows, a faulty one, and old answers.
func folder(t *testing.T) (dir, good, faulty, old string) {
	t.Helper()
	dir = t.TempDir()
	good, faulty, old = filepath.Join(dir, "rows.csv"), filepath.Join(dir, "faulty.csv"), filepath.Join(dir, "old.jsonl")
	require.NoError(t, os.WriteFile(good, []byte(row), 0o600))
	require.NoError(t, os.WriteFile(faulty, []byte(faultyRows), 0o600))
	require.NoError(t, os.WriteFile(old, []byte("old and longer than the answer: "+answer), 0o640))
	t.Cleanup(func() {
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		assert.NoError(t, err)
		assert.Empty(t, left, "no temporary file stays behind")
	})
	return dir, good, faulty, old
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestOutputReplacesAFile(t *testing.T) {
	dir, good, _, old := folder(t)
	require.Equal(t, ran{}, runTepal(t, "", "predict", good, "-o", old))
	assert.Equal(t, answer, content(t, old))
	info, err := os.Stat(old)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode(), "the permissions stay")

	fresh := filepath.Join(dir, "new.jsonl")
	require.Equal(t, ran{}, runTepal(t, "", "predict", good, "-o", fresh))
	assert.Equal(t, answer, content(t, fresh))
	plain, err := os.Create(filepath.Join(dir, "plain"))
	require.NoError(t, err)
	defer plain.Close()
	want, err := plain.Stat()
	require.NoError(t, err)
	info, err = os.Stat(fresh)
	require.NoError(t, err)
	assert.Equal(t, want.Mode(), info.Mode(), "the permissions are those of any new file")
}

func TestOutputMayBeTheInput(t *testing.T) {
	dir, good, _, _ := folder(t)
	link := filepath.Join(dir, "link.csv")
	require.NoError(t, os.Symlink(good, link))
	require.Equal(t, ran{}, runTepal(t, "", "predict", good, "-o", link))
	assert.Equal(t, answer, content(t, good))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type(), "a link stays one")

	require.NoError(t, os.WriteFile(good, []byte(row), 0o600))
	require.Equal(t, ran{}, runTepal(t, "", "predict", good, "-o", good))
	assert.Equal(t, answer, content(t, good))
}

func TestOutputOfAFailureLeavesTheFile(t *testing.T) {
	dir, _, faulty, old := folder(t)
	before := content(t, old)
	for _, args := range [][]string{
		{"predict", faulty, "-o", old},
		{"predict", filepath.Join(dir, "none.csv"), "-o", old},
		{"predict", "-m", filepath.Join(dir, "none.onnx"), "-o", old},
		{"predict", "-o", old}, // the input is empty: no header
	} {
		assert.Equal(t, 1, runTepal(t, "", args...).code, args)
		assert.Equal(t, before, content(t, old), args)
	}
	assert.Equal(t, 1, runTepal(t, "", "predict", faulty, "-o", faulty).code)
	assert.Equal(t, faultyRows, content(t, faulty))
	fresh := filepath.Join(dir, "new.jsonl")
	assert.Equal(t, 1, runTepal(t, "", "predict", faulty, "-o", fresh).code)
	assert.NoFileExists(t, fresh)
	got := runTepal(t, "", "predict", "-o", dir)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "is a directory")
}

func TestOutputToAPipe(t *testing.T) {
	dir, good, _, _ := folder(t)
	pipe := filepath.Join(dir, "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	// Opened for both, a pipe waits for nobody.
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	require.NoError(t, err)
	defer reader.Close()
	require.Equal(t, ran{}, runTepal(t, "", "predict", good, "-o", pipe))
	text := make([]byte, len(answer)+1)
	n, err := reader.Read(text)
	require.NoError(t, err)
	assert.Equal(t, answer, string(text[:n]))
	info, err := os.Stat(pipe)
	require.NoError(t, err)
	assert.Equal(t, os.ModeNamedPipe, info.Mode().Type(), "a pipe stays one")
}

// TestOutputToWhatStdoutWritesTo is /dev/stdout when a shell appends it to a
// file, in which something stands already.
func TestOutputToWhatStdoutWritesTo(t *testing.T) {
	_, good, _, old := folder(t)
	before := content(t, old)
	stdout, err := os.OpenFile(old, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer stdout.Close()
	require.Zero(t, run(t.Context(), []string{"predict", good, "-o", old}, streams{out: stdout, err: os.Stderr}))
	assert.Equal(t, before+answer, content(t, old))
}
