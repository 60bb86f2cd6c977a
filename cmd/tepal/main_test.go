package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/onnx"
)

// asMain makes the test binary be tepal itself, for the tests that need a
// process of its own.
const asMain = "RUN_AS_TEPAL"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// ran is what a run of the program came to.
type ran struct {
	code     int
	out, err string
}

func runTepal(t *testing.T, in string, args ...string) ran {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, streams{strings.NewReader(in), &out, &err})
	return ran{code, out.String(), err.String()}
}

func TestVersion(t *testing.T) {
	got := runTepal(t, "", "version")
	assert.Equal(t, ran{0, "tepal dev (commit unknown, " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")\n", ""}, got)
}

// TestHelp: every command says what it is for, what each flag means, and how it
// is used.
func TestHelp(t *testing.T) {
	parser, err := newParser()
	require.NoError(t, err)
	commands := parser.Model.Leaves(true)
	require.Len(t, commands, 7)
	overview := runTepal(t, "", "--help")
	assert.Equal(t, 0, overview.code)
	for _, command := range commands {
		got := runTepal(t, "", command.Name, "-h")
		assert.Equal(t, 0, got.code, command.Name)
		assert.Empty(t, got.err, command.Name)
		assert.Contains(t, got.out, "Usage: tepal "+command.Name)
		assert.Regexp(t, "^[A-Z].+[.]$", command.Help, command.Name)
		assert.Contains(t, overview.out, command.Name)
		if command.Name != "version" {
			assert.Contains(t, got.out, "\nExamples:\n\n    ", command.Name)
		}
		for _, value := range command.Values() {
			assert.Regexp(t, "^[A-Z].+[.]$", value.Help, "%s %s", command.Name, value.Name)
		}
	}
}

// TestUsage: whatever is wrong with how the program is called ends with 2.
func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "tepal: expected one of"},
		{"sing", "tepal: unexpected argument sing"},
		{"serve --colour", "tepal: unknown flag --colour"},
		{"serve --drain-delay soon", `tepal: --drain-delay: expected duration but got "soon"`},
		{"serve --drain-delay 30s", "tepal: serve: --shutdown-timeout: 25s leaves no time to drain"},
		{"serve --http-addr 9400", `tepal: serve: --http-addr: "9400" is a port alone: write ":9400", or "localhost:9400" for this machine alone`},
		{"serve --ops-addr localhost", `tepal: serve: --ops-addr: "localhost" is not HOST:PORT, such as "localhost:8002"`},
		{"serve --http-addr :nothing", `tepal: serve: --http-addr: ":nothing": `},
		{"serve --max-concurrency=-1", "tepal: serve: --max-concurrency: -1 is below 1"},
		{"serve --max-concurrency 0", "tepal: serve: --max-concurrency: 0 is below 1"},
		{"serve --max-queue=-1", "tepal: serve: --max-queue: -1 is below 0"},
		{"serve --queue-timeout 0s", "tepal: serve: --queue-timeout: 0s is not above 0s"},
		{"serve --queue-timeout=-1s", "tepal: serve: --queue-timeout: -1s is not above 0s"},
		{"serve --shutdown-timeout 0s", "tepal: serve: --shutdown-timeout: 0s leaves no time to drain"},
		{"serve --max-body-bytes 0", "tepal: serve: --max-body-bytes: 0 is below 1"},
		{"serve --memory-budget-bytes 0", "tepal: serve: --memory-budget-bytes: 0 is below 1"},
		{"serve --max-connections 0", "tepal: serve: --max-connections: 0 is below 1"},
		{"serve --max-batch 0", "tepal: serve: --max-batch: 0 is below 1"},
		{"serve --http-addr=", `tepal: serve: --http-addr: "" is not HOST:PORT, such as "localhost:8000"`},
		{"serve --ops-addr=", `tepal: serve: --ops-addr: "" is not HOST:PORT, such as "localhost:8002"`},
		{"serve --log-level loud", `tepal: serve: --log-level: unknown log level "loud": expected debug, info, warn or error`},
		{"serve --log-format xml", `tepal: --log-format must be one of "auto","gcp","ecs","plain","console" but got "xml"`},
		{"serve --access-log some", `tepal: --access-log: "some" is none of all, errors, off, and sampled:SHARE with a share from 0 to 1`},
		{"serve --slow=-1s", "tepal: serve: --slow: -1s is below 0s"},
		{"serve --drift-window 0s", "tepal: serve: --drift-window: 0s is below 1m0s"},
		{"serve --drift-window 5s", "tepal: serve: --drift-window: 5s is below 1m0s"},
		{"serve --log-payloads all", `tepal: --log-payloads: "all" is neither off nor sampled:SHARE with a share from 0 to 1`},
		{"serve --model-digest sha256:0", "tepal: --model-digest: it is no digest: give sha256: and 64 hexadecimal digits"},
		{"verify --digest " + strings.Repeat("A", 64), "tepal: --digest: it is no digest"},
		{"predict --to xml", `tepal: --to must be one of "jsonl","csv" but got "xml"`},
		{"serve a.onnx b.onnx", "tepal: unexpected argument b.onnx"},
	} {
		got := runTepal(t, "", strings.Fields(test.args)...)
		assert.Equal(t, 2, got.code, test.args)
		assert.Empty(t, got.out, test.args)
		assert.Contains(t, got.err, test.want, test.args)
		assert.Contains(t, got.err, "Run 'tepal --help'", test.args)
	}
}

func TestFailures(t *testing.T) {
	otherDigest := "sha256:" + strings.Repeat("0", 64)
	dir := t.TempDir()
	corrupt := filepath.Join(dir, "corrupt.onnx")
	require.NoError(t, os.WriteFile(corrupt, artifacts.Iris[:500], 0o600))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--check", "none.onnx"}, "tepal: missing: the model file none.onnx does not exist\n"},
		{[]string{"serve", "--check", "--model-digest", otherDigest}, "tepal: digest differs: the embedded model iris has " + onnx.Digest(artifacts.Iris) + " and " + otherDigest + " is demanded\n"},
		{[]string{"inspect", corrupt}, "unexpected EOF"},
		{[]string{"verify", dir}, "is a directory where an ONNX file is needed"},
		{[]string{"verify", "--digest", otherDigest}, "tepal: digest differs: "},
		{[]string{"predict", filepath.Join(dir, "none.csv")}, "no such file or directory"},
		{[]string{"predict", "-m", "none.onnx"}, "tepal: missing: the model file none.onnx does not exist\n"},
		{[]string{"predict", "-o", filepath.Join(dir, "none", "out.csv")}, "no such file or directory"},
	} {
		got := runTepal(t, "", test.args...)
		assert.Equal(t, 1, got.code, test.args)
		assert.Empty(t, got.out, test.args)
		assert.Contains(t, got.err, test.want, test.args)
	}
}

func TestCheck(t *testing.T) {
	got := runTepal(t, "", "serve", "--check", "--model-digest", onnx.Digest(artifacts.Iris))
	assert.Equal(t, 0, got.code, got.err)
	assert.Contains(t, got.out, "the settings are valid; the embedded model iris is ready to serve: iris version 1, sha256:")
}

func TestCheckTakesZerosThatMeanNone(t *testing.T) {
	got := runTepal(t, "", "serve", "--check", "--drain-delay", "0s", "--max-queue", "0")
	assert.Equal(t, 0, got.code, got.err)
}

// TestModelVariable: every command takes its model from the same variable, and
// from the command line first.
func TestModelVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flowers.onnx")
	require.NoError(t, os.WriteFile(file, artifacts.Iris, 0o600))
	t.Setenv("TEPAL_MODEL", "none.onnx")
	for _, args := range [][]string{{"serve", "--check"}, {"inspect"}, {"verify"}, {"predict"}} {
		got := runTepal(t, "", args...)
		assert.Equal(t, ran{1, "", "tepal: missing: the model file none.onnx does not exist\n"}, got, args)
	}
	for _, args := range [][]string{{"serve", "--check", file}, {"inspect", file}, {"verify", file}} {
		got := runTepal(t, "", args...)
		assert.Equal(t, 0, got.code, "%v: %s", args, got.err)
	}
}

func TestCheckOfTelemetry(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "bogus")
	got := runTepal(t, "", "serve", "--check")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "tepal: telemetry: OTEL_TRACES_EXPORTER")
}

// TestCheckSendsNothing: whether a collector answers is no matter of settings.
func TestCheckSendsNothing(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp,gcp_trace")
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	got := runTepal(t, "", "serve", "--check")
	assert.Equal(t, 0, got.code, got.err)
}

func TestVerify(t *testing.T) {
	got := runTepal(t, "", "verify")
	assert.Equal(t, 0, got.code, got.err)
	assert.Regexp(t, `^iris version 1, sha256:[0-9a-f]{64}, proven: \d+ golden rows answered as expected\n$`, got.out)

	unproven := withoutGolden(t)
	got = runTepal(t, "", "verify", unproven)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "tepal: nothing is proven: ")
	got = runTepal(t, "", "inspect", unproven)
	assert.Equal(t, 0, got.code, "a model without golden rows can still be looked at")
	assert.Contains(t, got.out, "unproven: the file carries no golden rows")
}

// TestOddFile: a class that no leaf votes for is a warning wherever a file is
// looked at, and a failure nowhere.
func TestOddFile(t *testing.T) {
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	for i, a := range file.Graph.Nodes[0].Attributes {
		if a.Name == "class_ids" {
			for j, class := range a.Ints {
				file.Graph.Nodes[0].Attributes[i].Ints[j] = min(class, 1)
			}
		}
	}
	file.Metadata = nil
	path := filepath.Join(t.TempDir(), "odd.onnx")
	require.NoError(t, os.WriteFile(path, file.Marshal(), 0o600))
	const warning = "no leaf votes for class 2 of 0 to 2\n"
	got := runTepal(t, "", "inspect", path)
	assert.Equal(t, 0, got.code)
	assert.Regexp(t, `(?m)^warning +node 0 .*`+warning, got.out)
	got = runTepal(t, "", "serve", "--check", path)
	assert.Equal(t, 0, got.code)
	assert.Regexp(t, "^tepal: warning: node 0 .*"+warning, got.err)
	got = runTepal(t, "", "verify", path)
	assert.Equal(t, 1, got.code, "nothing is proven")
	assert.Contains(t, got.err, warning)

	got = runTepal(t, "", "serve", "--check", "--require-golden", path)
	assert.Equal(t, 1, got.code)
	assert.Equal(t, "tepal: unproven: the model file "+path+": it carries no golden rows, and they are demanded\n", got.err)
}

// withoutGolden writes the Iris artifact with no metadata at all.
func withoutGolden(t *testing.T) string {
	t.Helper()
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	file.Metadata = nil
	path := filepath.Join(t.TempDir(), "bare.onnx")
	require.NoError(t, os.WriteFile(path, file.Marshal(), 0o600))
	return path
}

// TestInspectPrintsWhatTheServerAnswers holds the document against the
// transcript of GET /models/iris.
func TestInspectPrintsWhatTheServerAnswers(t *testing.T) {
	transcript, err := os.ReadFile("../../server/testdata/transcripts/ready/model.http")
	require.NoError(t, err)
	_, answer, _ := bytes.Cut(transcript, []byte("-- answer --\n"))
	_, body, _ := bytes.Cut(answer, []byte("\n\n"))
	got := runTepal(t, "", "inspect", "--json")
	require.Equal(t, 0, got.code, got.err)
	assert.JSONEq(t, string(body), got.out)
}

func TestInspect(t *testing.T) {
	got := runTepal(t, "", "inspect")
	require.Equal(t, 0, got.code, got.err)
	for _, want := range []string{
		"iris version 1 (classification)", "setosa, versicolor, virginica", "ai.onnx.ml.TreeEnsembleClassifier ×1",
		"proven: ", "  accuracy                     0.9467", "sepal_length  number  cm    4.3      7.9      5.1",
	} {
		assert.Contains(t, got.out, want)
	}
}

func TestPredict(t *testing.T) {
	const (
		setosa     = `{"label":"setosa","probabilities":{"setosa":1,"versicolor":0,"virginica":0}}` + "\n"
		warned     = `{"label":"setosa","probabilities":{"setosa":1,"versicolor":0,"virginica":0},"warnings":[{"feature":"sepal_width","value":35,"minimum":2,"maximum":4.4,"detail":"outside the range seen in training"}]}` + "\n"
		csvHeader  = "sepal_length,sepal_width,petal_length,petal_width\n"
		jsonObject = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}` + "\n"
	)
	for _, test := range []struct {
		name string
		in   string
		args []string
		want ran
	}{
		{"csv", csvHeader + "5.1,3.5,1.4,0.2\n", nil, ran{0, setosa, ""}},
		{"csv to csv", csvHeader + "5.1,3.5,1.4,0.2\n", []string{"--to", "csv"}, ran{0, "label,probability_setosa,probability_versicolor,probability_virginica\nsetosa,1,0,0\n", ""}},
		{
			"csv with the label and other orders", "species,petal_width,petal_length,sepal_width,sepal_length\nx,0.2,1.4,35,5.1\n", nil,
			ran{0, warned, "tepal: ignored columns that are not features: species\n"},
		},
		{"jsonl with byte order marks", "\ufeff" + jsonObject + "\ufeff[5.1,3.5,1.4,0.2]", []string{"--from", "jsonl"}, ran{0, setosa + setosa, ""}},
		{"jsonl", jsonObject + "\n[5.1,3.5,1.4,0.2]", []string{"-", "--from", "jsonl"}, ran{0, setosa + setosa, ""}},
		{
			"a log", `{"message":"ready"}` + "\nno JSON\n" + `{"message":"payload","instances":[` + jsonObject[:len(jsonObject)-1] + `,[5.1,3.5,1.4,0.2]]}` + "\n" +
				`{"message":"POST /predict 200","instances":[1]}` + "\n",
			[]string{"--from", "log"},
			ran{0, setosa + setosa, ""},
		},
		{
			"a log of another model", "\n" + `{"message":"payload","instances":[{"x":1}]}`, []string{"--from", "log"},
			ran{1, "", "tepal: standard input: line 2: /x: the model has no such feature: expected one of sepal_length, sepal_width, petal_length, petal_width, got \"x\"\n"},
		},
		{"no rows", csvHeader, nil, ran{0, "", ""}},
		{"no header", "", nil, ran{1, "", "tepal: standard input: line 1: there is no header (for the embedded model iris)\n"}},
		{
			"bad cell", csvHeader + "5.1,3.5,1.4,0.2\n5.1,3.5,much,0.2\n", nil,
			ran{1, setosa, "tepal: standard input: line 3, column 9: feature \"petal_length\": \"much\" is no float64 number\n"},
		},
		{
			"bad line", jsonObject + `{"sepal_length":"5.1"}`, []string{"--from", "jsonl"},
			ran{1, setosa, "tepal: standard input: line 2: /sepal_length: the value is not of the right type: expected a number, got the string \"5.1\"\n"},
		},
		{
			"an array over several lines", "[\n  {\"sepal_length\": 5.1}\n]\n", []string{"--from", "jsonl"},
			ran{1, "", "tepal: standard input: line 1: the line is not JSON: expected JSON Lines, an instance on each line, got unexpected EOF at byte 3\n"},
		},
		{
			"two instances on a line", `[5.1,3.5,1.4,0.2],[5.1,3.5,1.4,0.2]`, []string{"--from", "jsonl"},
			ran{1, "", "tepal: standard input: line 1: the batch has more than 1 instances: expected at most 1 instances, got more\n"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, runTepal(t, test.in, append([]string{"predict"}, test.args...)...))
		})
	}
}

func TestPredictFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "rows.jsonl"), filepath.Join(dir, "answers.csv")
	require.NoError(t, os.WriteFile(in, []byte("[5.1,3.5,1.4,0.2]\n"), 0o600))
	got := runTepal(t, "", "predict", in, "--to", "csv", "-o", out)
	require.Equal(t, ran{}, got)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, "label,probability_setosa,probability_versicolor,probability_virginica\nsetosa,1,0,0\n", string(text))
}

// TestPredictTrainingData holds the command against the count of labels that
// the trainer recorded.
func TestPredictTrainingData(t *testing.T) {
	got := runTepal(t, "", "predict", "../../data/iris.csv")
	require.Equal(t, 0, got.code, got.err)
	labels := make(map[string]int64)
	for line := range strings.Lines(got.out) {
		var answer struct{ Label string }
		require.NoError(t, json.Unmarshal([]byte(line), &answer))
		labels[answer.Label]++
	}
	m, err := onnx.Load(artifacts.Iris, "iris")
	require.NoError(t, err)
	assert.Equal(t, m.Training.Labels, labels)
}

func TestNearestVariable(t *testing.T) {
	known := []string{"TEPAL_DRAIN_DELAY", "TEPAL_HTTP_ADDR", "TEPAL_MODEL", "TEPAL_OPS_ADDR"}
	for name, want := range map[string]string{
		"TEPAL_HTTP_ADDRESS":  "TEPAL_HTTP_ADDR",
		"TEPAL_OP_ADDR":       "TEPAL_OPS_ADDR",
		"TEPAL_MODELS":        "TEPAL_MODEL",
		"TEPAL_PORT":          "TEPAL_HTTP_ADDR",
		"TEPAL_SERVICE_HOST":  "TEPAL_HTTP_ADDR", // of Kubernetes, for a Service called tepal
		"TEPAL_PORT_8000_TCP": "TEPAL_HTTP_ADDR",
		"TEPAL_METRICS_PORT":  "TEPAL_OPS_ADDR",
		"TEPAL_MODEL_DIGEST":  "", // which this command has not
		"TEPAL_WORKERS":       "",
		"TEPAL_":              "",
	} {
		assert.Equal(t, want, nearestVariable(name, known), name)
	}
}

// TestSetAndEmpty: what is set by a variable that is not set itself is refused,
// where it would otherwise mean what leaving it out means.
func TestSetAndEmpty(t *testing.T) {
	for _, args := range [][]string{
		{"verify", "--digest", ""}, {"verify", ""}, {"inspect", ""}, {"serve", "--check", "--model-digest", ""}, {"serve", "--check", ""},
		{"predict", ""}, {"predict", "model.onnx", ""}, {"predict", "-o", ""}, {"predict", "--model", ""},
		{"serve", "--http-addr", ""}, {"serve", "--ops-addr", ""}, {"serve", "--log-level", ""}, {"serve", "--log-format", ""},
		{"serve", "--access-log", ""}, {"serve", "--log-payloads", ""}, {"serve", "--slow", ""}, {"serve", "--max-queue", ""},
		{"serve", "--max-concurrency", ""}, {"serve", "--drift-window", ""}, {"predict", "--from", ""}, {"predict", "--to", ""},
	} {
		got := runTepal(t, "", args...)
		assert.Equal(t, 2, got.code, "%q: %s", args, got.out+got.err)
		assert.Empty(t, got.out)
	}
	for _, variable := range []string{
		"TEPAL_MODEL", "TEPAL_MODEL_DIGEST", "TEPAL_HTTP_ADDR", "TEPAL_LOG_LEVEL", "TEPAL_LOG_FORMAT", "TEPAL_ACCESS_LOG", "TEPAL_TRUST_CALLERS",
		"TEPAL_REQUIRE_GOLDEN",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "")
			got := runTepal(t, "", "serve", "--check")
			assert.Equal(t, 2, got.code, got.out+got.err)
		})
	}
	t.Run("verify", func(t *testing.T) {
		t.Setenv("TEPAL_MODEL_DIGEST", "")
		assert.Equal(t, 2, runTepal(t, "", "verify").code)
	})
}

// TestTextsOfStrangers: neither a file nor rows can drive the terminal, or
// print a line of their own.
func TestTextsOfStrangers(t *testing.T) {
	const escape = "\x1b[2K\u009b1A\u202e\ntepal: all is well"
	const shown = `\u001b[2K\u009b1A\u202e\u000atepal: all is well`
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	for i := range file.Metadata {
		switch m := &file.Metadata[i]; m.Key {
		case "tepal.schema", "tepal.training", "tepal.metrics": // units, the trainer's name, the method
			m.Value = regexp.MustCompile(`"(unit|trainer|method|data)":"`).ReplaceAllString(m.Value, `${0}\u001b[2K\u009b1A\u202e\ntepal: all is well`)
		}
	}
	path := filepath.Join(t.TempDir(), "hostile.onnx")
	require.NoError(t, os.WriteFile(path, file.Marshal(), 0o600))
	header := "sepal_length,sepal_width,petal_length,petal_width"
	for _, args := range [][]string{
		{"inspect", path}, {"inspect", "--json", path}, {"verify", path}, {"serve", "--check", path}, {"predict", path},
		{"inspect", escape}, {"predict", escape}, {"sing" + escape}, {"serve", "--log-level", escape},
	} {
		in := header + "," + strings.ReplaceAll(escape, "\n", "") + "\n1,2,3,4,5\n"
		got := runTepal(t, in, args...)
		all := got.out + got.err
		assert.NotContains(t, all, "\x1b", "%q", args)
		assert.NotContains(t, all, "\u009b", "%q", args)
		assert.NotContains(t, all, "\u202e", "%q", args)
		assert.NotContains(t, all, "\ntepal: all is well", "%q", args)
		assert.NotEmpty(t, all)
	}
	got := runTepal(t, "", "inspect", path)
	assert.Contains(t, got.out, shown, got.err)
	// A run that reads rows by way of a fault in them.
	got = runTepal(t, header+"\n1,2,3,"+escape[:4]+"\n", "predict")
	assert.Equal(t, 1, got.code)
	assert.NotContains(t, got.err, "\x1b")
}

// TestModelIsAnArgument of every command, before the rows.
func TestModelIsAnArgument(t *testing.T) {
	dir := t.TempDir()
	model, other, rows := filepath.Join(dir, "a.onnx"), filepath.Join(dir, "model"), filepath.Join(dir, "rows.jsonl")
	require.NoError(t, os.WriteFile(model, artifacts.Iris, 0o600))
	require.NoError(t, os.WriteFile(other, artifacts.Iris, 0o600))
	require.NoError(t, os.WriteFile(rows, []byte("[5.1,3.5,1.4,0.2]\n"), 0o600))
	const csv = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n"
	for _, args := range [][]string{{}, {model}, {rows}, {model, rows}, {other, rows}, {"-"}, {model, "-"}, {"--model", other, rows}, {"-m", model}} {
		for _, variable := range []string{"", model} {
			t.Setenv("TEPAL_MODEL", variable)
			if variable == "" {
				require.NoError(t, os.Unsetenv("TEPAL_MODEL"))
			}
			got := runTepal(t, csv, append([]string{"predict"}, args...)...)
			require.Equal(t, 0, got.code, "%q: %s", args, got.err)
			assert.Contains(t, got.out, "setosa", args)
		}
	}
	t.Setenv("TEPAL_MODEL", "none.onnx")
	assert.Equal(t, 1, runTepal(t, csv, "predict").code)
	assert.Equal(t, 0, runTepal(t, csv, "predict", model).code)
	for _, args := range [][]string{{"serve", "--model", "x"}, {"inspect", "-m", "x"}, {"verify", "--model", "x"}} {
		got := runTepal(t, "", args...)
		assert.Equal(t, 2, got.code)
		assert.Contains(t, got.err, "is no flag of this command: the model is an argument, as in 'tepal serve model.onnx'")
	}
}

// TestLinks builds nothing and runs nothing: it reads what the server's binary
// is made of. golearn trains and never serves, and the binary is static.
func TestLinks(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{len .CgoFiles}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		path, cgo, _ := strings.Cut(strings.TrimSpace(line), " ")
		assert.NotContains(t, path, "golearn")
		assert.NotContains(t, path, "gonum")
		assert.Equal(t, "0", cgo, "%s uses cgo", path)
	}
	assert.Contains(t, string(out), "github.com/tepalhq/tepal/server")
}
