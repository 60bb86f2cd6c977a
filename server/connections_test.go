package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask opens a connection, and sends the text.
func ask(t *testing.T, s *running, text string) net.Conn {
	t.Helper()
	conn := dial(t, s)
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	return conn
}

// answered reads the answer on a connection.
func answered(t *testing.T, conn net.Conn) (int, string) {
	t.Helper()
	return answer(t, bufio.NewReader(conn))
}

const (
	askModels = "GET /models HTTP/1.1\r\nHost: x\r\n\r\n"
	askReady  = "GET /ready_check HTTP/1.1\r\nHost: x\r\n\r\n"
	// halfBody is a request whose body does not come to an end.
	halfBody = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n["
)

func (r *running) waitConnections(t *testing.T, want int) {
	t.Helper()
	require.Eventually(t, func() bool { return r.connections() == want }, 10*time.Second, time.Millisecond, "%d connections", want)
}

// TestIdleConnectionsMakeRoom keeps as many connections as there may be, each
// with a request behind it: one more is answered, and one of them is closed.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	s := start(t, setup{config: Config{MaxConnections: 4}}, false)
	s.waitConnections(t, 0)
	var kept []net.Conn
	for range 4 {
		conn := ask(t, s, askModels)
		status, _ := answered(t, conn)
		require.Equal(t, http.StatusOK, status)
		kept = append(kept, conn)
	}
	// The first of them is busy, and must not be the one that is closed.
	_, err := io.WriteString(kept[0], halfBody)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, metrics := get(t, s.ops+"/metrics")
		return strings.Contains(metrics, `http_server_active_requests{http_request_method="POST"} 1`)
	}, 10*time.Second, 5*time.Millisecond)
	status, _ := answered(t, ask(t, s, askModels))
	assert.Equal(t, http.StatusOK, status)
	s.waitConnections(t, 4)
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_connections_closed_total{reason="idle"} 1`)
	assert.Contains(t, metrics, "\ntepal_connections 4\n")
	assert.Contains(t, metrics, "tepal_connections_limit 4\n")
	_, err = io.WriteString(kept[0], strings.Repeat(" ", 99))
	require.NoError(t, err)
	status, _ = answered(t, kept[0])
	assert.Equal(t, http.StatusBadRequest, status, "it was still there")
}

// TestBusyConnectionsKeepOthersOut: when every connection has a request under
// way, a further one is told so, and a probe is answered.
func TestBusyConnectionsKeepOthersOut(t *testing.T) {
	s := start(t, setup{config: Config{MaxConnections: 4}}, false)
	s.waitConnections(t, 0)
	for range 4 {
		ask(t, s, halfBody)
	}
	require.Eventually(t, func() bool {
		_, metrics := get(t, s.ops+"/metrics")
		return strings.Contains(metrics, `http_server_active_requests{http_request_method="POST"} 4`)
	}, 10*time.Second, 5*time.Millisecond)
	conn := ask(t, s, fmt.Sprintf("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(setosa), setosa))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "1", resp.Header.Get("Retry-After"))
	assert.True(t, resp.Close)
	status, body := answered(t, ask(t, s, askReady))
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `"status":"ready"`)
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_admission_shed_total{reason="connections"} 1`)
}

// TestProbesGetThroughSilence: more connections than are taken at all, of which
// no request comes, do not keep a probe out.
func TestProbesGetThroughSilence(t *testing.T) {
	s := start(t, setup{config: Config{MaxConnections: 4}}, false)
	s.waitConnections(t, 0)
	for range 4 + spareConnections(4) + 10 {
		ask(t, s, "GET /")
	}
	status, _ := answered(t, ask(t, s, askReady))
	assert.Equal(t, http.StatusOK, status)
	assert.LessOrEqual(t, s.connections(), 4+spareConnections(4)+1)
	// After a second they make room for whoever asks.
	require.Eventually(t, func() bool {
		status, _ := get(t, s.url+"/models")
		return status == http.StatusOK
	}, 10*time.Second, 50*time.Millisecond)
}
