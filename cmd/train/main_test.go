package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sjwhitworth/golearn/evaluation"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/onnx"
	"github.com/tepalhq/tepal/model/rows"
)

const irisFile = "../../data/iris.csv"

// small are the flags of a forest that is quickly grown.
var small = []string{"--trees=5", "--folds=2", "--data=" + irisFile}

// runTrain runs the program and returns its exit code and what it printed.
func runTrain(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// artifact runs the program with small flags and more, and returns the file.
func artifact(t *testing.T, args ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "iris.onnx")
	code, _, stderr := runTrain(append(append(args, small...), "--out="+out)...)
	require.Zero(t, code, stderr)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	return data
}

func TestSameSeedSameBytes(t *testing.T) {
	first := artifact(t)
	assert.Equal(t, first, artifact(t))
	assert.Equal(t, first, artifact(t, "--seed=1", "--model-version=1", "--name=iris"))
	assert.NotEqual(t, first, artifact(t, "--seed=2"))
	assert.NotEqual(t, first, artifact(t, "--depth=5"))
}

// What was trained on can be predicted: the trainer and the server read the
// same names, numbers and labels from the same file.
func TestServerReadsTheTrainingFile(t *testing.T) {
	const text = "\uFEFFa ,b\n 1,no\n2 ,no \n\t3, no\n11,yes\n\"12 \",yes \n13,\" yes\"\n"
	folder := t.TempDir()
	file, out := filepath.Join(folder, "t.csv"), filepath.Join(folder, "t.onnx")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	code, _, stderr := runTrain("--data="+file, "--out="+out, "--trees=5", "--folds=2")
	require.Zero(t, code, stderr)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	m, err := onnx.Load(data, "t")
	require.NoError(t, err)
	require.Equal(t, []string{"no", "yes"}, m.Schema.Classes.Texts())
	assert.Equal(t, map[string]int64{"no": 3, "yes": 3}, m.Training.Labels)

	reader, err := rows.NewCSVReader(strings.NewReader(text), rows.New(m))
	require.NoError(t, err)
	assert.Equal(t, []string{"b"}, reader.PassedOver())
	var got []float64
	var req rows.Request
	for err = reader.Next(&req); err == nil; err = reader.Next(&req) {
		got = append(got, req.Batch.Inputs[0].Float64s...)
	}
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, []float64{1, 2, 3, 11, 12, 13}, got)
}

func graph(t *testing.T, data []byte) onnx.Graph {
	t.Helper()
	m, err := onnx.Parse(data)
	require.NoError(t, err)
	return m.Graph
}

func TestStreamsAreIndependent(t *testing.T) {
	first := graph(t, artifact(t))
	assert.Equal(t, first, graph(t, artifact(t, "--folds=3")), "the forest does not depend on how it is checked")
	assert.NotEqual(t, first, graph(t, artifact(t, "--seed=2")))
}

// The artifact in the repository is the one that this program makes, but for
// the last bits of floating point, which may differ between architectures.
func TestArtifactIsCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the artifact was made on amd64")
	}
	out := filepath.Join(t.TempDir(), "iris.onnx")
	code, _, stderr := runTrain("--data="+irisFile, "--unit=cm", "--out="+out)
	require.Zero(t, code, stderr)
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(data, artifacts.Iris), "artifacts/iris.onnx is not what `go run ./cmd/train --unit cm` writes")
}

func TestIrisArtifact(t *testing.T) {
	m, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	md, err := m.ReadMetadata()
	require.NoError(t, err)
	assert.Equal(t, "iris", md.Name)
	assert.Equal(t, int64(1), md.Version)
	assert.GreaterOrEqual(t, md.Metrics.Values[accuracyMean], 0.94)
	assert.Equal(t, int64(150), md.Training.Rows)
	assert.Equal(t, readIris(t).digest, md.Training.Digest)
	// The ranges that the description of Fisher's data gives.
	for i, want := range []struct {
		name             string
		minimum, maximum float64
	}{{"sepal_length", 4.3, 7.9}, {"sepal_width", 2, 4.4}, {"petal_length", 1, 6.9}, {"petal_width", 0.1, 2.5}} {
		f := md.Schema.Features[i]
		assert.Equal(t, want.name, f.Name)
		assert.Equal(t, "cm", f.Unit)
		assert.Equal(t, want.minimum, *f.Minimum)
		assert.Equal(t, want.maximum, *f.Maximum)
		rows := int64(0)
		for _, n := range f.Histogram.Counts {
			rows += n
		}
		assert.Equal(t, int64(150), rows)
	}
}

func TestUnits(t *testing.T) {
	features := []string{"weight", "height", "age"}
	for _, test := range []struct {
		name  string
		flags []string
		want  map[string]string
	}{
		{"none", nil, map[string]string{}},
		{"all", []string{"cm"}, map[string]string{"weight": "cm", "height": "cm", "age": "cm"}},
		{"one", []string{"weight=kg"}, map[string]string{"weight": "kg"}},
		{"one and the others", []string{"weight=kg", "cm"}, map[string]string{"weight": "kg", "height": "cm", "age": "cm"}},
		{"all but one", []string{"cm", "weight=kg"}, map[string]string{"weight": "kg", "height": "cm", "age": "cm"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := (&command{Unit: test.flags}).units(features)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	_, err := (&command{Unit: []string{"size=m"}}).units(features)
	assert.EqualError(t, err, `--unit size=m: there is no feature "size"; the features are weight, height, age`)
}

func TestFeaturesDrawn(t *testing.T) {
	for features, want := range map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 6: 2, 7: 3, 100: 10} {
		c := &command{Folds: 2}
		require.NoError(t, c.fit(&table{features: make([]string, features), rows: make([][]float64, 2)}))
		assert.Equal(t, want, c.Features, "of %d", features)
	}
}

func TestExitCodes(t *testing.T) {
	folder := t.TempDir()
	bad := filepath.Join(folder, "bad.csv")
	require.NoError(t, os.WriteFile(bad, []byte("x,kind\none,a\n"), 0o600))
	const help = "\ntrain --help tells what the flags mean\n"
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"unknown flag", []string{"--tree=7"}, 2, "train: unknown flag --tree, did you mean \"--trees\"?" + help},
		{"argument", []string{"iris.csv"}, 2, "train: unexpected argument iris.csv" + help},
		{"no number", []string{"--trees=many"}, 2, `train: --trees: expected a valid 64 bit int but got "many"` + help},
		{"too few", []string{"--trees=0"}, 2, "train: --trees is 0, and the least is 1" + help},
		{"one fold", []string{"--folds=1"}, 2, "train: --folds is 1, and the least is 2" + help},
		{"negative", []string{"--features=-1"}, 2, "train: --features is -1, and the least is 0" + help},
		{"version", []string{"--model-version=0"}, 2, "train: --model-version is 0, and the least is 1" + help},
		{"name", []string{"--name=a/b"}, 2, `train: "a/b" is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; give another with --name` + help},
		{"name of the file", []string{"--out=my iris.onnx"}, 2, `train: "my iris" is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; give another with --name` + help},
		{"more features than there are", []string{"--data=" + irisFile, "--features=5"}, 2, "train: --features is 5, and " + irisFile + " has 4 features" + help},
		{"more folds than rows", []string{"--data=" + irisFile, "--folds=151"}, 2, "train: --folds is 151, and " + irisFile + " has 150 rows" + help},
		{"no data", []string{"--data=" + folder + "/none.csv"}, 1, "train: open " + folder + "/none.csv: no such file or directory\n"},
		{"bad data", []string{"--data=" + bad}, 1, "train: " + bad + `:2:1: column "x": "one" is no number` + "\n"},
		{"no folder", []string{"--data=" + irisFile, "--out=" + folder + "/none/iris.onnx"}, 1,
			"train: the folder of " + folder + "/none/iris.onnx: stat " + folder + "/none: no such file or directory\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := runTrain(test.args...)
			assert.Equal(t, test.code, code)
			assert.Empty(t, stdout)
			assert.Equal(t, test.stderr, stderr)
		})
	}
}

func TestHelp(t *testing.T) {
	code, stdout, stderr := runTrain("--help", "--trees=0")
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	for _, want := range []string{"Usage: train [flags]", "train --data wine.csv --label quality", "--min-leaf=1", "--trees=70", `--data="data/iris.csv"`} {
		assert.Contains(t, stdout, want)
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		given, want command
	}{
		{command{Data: "data/iris.csv"}, command{Out: "artifacts/iris.onnx", Name: "iris"}},
		{command{Data: "data/iris.csv", Out: "x/flowers.onnx"}, command{Out: "x/flowers.onnx", Name: "flowers"}},
		{command{Data: "data/iris.csv", Out: "x/flowers.onnx", Name: "fleurs"}, command{Out: "x/flowers.onnx", Name: "fleurs"}},
	} {
		c := test.given
		c.settings, c.Folds, c.ModelVersion = settings{Trees: 1, Depth: 1, MinLeaf: 1}, 2, 1
		require.NoError(t, c.AfterApply())
		assert.Equal(t, test.want.Out, filepath.ToSlash(c.Out))
		assert.Equal(t, test.want.Name, c.Name)
	}
}

func TestWriteFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "iris.onnx")
	require.NoError(t, os.WriteFile(path, []byte("old and longer"), 0o600))
	require.NoError(t, writeFile(path, []byte("new")))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "new", string(data))

	taken := filepath.Join(folder, "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "in"), 0o700))
	require.Error(t, writeFile(taken, []byte("new")), "a folder is in its place")
	left, err := filepath.Glob(filepath.Join(folder, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left, "no temporary file stays behind")
}

// Whatever panics on the way to the artifact, here over a class that there is not,
// is an error.
func TestPanicsBecomeErrors(t *testing.T) {
	broken := readText(t, "x,kind\n1,a\n2,a\n3,b\n4,b\n")
	broken.labels[0] = 7
	c := &command{settings: settings{Trees: 1, Depth: 1, Features: 1, MinLeaf: 1}, Folds: 2}
	_, _, err := c.train(broken, nil, func() {})
	assert.ErrorContains(t, err, "the training failed: ")
}

func TestReport(t *testing.T) {
	ab := readText(t, "x,y,kind\n3,1,a\n1,2,long name\n2,-4,a\n2,0,long name\n")
	c := &command{settings: settings{Trees: 3, Depth: 2, Features: 1, MinLeaf: 1, Seed: 9}, Folds: 2}
	folds := []evaluation.ConfusionMatrix{{"a": {"a": 1}, "long name": {"long name": 1}}, {"a": {"a": 1}, "long name": {"a": 1}}}
	var out bytes.Buffer
	require.NoError(t, report(&out, ab, c, newMetrics(ab.classes.Texts(), folds)))
	assert.Equal(t, `t.csv: 4 rows, 2 features, 2 classes of kind
3 trees of depth 2 at most, 1 of 2 features at each node, 1 row or more in a leaf, seed 9

accuracy 0.7500 in stratified 2-fold cross-validation (standard deviation 0.2500, folds from 0.5000 to 1.0000)

class      precision  recall  F1      rows
a          0.6667     1.0000  0.8000  2
long name  1.0000     0.5000  0.6667  2

is \ answered  a  long name
a              2  0
long name      1  1
`, out.String())
}

func TestProgressOnTerminalsOnly(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out, 2)
	p.step()
	p.clear()
	assert.Empty(t, out.String())

	p.out = &out
	p.step()
	p.clear()
	assert.Equal(t, "\rgrowing trees: 2 of 2\r\x1b[K", out.String())
}
