//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tepalhq/tepal/model/repository"
)

// bench starts the processes, sends the load and collects the samples.
type bench struct {
	*compareCmd
	variants  []variant
	requests  [][]byte
	answers   [][]byte // to the first of the requests
	collector *collector
	samples   [][]sample // by variant, then by round
}

// used is what some requests took.
type used struct {
	Requests int
	Took     time.Duration
	usage
}

// sample is what one round found of one variant.
type sample struct {
	used     // by the server, for what it was sent
	p50, p99 time.Duration
	spans    float64 // exported for each request
	alone    used    // by the handler without a network; zero where there is none
}

func newBench(ctx context.Context, c *compareCmd) (*bench, error) {
	for _, name := range c.Variants {
		if _, err := find(name); err != nil {
			return nil, err
		}
	}
	b := &bench{compareCmd: c}
	for _, v := range variants() {
		if len(c.Variants) == 0 || v.name == reference || slices.Contains(c.Variants, v.name) {
			b.variants = append(b.variants, v)
		}
	}
	b.samples = make([][]sample, len(b.variants))
	served, err := repository.Open(ctx, source())
	if err != nil {
		return nil, err
	}
	handler, _, err := bare(ctx, served, nil)
	if err != nil {
		return nil, err
	}
	expected := newCaller(ctx, handler)
	for i, body := range bodies(&served.Schema) {
		b.requests = append(b.requests, request(body))
		if i < 16 {
			b.answers = append(b.answers, bytes.Clone(expected.call(body)))
		}
	}
	b.collector, err = newCollector(ctx)
	return b, err
}

// measure takes a sample of the variant at that place.
func (b *bench) measure(ctx context.Context, at int) error {
	v := b.variants[at]
	s, err := b.serve(ctx, v)
	if err == nil && v.build != nil {
		err = b.run(ctx, v, func(p *process) error { return p.read(&s.alone) }, "--alone", b.Duration.String())
	}
	b.samples[at] = append(b.samples[at], s)
	return err
}

// serve takes the part of a sample that needs a server.
func (b *bench) serve(ctx context.Context, v variant) (s sample, err error) {
	spans := b.collector.spans.Load()
	var all int
	err = b.run(ctx, v, func(p *process) error {
		line, err := p.out.ReadString('\n')
		if err != nil {
			return err
		}
		addr := strings.TrimSpace(line)
		if err := b.waitReady(ctx, addr); err != nil {
			return err
		}
		warm, err := load(ctx, addr, b.requests, b.Connections, b.Duration/4)
		if err != nil {
			return err
		}
		before, err := p.usage()
		if err != nil {
			return err
		}
		start := time.Now()
		took, err := load(ctx, addr, b.requests, b.Connections, b.Duration)
		if err != nil {
			return err
		}
		s.Requests, s.Took = len(took), time.Since(start)
		s.p50, s.p99 = took[len(took)/2], took[len(took)*99/100]
		all = len(warm) + len(took) + len(b.answers)
		after, err := p.usage()
		s.usage = after.since(before)
		return err
	}, "--profile", b.Profile)
	// At its end the server has sent the spans that were left.
	s.spans = float64(b.collector.spans.Load()-spans) / float64(all)
	return s, err
}

// waitReady returns when the server gives the right answers.
func (b *bench) waitReady(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := check(ctx, addr, b.requests, b.answers)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// process is the process of a measurement.
type process struct {
	in  io.Writer
	out *bufio.Reader
}

// run starts this program anew, with the environment that the variant's telemetry needs, for as long as f takes.
func (b *bench) run(ctx context.Context, v variant, f func(*process) error, args ...string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, program, append([]string{"child", v.name}, args...)...)
	command.Stderr = os.Stderr
	command.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG="+v.sampled, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+b.collector.addr)
	if v.sampled != "" {
		command.Env = append(command.Env, "OTEL_TRACES_EXPORTER=otlp")
	}
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	log, logEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	command.ExtraFiles = []*os.File{logEnd}
	go drain(log)
	err = command.Start()
	_ = logEnd.Close() // the process has its own
	if err != nil {
		return err
	}
	err = f(&process{in: in, out: bufio.NewReader(out)})
	return errors.Join(err, in.Close(), command.Wait())
}

// read reads what the process writes next.
func (p *process) read(v any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// usage asks the process what it has used.
func (p *process) usage() (u usage, err error) {
	if _, err = fmt.Fprintln(p.in); err != nil {
		return u, err
	}
	return u, p.read(&u)
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
	addr   string
	server *http.Server
	spans  atomic.Int64
}

func newCollector(ctx context.Context) (*collector, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &collector{addr: listener.Addr().String()}
	c.server = &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans
		c.spans.Add(count(body, 1, 2, 2))
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	go func() { _ = c.server.Serve(listener) }() // it ends with an error when it is closed
	return c, nil
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
