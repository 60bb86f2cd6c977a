//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// process is the process of a measurement.
type process struct {
	command *exec.Cmd
	started time.Time
	in      io.WriteCloser
	out     *bufio.Reader // nil for another program, whose standard output is its log
	addr    string
}

// start starts the variant's program, with the environment that its telemetry needs.
func (b *bench) start(ctx context.Context, v *variant, args ...string) (p *process, err error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	line := v.command
	if line == nil {
		line = append([]string{"/proc/self/exe", "child", v.name, "--port", port, "--model", v.model}, args...)
	}
	p = &process{addr: net.JoinHostPort("127.0.0.1", port)}
	p.command = exec.CommandContext(ctx, line[0])
	for _, arg := range line[1:] {
		p.command.Args = append(p.command.Args, strings.ReplaceAll(arg, "{port}", port))
	}
	p.command.Stderr = os.Stderr
	p.command.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG="+v.sampled, "OTEL_EXPORTER_OTLP_ENDPOINT="+b.collector.URL)
	if v.sampled != "" {
		p.command.Env = append(p.command.Env, "OTEL_TRACES_EXPORTER=otlp")
	}
	p.command.Env = append(p.command.Env, v.env...)
	// A group of its own, so that workers end with it.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.Cancel = func() error { return syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) }
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	log, logEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer logEnd.Close() // the process has its own
	go drain(log)
	if v.command != nil {
		p.command.Stdout = logEnd
	} else {
		p.command.ExtraFiles = []*os.File{logEnd}
		out, err := p.command.StdoutPipe()
		if err != nil {
			return nil, err
		}
		p.out = bufio.NewReader(out)
	}
	p.started = time.Now()
	return p, p.command.Start()
}

// stop ends the process, and all that it started. Another program is told by a signal, and may end by it.
func (p *process) stop() error {
	err := p.in.Close()
	if p.out == nil {
		err = errors.Join(err, p.command.Process.Signal(syscall.SIGTERM))
	}
	ended := p.command.Wait()
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // mostly there is nobody left
	if _, exited := errors.AsType[*exec.ExitError](ended); exited && p.out == nil {
		ended = nil
	}
	return errors.Join(err, ended)
}

// ready returns how long after its start the process said that it was ready.
func (p *process) ready(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*patience)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		c, err := dial(ctx, p.addr, 0)
		if err == nil {
			_, err = c.ask([]byte("GET /ready_check HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"))
			_ = c.conn.Close()
		}
		if err == nil {
			return time.Since(p.started), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("not ready: %w", err)
		case <-again.C:
		}
	}
}

// read reads what the process writes next.
func (p *process) read(v any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// usage is what the process has used; one of this program also tells what it allocated.
func (p *process) usage() (u usage, err error) {
	if p.out != nil {
		if _, err := fmt.Fprintln(p.in); err != nil {
			return u, err
		}
		if err := p.read(&u); err != nil {
			return u, err
		}
	}
	return u, u.add(strconv.Itoa(p.command.Process.Pid))
}

// usage is what a process and its descendants have used since they started.
type usage struct {
	CPU                      time.Duration
	Mallocs, Bytes, Resident uint64 // Resident is what they have now
}

func (u usage) since(earlier usage) usage {
	return usage{u.CPU - earlier.CPU, u.Mallocs - earlier.Mallocs, u.Bytes - earlier.Bytes, u.Resident}
}

// add adds what /proc says of a process and of those that it started: processor time in hundredths of a second, and
// memory in pages, those that they share counted for each.
func (u *usage) add(pid string) error {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return err
	}
	// The name, in parentheses, may hold spaces.
	fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
	const user, system, resident = 11, 12, 21
	var numbers [3]uint64
	for i, at := range []int{user, system, resident} {
		if numbers[i], err = strconv.ParseUint(fields[at], 10, 64); err != nil {
			return err
		}
	}
	u.CPU += time.Duration(numbers[0]+numbers[1]) * time.Second / 100
	u.Resident += numbers[2] * uint64(os.Getpagesize())
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	for _, child := range strings.Fields(string(children)) {
		err = errors.Join(err, u.add(child))
	}
	return err
}

// freePort is one that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port, listener.Close()
}

// drain reads a log to its end, as a container runtime does.
func drain(log *os.File) {
	defer log.Close()
	for buffer := make([]byte, 64<<10); ; {
		if _, err := log.Read(buffer); err != nil {
			return
		}
	}
}

// collector takes spans by OTLP over HTTP and counts them.
type collector struct {
	*httptest.Server
	spans atomic.Int64
}

func newCollector() *collector {
	c := new(collector)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans
		c.spans.Add(count(body, 1, 2, 2))
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	return c
}

// count counts the messages at the end of a path of field numbers. It reads no more of them than it must, because it
// shares the processors with the server that is measured.
func count(message []byte, path ...protowire.Number) (n int64) {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeField(message)
		if size < 0 {
			return n
		}
		field := message[:size]
		message = message[size:]
		switch {
		case number != path[0] || kind != protowire.BytesType:
		case len(path) == 1:
			n++
		default:
			_, _, tag := protowire.ConsumeTag(field)
			inner, _ := protowire.ConsumeBytes(field[tag:])
			n += count(inner, path[1:]...)
		}
	}
	return n
}
