package server

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
	"github.com/tepalhq/tepal/model/repository"
)

var update = flag.Bool("update", false, "write the transcripts anew; read every change before you commit it")

// separator stands between a transcript's request and its answer.
const separator = "\n-- answer --\n"

// TestTranscripts replays testdata/transcripts: a folder for each state of the
// server, a file for each exchange. They are the promise of compatibility: a
// change to one is a line in the changelog.
func TestTranscripts(t *testing.T) {
	missing := repository.Source{Path: "testdata/none.onnx"}
	corrupt := repository.Source{Name: "corrupt", Data: artifacts.Iris[:1000]}
	digest := iris()
	digest.Digest = "sha256:" + strings.Repeat("0", 64)
	mismatch := repository.Source{Name: "mismatch", Data: mismatched(t)}
	for _, state := range []struct {
		name  string
		setup setup
		ready bool
	}{
		{"ready", setup{}, true},
		{"limits", setup{config: Config{MaxBodyBytes: 200, MaxBatch: 2}}, true},
		{"overloaded", setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}, before: fill}, true},
		{"queue-timeout", setup{config: Config{MaxConcurrency: 1, MaxQueue: 1, QueueTimeout: time.Millisecond}, before: fill}, true},
		{"missing", setup{source: &missing}, false},
		{"corrupt", setup{source: &corrupt}, false},
		{"digest", setup{source: &digest}, false},
		{"mismatch", setup{source: &mismatch}, false},
		{"draining", setup{}, true},
		{"regression", setup{source: oracle("regression", "sklearn_random_forest_regressor")}, true},
		{"targets", setup{source: oracle("targets", "sklearn_random_forest_regressor_2_targets")}, true},
		{"integers", setup{source: oracle("integers", "pipeline_zipmap_numbers")}, true},
		{"strings", setup{source: oracle("strings", "pipeline_cast_input_string_f32")}, true},
		{"drift", setup{}, true},
		{"drift-values", setup{source: valued(t)}, true},
		{"broken", setup{}, true},
		{"panicking", setup{}, true},
	} {
		t.Run(state.name, func(t *testing.T) {
			s := start(t, state.setup, !state.ready)
			if !state.ready {
				waitLoaded(t, s)
			}
			switch state.name {
			case "draining":
				s.draining.Store(true)
			case "drift":
				post(t, s.url+"/predict", `[[5.1,3.5,1.4,0.2],[6.7,3.0,5.2,2.3],[6.7,3.0,7.2,2.5],[7.9,2.0,1.2,0.05]]`)
			case "drift-values":
				post(t, s.url+"/predict", `[[3.5,1.4,0.2]]`)
			case "broken":
				serveProgram(t, s, func([]model.Tensor) error { return errors.New("a fault of the program") })
			case "panicking":
				serveProgram(t, s, func([]model.Tensor) error { panic("a fault of the program") })
			}
			files, err := filepath.Glob("testdata/transcripts/" + state.name + "/*.http")
			require.NoError(t, err)
			require.NotEmpty(t, files)
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) { replay(t, s, file) })
			}
		})
	}
}

// oracle is a model whose answers ONNX Runtime gives as well.
func oracle(name, file string) *repository.Source {
	return &repository.Source{Name: name, Path: "../model/onnx/testdata/cases/" + file + ".onnx"}
}

// fill takes every slot, as requests that are being computed would.
func fill(s *Server) {
	for range cap(s.admission.slots) {
		s.admission.slots <- struct{}{}
	}
}

// waitLoaded waits until the server has come to a conclusion about its model.
func waitLoaded(t *testing.T, s *running) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, body := get(t, s.url+"/ready_check")
		return !strings.Contains(body, "loading")
	}, time.Minute, 5*time.Millisecond)
}

// mismatched is the Iris artifact with a golden row that expects another label.
func mismatched(t *testing.T) []byte {
	t.Helper()
	file, err := onnx.Parse(artifacts.Iris)
	require.NoError(t, err)
	metadata, err := file.ReadMetadata()
	require.NoError(t, err)
	metadata.Golden.Rows[0].Label = []byte(`"virginica"`)
	require.NoError(t, file.SetMetadata(metadata))
	return file.Marshal()
}

// valued is a regression whose artifact says what it answers in training.
func valued(t *testing.T) *repository.Source {
	t.Helper()
	data, err := os.ReadFile(oracle("", "sklearn_random_forest_regressor").Path)
	require.NoError(t, err)
	file, err := onnx.Parse(data)
	require.NoError(t, err)
	values := model.Histogram{Edges: []float64{0, 1, 2.5}, Counts: []int64{40, 110}}
	require.NoError(t, file.SetMetadata(&onnx.Metadata{Training: &model.Training{Values: &values}}))
	return &repository.Source{Name: "widths", Data: file.Marshal()}
}

func replay(t *testing.T, s *running, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	request, want, _ := bytes.Cut(text, []byte(separator))
	got := exchangeRaw(t, s.HTTPAddr().String(), request)
	if *update {
		require.NoError(t, os.WriteFile(file, slices.Concat(request, []byte(separator), []byte(got)), 0o600))
		return
	}
	require.Equal(t, string(want), got)
}

// exchangeRaw sends a request as it stands, with the host and the length that
// HTTP wants, and returns the answer without the date.
func exchangeRaw(t *testing.T, addr string, request []byte) string {
	t.Helper()
	head, body, _ := bytes.Cut(request, []byte("\n\n"))
	var raw bytes.Buffer
	raw.WriteString(strings.ReplaceAll(string(head), "\n", "\r\n"))
	fmt.Fprintf(&raw, "\r\nHost: %s\r\n", addr)
	if !bytes.Contains(head, []byte("Transfer-Encoding")) {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(body))
	} else {
		body = slices.Concat(fmt.Appendf(nil, "%x\r\n", len(body)), body, []byte("\r\n0\r\n\r\n"))
	}
	raw.WriteString("\r\n")
	raw.Write(body)

	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = conn.Write(raw.Bytes())
	require.NoError(t, err)
	method, _, _ := strings.Cut(string(head), " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %s\n", resp.Status)
	resp.Header.Del("Date")
	if resp.Close {
		resp.Header.Set("Connection", "close")
	}
	for _, name := range sorted(resp.Header) {
		fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
	}
	out.WriteByte('\n')
	out.Write(answer)
	return out.String()
}

func sorted(h http.Header) []string {
	var names []string
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
