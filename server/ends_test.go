package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dial opens a connection to the server, whose deadline only a hang meets.
func dial(t *testing.T, s *running) *net.TCPConn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.HTTPAddr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
	return conn.(*net.TCPConn)
}

// answer reads an answer whole.
func answer(t *testing.T, from *bufio.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(from, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(read)
}

// TestStopEndsWhatWaitsForCallers stops a server with callers who do nothing any
// more, each in another place. None of them makes the stop fail.
func TestStopEndsWhatWaitsForCallers(t *testing.T) {
	const head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
	for _, test := range []struct {
		name, sent string
		told       bool
	}{
		{"a connection without a word", "", false},
		{"half a header", head[:40], false},
		{"a body that does not begin", head, true},
		{"half a body", head + "[", true},
		{"half a body in chunks", "POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[[\r\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			draining := 4 * time.Second // less than a header has by itself, and than net/http gives a new connection
			if test.told {
				draining *= 2
			}
			s := start(t, setup{config: Config{ShutdownTimeout: FlushReserve + draining}}, false)
			conn := dial(t, s)
			_, err := io.WriteString(conn, test.sent)
			require.NoError(t, err)
			if test.told {
				waitInFlight(t, s)
			}
			require.NoError(t, s.stop())
			got, err := io.ReadAll(conn)
			require.NoError(t, err)
			if !test.told {
				assert.Empty(t, string(got))
				return
			}
			assert.Contains(t, string(got), "HTTP/1.1 503 ")
			assert.Contains(t, string(got), "\r\nConnection: close\r\n")
			assert.Contains(t, string(got), `#server-stopping","title":"Stopping","status":503,"detail":"the server stops before the body has arrived"`)
			assert.Equal(t, "server-stopping", logLine(t, s, "POST /predict 503")["problem"])
		})
	}
}

// TestStopEndsAnswersThatAreNotTaken stops a server with a caller who takes
// nothing of an answer that is larger than all buffers on the way.
func TestStopEndsAnswersThatAreNotTaken(t *testing.T) {
	t.Parallel()
	const rows = 60_000
	s := start(t, setup{config: Config{ShutdownTimeout: FlushReserve + 2*time.Second, MaxBatch: rows}}, false)
	conn := dial(t, s)
	require.NoError(t, conn.SetReadBuffer(4096))
	body := "[" + strings.Repeat("[5.1,3.5,1.4,0.2],", rows-1) + "[5.1,3.5,1.4,0.2]]"
	head(t, conn, len(body))
	_, err := io.WriteString(conn, body)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, metrics := get(t, s.ops+"/metrics")
		return strings.Contains(metrics, fmt.Sprintf(`tepal_predictions_total{label="setosa",model_name="iris",model_version="1"} %d`, rows))
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, s.stop())
}

// TestCallersWhoCloseTheirSide ask, say that no more comes, and read.
func TestCallersWhoCloseTheirSide(t *testing.T) {
	batch := "[" + strings.Repeat(setosa+",", 8_999) + setosa + "]"
	for name, body := range map[string]string{"a row": setosa, "a batch": batch} {
		t.Run(name, func(t *testing.T) {
			s := start(t, setup{}, false)
			for range 5 {
				conn := dial(t, s)
				head(t, conn, len(body))
				_, err := io.WriteString(conn, body)
				require.NoError(t, err)
				require.NoError(t, conn.CloseWrite())
				status, got := answer(t, bufio.NewReader(conn))
				require.Equal(t, http.StatusOK, status, got)
			}
		})
	}
}

// queued starts a server whose slots are taken, and asks so that the request
// waits in the queue. give gives a slot back.
func queued(t *testing.T, protocol string) (s *running, conn *net.TCPConn, give func()) {
	t.Helper()
	s = start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: 1, QueueTimeout: 5 * time.Minute}}, false)
	_, err := s.admission.acquire(t.Context(), caller{})
	require.NoError(t, err)
	conn = dial(t, s)
	_, err = fmt.Fprintf(conn, "POST /predict HTTP/%s\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", protocol, len(setosa), setosa)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.admission.waiting.Load() == 1 }, time.Minute, time.Millisecond)
	return s, conn, s.admission.release
}

// TestCallersWhoCloseTheirSideInTheQueue keep their place in it.
func TestCallersWhoCloseTheirSideInTheQueue(t *testing.T) {
	for protocol, interim := range map[string]bool{"1.1": true, "1.0": false} {
		t.Run(protocol, func(t *testing.T) {
			_, conn, give := queued(t, protocol)
			require.NoError(t, conn.CloseWrite())
			from := bufio.NewReader(conn)
			if interim {
				resp, err := http.ReadResponse(from, nil)
				require.NoError(t, err)
				require.Equal(t, http.StatusContinue, resp.StatusCode)
				require.NoError(t, resp.Body.Close())
			}
			give()
			status, got := answer(t, from)
			require.Equal(t, http.StatusOK, status, got)
		})
	}
}

// TestCallersWhoLeaveTheQueue give up their place, whichever way they go.
func TestCallersWhoLeaveTheQueue(t *testing.T) {
	for name, leave := range map[string]func(c *net.TCPConn) error{
		"closed": (*net.TCPConn).Close,
		"reset":  func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			s, conn, give := queued(t, "1.1")
			defer give()
			require.NoError(t, leave(conn))
			require.Eventually(t, func() bool { return s.admission.waiting.Load() == 0 }, time.Minute, time.Millisecond)
			assert.Eventually(t, func() bool { return strings.Contains(s.logs.String(), `"POST /predict 499"`) }, time.Minute, time.Millisecond)
		})
	}
}

// TestRefusalsReachCallersWhoWriteFirst refuses bodies of 20 MB, of which their
// callers send all before they look for an answer.
func TestRefusalsReachCallersWhoWriteFirst(t *testing.T) {
	const size = 20 << 20
	body := strings.Repeat("1,", size/2)
	plain := fmt.Sprintf("Content-Length: %d\r\n", size)
	chunks := "Transfer-Encoding: chunked\r\n"
	for _, test := range []struct {
		name, path, headers string
		before              func(*Server)
		status              int
	}{
		{"too large", "/predict", plain, nil, http.StatusRequestEntityTooLarge},
		{"too large, and the connection is not kept", "/predict", plain + "Connection: close\r\n", nil, http.StatusRequestEntityTooLarge},
		{"too large in chunks", "/predict", chunks, nil, http.StatusRequestEntityTooLarge},
		{"media type", "/predict", plain + "Content-Type: text/plain\r\n", nil, http.StatusUnsupportedMediaType},
		{"path", "/nope", plain, nil, http.StatusNotFound},
		{"method", "/models", plain, nil, http.StatusMethodNotAllowed},
		{"overload", "/predict", plain, fill, http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}, before: test.before}, false)
			conn := dial(t, s)
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n", test.path, test.headers)
			require.NoError(t, err)
			if strings.Contains(test.headers, chunks) {
				_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", size, body)
			} else {
				_, err = io.WriteString(conn, body)
			}
			require.NoError(t, err, "all can be sent")
			status, got := answer(t, bufio.NewReader(conn))
			assert.Equal(t, test.status, status, got)
		})
	}
}

// TestRefusalsReachPython asks as a plain client in Python does.
func TestRefusalsReachPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no python3, which the tests do without but in CI")
	}
	require.NoError(t, err)
	s := start(t, setup{}, false)
	const script = `
import http.client, sys, urllib.error, urllib.request
body = b"1," * (10 << 20)
try:
    print("urllib", urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/predict", data=body, headers={"Content-Type": "application/json"}), timeout=60).status)
except urllib.error.HTTPError as e:
    print("urllib", e.code, e.read().decode().count("body-too-large"))
c = http.client.HTTPConnection(sys.argv[1].removeprefix("http://"), timeout=60)
c.request("POST", "/predict", body)
a = c.getresponse()
print("http.client", a.status, a.read().decode().count("body-too-large"))
`
	out, err := exec.CommandContext(t.Context(), python, "-c", script, s.url).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "urllib 413 1\nhttp.client 413 1\n", string(out))
}

// TestRestOfABodyIsBounded refuses a caller who never ends.
func TestRestOfABodyIsBounded(t *testing.T) {
	s := start(t, setup{}, false)
	conn := dial(t, s)
	head(t, conn, 1<<40)
	chunk := make([]byte, 1<<20)
	sent := 0
	for {
		n, err := conn.Write(chunk)
		if sent += n; err != nil {
			break
		}
		require.Less(t, sent, 4*restBytes)
	}
	assert.GreaterOrEqual(t, sent, restBytes)
}
