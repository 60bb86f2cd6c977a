package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCallersTakeBoundedMemory opens more connections of one kind than the
// server takes, none of which comes to an end, and looks at the most memory that
// the process has had. It must be below the limit of a container of which the
// server would have read this GOMEMLIMIT, whatever the machine and its speed.
func TestCallersTakeBoundedMemory(t *testing.T) {
	const goLimit = 120 << 20
	const container = goLimit / 9 * 10
	const stream = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
	body := func(length int, text string) string {
		return fmt.Sprintf("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", length, text)
	}
	chunk := func(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }
	batch := "[" + strings.Repeat("[9,9,9,9],", 9_999) + "[9,9,9,9]]"
	// The race detector would take several times the memory.
	program := filepath.Join(t.TempDir(), "tepal")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, test := range []struct {
		name  string
		count int
		sent  string
		// answered is how the answer that is read before the connection is left alone ends; empty: none is read.
		answered string
		// gives says that these connections give way to others.
		gives bool
	}{
		{"silent", 2000, "", "", true},
		{"half a header", 2000, body(0, "")[:30], "", true},
		{"idle", 2000, "GET /live_check HTTP/1.1\r\nHost: x\r\n\r\n", "}\n", true},
		{"idle streams", 2000, stream, "", false},
		{"streams that have answered a large line", 300, stream + chunk(batch+"\n"), "\n\r\n", false},
		{"half lines", 2000, stream + chunk("["), "", false},
		{"half bodies", 2000, body(64<<10, "["+strings.Repeat(" ", 63<<10)), "", false},
		{"half large bodies", 300, body(1<<20, "["+strings.Repeat(" ", 1_000_000)), "", false},
		{"callers who do not read", 300, body(len(batch), batch), "", false},
		{"streams that do not read", 300, stream + chunk(batch+"\n"), "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startProgram(t, program, []string{"GOMEMLIMIT=" + strconv.Itoa(goLimit)}, "--access-log", "off")
			crowd(t, strings.TrimPrefix(p.url, "http://"), min(test.count, openFiles(t)/2), test.sent, test.answered)
			assert.True(t, answers(t, p.url+"/ready_check", ""), "a probe gets through")
			if test.gives {
				require.Eventually(t, func() bool { return answers(t, p.url+"/predict", instance) }, 20*time.Second, 100*time.Millisecond)
			}
			peak := highWater(t, p.Process.Pid)
			t.Logf("at most %d MiB resident", peak>>20)
			assert.Less(t, peak, int64(container))
		})
	}
}

// openFiles is how many files this process may have open.
func openFiles(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	return int(min(limit.Cur, 1<<20))
}

// crowd opens connections, which stay open until the test is over. The server
// may refuse any of them.
func crowd(t *testing.T, address string, count int, sent, answered string) {
	t.Helper()
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	next := make(chan struct{}, count)
	for range count {
		next <- struct{}{}
	}
	close(next)
	var opening sync.WaitGroup
	for range 16 {
		opening.Go(func() {
			for range next {
				var dialer net.Dialer
				conn, err := dialer.DialContext(t.Context(), "tcp", address)
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				conns = append(conns, conn)
				mu.Unlock()
				if answered == "" {
					_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
				}
				// One who is refused is not read to his end, which is no matter here.
				_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
				_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.WriteString(conn, sent); err == nil && answered != "" {
					readUntil(conn, answered)
				}
			}
		})
	}
	opening.Wait()
}

// readUntil reads until the text stands at the end of what came, or until no
// more comes.
func readUntil(conn net.Conn, text string) {
	buffer := make([]byte, 64<<10)
	for end := ""; !strings.HasSuffix(end, text); {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		end += string(buffer[:n])
		end = end[max(0, len(end)-len(text)):]
	}
}

// answers reports whether a request on a connection of its own gets 200.
func answers(t *testing.T, url, body string) bool {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Log(err)
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// highWater is the most memory that a process has had resident, in bytes.
func highWater(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	require.NoError(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	kilobytes, err := strconv.ParseInt(string(found[1]), 10, 64)
	require.NoError(t, err)
	return kilobytes << 10
}
