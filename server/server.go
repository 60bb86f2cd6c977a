// Package server is the way a request goes: listeners, lifecycle, admission,
// front doors and the problems they answer. A front door translates its wire
// protocol to and from the types of package model and does nothing else;
// admission, spans, metrics and the prediction itself have one place each.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/server/processors"
	"github.com/tepalhq/tepal/telemetry"
	"github.com/tepalhq/tepal/telemetry/drift"
)

// Config is what an operator can set. The zero value of a number means its
// default.
type Config struct {
	// HTTPAddr and OpsAddr are listened on, host:port.
	HTTPAddr string
	OpsAddr  string
	// DrainDelay is how long the server goes on answering after it has said
	// that it is not ready, so that load balancers can turn away.
	DrainDelay time.Duration
	// ShutdownTimeout bounds the whole stop, DrainDelay included. Its last
	// FlushReserve is for the telemetry alone.
	ShutdownTimeout time.Duration
	// MaxConcurrency is how many requests are decoded, predicted and encoded
	// at once; MaxQueue how many may wait for that, none when negative;
	// QueueTimeout for how long.
	MaxConcurrency int
	MaxQueue       int
	QueueTimeout   time.Duration
	// MemoryBudgetBytes is the memory that all connections, bodies, batches,
	// answers and documents take together; what would not fit is refused. The
	// default is memory.DefaultBudget.
	MemoryBudgetBytes int64
	// MaxConnections bounds the connections to HTTPAddr. The default takes half
	// of the memory budget, and leaves some of the process's open files.
	MaxConnections int
	// MaxBodyBytes and MaxBatch bound a request. A body is at most half of what
	// connections leave of the memory budget, whatever is set.
	MaxBodyBytes int64
	MaxBatch     int
	// LogPayloads is the share of the requests whose instances and predictions
	// are logged; none when zero.
	LogPayloads telemetry.Share
	// DriftWindow is how far back drift is measured.
	DriftWindow time.Duration
}

// The defaults of Config.
const (
	DefaultHTTPAddr        = ":8000"
	DefaultOpsAddr         = ":8002"
	DefaultDrainDelay      = 5 * time.Second
	DefaultShutdownTimeout = 25 * time.Second
	DefaultQueueTimeout    = time.Second
	DefaultMaxBodyBytes    = 8 << 20
	DefaultMaxBatch        = 10_000
	DefaultDriftWindow     = time.Hour
	// DefaultQueuePerSlot is how many requests may wait for each of
	// MaxConcurrency: what a processor gets through in a fraction of
	// DefaultQueueTimeout.
	DefaultQueuePerSlot = 128

	// FlushReserve is the end of ShutdownTimeout that no request can use up.
	FlushReserve = 2 * time.Second
)

// DefaultMaxConcurrency is one request for each processor but the one that is
// left to read, to refuse and to answer probes. More would share the same
// processors and only be slower together.
func DefaultMaxConcurrency() int { return processors.ForRequests() }

// Settle returns the configuration with its defaults in place of zeros, and
// what it settles for given the memory there is; an error names the first
// setting that cannot work. Settling twice changes nothing.
func (c Config) Settle() (Config, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return c, err
	}
	return c, c.validateMemory()
}

func (c Config) withDefaults() Config {
	c.HTTPAddr = cmp.Or(c.HTTPAddr, DefaultHTTPAddr)
	c.OpsAddr = cmp.Or(c.OpsAddr, DefaultOpsAddr)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, DefaultShutdownTimeout)
	c.MaxConcurrency = cmp.Or(c.MaxConcurrency, DefaultMaxConcurrency())
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultQueuePerSlot*c.MaxConcurrency)
	c.QueueTimeout = cmp.Or(c.QueueTimeout, DefaultQueueTimeout)
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, DefaultMaxBodyBytes)
	c.MaxBatch = cmp.Or(c.MaxBatch, DefaultMaxBatch)
	c.DriftWindow = cmp.Or(c.DriftWindow, DefaultDriftWindow)
	return c.withMemory()
}

// Validate names the first setting that cannot work, and why. It takes zeros for
// what they are, and not for defaults as New does.
func (c Config) Validate() error {
	if err := validAddr("http-addr", c.HTTPAddr, DefaultHTTPAddr); err != nil {
		return err
	}
	if err := validAddr("ops-addr", c.OpsAddr, DefaultOpsAddr); err != nil {
		return err
	}
	switch {
	case c.HTTPAddr == c.OpsAddr && !strings.HasSuffix(c.OpsAddr, ":0"):
		return fmt.Errorf("ops-addr: %s is http-addr too", c.OpsAddr)
	case c.DrainDelay < 0:
		return fmt.Errorf("drain-delay: %v is negative", c.DrainDelay)
	case c.ShutdownTimeout < FlushReserve || c.ShutdownTimeout-FlushReserve <= c.DrainDelay: // the sum could overflow
		return fmt.Errorf("shutdown-timeout: %v leaves no time to drain: it must be longer than drain-delay (%v) and the %v kept for telemetry",
			c.ShutdownTimeout, c.DrainDelay, FlushReserve)
	case c.MaxConcurrency < 1:
		return fmt.Errorf("max-concurrency: %d is below 1", c.MaxConcurrency)
	case c.QueueTimeout <= 0:
		return fmt.Errorf("queue-timeout: %v is not above 0s", c.QueueTimeout)
	case c.MaxConcurrency > mostConcurrency:
		return fmt.Errorf("max-concurrency: %d is above %d", c.MaxConcurrency, mostConcurrency)
	case c.MemoryBudgetBytes < 0:
		return fmt.Errorf("memory-budget-bytes: %d is below 1", c.MemoryBudgetBytes)
	case c.MaxConnections < 0 || c.MaxConnections > mostConnections:
		return fmt.Errorf("max-connections: %d is outside 1 to %d", c.MaxConnections, mostConnections)
	case c.MaxBodyBytes < 1:
		return fmt.Errorf("max-body-bytes: %d is below 1", c.MaxBodyBytes)
	case c.MaxBatch < 1:
		return fmt.Errorf("max-batch: %d is below 1", c.MaxBatch)
	case c.DriftWindow < drift.MinWindow:
		return fmt.Errorf("drift-window: %v is below %v", c.DriftWindow, drift.MinWindow)
	}
	return nil
}

// validAddr says how to write an address that is not HOST:PORT.
func validAddr(name, value, example string) error {
	_, port, err := net.SplitHostPort(value)
	switch {
	case err == nil:
		if _, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil {
			return fmt.Errorf("%s: %q: %w", name, value, err)
		}
		return nil
	case value != "" && strings.Trim(value, "0123456789") == "":
		return fmt.Errorf("%s: %q is a port alone: write \":%s\", or \"localhost:%s\" for this machine alone", name, value, value, value)
	}
	return fmt.Errorf("%s: %q is not HOST:PORT, such as \"localhost%s\"", name, value, example)
}

// The time limits of connections.
const (
	// Headers come in one packet or two; a client that dribbles them is no client.
	readHeaderTimeout = 5 * time.Second
	// A body of the largest size needs 30 s over a line of 2 Mbit/s.
	readTimeout = 30 * time.Second
	// From the end of the headers: the body, the queue, the answer.
	writeTimeout = 60 * time.Second
	// Google's load balancers keep idle connections for 600 s; the server must
	// not be the first to close one, or a request already on its way is lost.
	idleTimeout = 620 * time.Second
	// Enough for any set of tracing headers and tokens.
)

// Server serves a repository's models over HTTP, and its own state on the ops
// address. It is used once: New, Run.
type Server struct {
	config     Config
	log        *slog.Logger
	telemetry  *telemetry.Telemetry
	source     repository.Source
	mustLoad   bool // EndWithoutModel
	repository *repository.Repository
	metrics    atomic.Pointer[telemetry.ModelMetrics]
	drift      atomic.Pointer[drift.Monitor]
	// watching ends when the last request is answered.
	watching context.Context
	// input ends, by endInput, shortly before a stop gives up what is still under way.
	input         context.Context
	endInput      context.CancelFunc
	streamTimeout time.Duration
	admission     *admission
	exchanges     sync.Pool
	workspaces    sync.Pool
	// memory is what large bodies, batches, answers and documents share.
	memory *memory.Budget
	// documents are those that describe the model.
	documents struct{ list, model, drift document }
	// connections counts those to HTTPAddr.
	connections func() int
	draining    atomic.Bool
	lifecycle   lifecycle
	// httpAddr and opsAddr are what was bound; failed gets a listener's end.
	httpAddr net.Addr
	opsAddr  net.Addr
	failed   chan error
}

// Options are what a server needs from its surroundings.
type Options struct {
	Config Config
	// Source is the model to serve.
	Source repository.Source
	Logger *slog.Logger
	// EndWithoutModel ends the server when the model is refused, with the
	// reason: for a person who is there to read it. Otherwise it stays alive and
	// not ready, since no restart would mend the file.
	EndWithoutModel bool
	// NewTelemetry builds the server's telemetry; the function it is given
	// answers a request whose handler panicked.
	NewTelemetry func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error)
}

// New checks the configuration, builds the server and binds its addresses;
// connections are accepted from then on and answered from Run on. A server
// that New returned must be run, even under an ended context, to be closed.
func New(ctx context.Context, o Options) (*Server, error) {
	config, err := o.Config.Settle()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:     config,
		log:        o.Logger,
		source:     o.Source,
		mustLoad:   o.EndWithoutModel,
		repository: repository.New(),
		memory:     memory.NewBudget(config.shared()),
		failed:     make(chan error, 3), // two listeners, and the model

		streamTimeout: streamTimeout,
	}
	s.input, s.endInput = context.WithCancel(context.Background())
	s.lifecycle.log = o.Logger
	if s.telemetry, err = o.NewTelemetry(answerPanic); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	s.lifecycle.flush = s.telemetry.Shutdown
	s.admission = newAdmission(s.config.MaxConcurrency, s.config.MaxQueue, s.config.QueueTimeout, s.telemetry.Metrics())
	var unwatch context.CancelFunc
	s.watching, unwatch = context.WithCancel(context.Background())
	s.lifecycle.add("stop watching for drift", func(context.Context) error { unwatch(); return nil })
	if err := s.bind(ctx); err != nil {
		return nil, errors.Join(err, s.lifecycle.stop(time.Now().Add(2*FlushReserve)))
	}
	s.telemetry.Metrics().SetMemory(s.memoryStats)
	return s, nil
}

// bind opens both addresses, so that a port already taken is known before
// anything is served. Steps of the stop are added in the order of the start
// and run in reverse.
func (s *Server) bind(ctx context.Context) error {
	for _, l := range []struct {
		name   string
		flag   string
		addr   string
		bound  *net.Addr
		routes http.Handler
		grace  time.Duration
		most   int
	}{
		{"ops server", "--ops-addr", s.config.OpsAddr, &s.opsAddr, s.opsRoutes(), 0, opsConnections},
		{"HTTP server", "--http-addr", s.config.HTTPAddr, &s.httpAddr, s.routes(), closeGrace, s.config.MaxConnections},
	} {
		var lc net.ListenConfig
		listener, err := lc.Listen(ctx, "tcp", l.addr)
		if err != nil {
			return fmt.Errorf("%s: %w; %s takes another address", l.name, err, l.flag)
		}
		*l.bound = listener.Addr()
		watched, watch := watchDeadlines(s.watching, listener.(*net.TCPListener))
		watched.limit.most, watched.limit.closed = l.most, s.telemetry.Metrics().Closed
		s.connections = watched.count // of the last, the HTTP server
		server := s.newHTTPServer(l.routes)
		s.lifecycle.add("drain "+l.name, func(ctx context.Context) error { return s.drain(ctx, server, watched, l.grace) })
		s.lifecycle.start = append(s.lifecycle.start, watch, func() {
			err := server.Serve(watched)
			if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				s.failed <- fmt.Errorf("%s: %w", l.name, err)
			}
		})
	}
	return nil
}

// boundInput lets callers send for as long as there is time to drain, less what
// it takes to tell them that it is over.
func (s *Server) boundInput(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		time.AfterFunc(left-min(inputReserve, left/2), s.endInput)
	}
	return nil
}

// newHTTPServer is an HTTP server with every limit set, whose own errors go to
// the log.
func (s *Server) newHTTPServer(routes http.Handler) *http.Server {
	return &http.Server{
		Handler:           routes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		// OPTIONS * gets our answer and its line, like any path that is unknown.
		DisableGeneralOptionsHandler: true,
		ConnState:                    noteState,
	}
}

// closeGrace is how long connections that clients keep are still read after the
// listener is closed. A request that crossed the server's decision to stop is
// answered, with Connection: close, where closing at once would lose it.
const closeGrace = 250 * time.Millisecond

// The end of the time to drain.
const (
	// inputReserve is the part of it in which nothing more is read: streams are
	// told where they end, and bodies and headers that are still on their way
	// come too late.
	inputReserve = 3 * time.Second
	// inputPause is how long a read may still wait for its caller then.
	inputPause = 100 * time.Millisecond
)

// drain takes no more connections, lets the requests under way end, and cuts
// off those that have not when ctx ends. What waits for its caller ends before:
// reads with the input, and writes, and what is read of a body after a refusal,
// in the middle of the time that is left then.
func (s *Server) drain(ctx context.Context, server *http.Server, listener *deadlines, grace time.Duration) error {
	err := listener.Close()
	wait(ctx, grace)
	defer context.AfterFunc(s.input, func() {
		now := time.Now()
		left := inputReserve
		if deadline, ok := ctx.Deadline(); ok {
			left = deadline.Sub(now)
		}
		listener.end(now.Add(min(inputPause, left/2)), now.Add(left/2))
	})()
	// Shutdown closes the listener once more, if it is quicker than Serve to see
	// that it is closed.
	if draining := server.Shutdown(ctx); draining != nil && !errors.Is(draining, net.ErrClosed) {
		err = errors.Join(err, draining, server.Close())
	}
	return err
}

// wait returns after the delay, or when ctx ends.
func wait(ctx context.Context, delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// HTTPAddr returns the address that HTTP is served on.
func (s *Server) HTTPAddr() net.Addr { return s.httpAddr }

// OpsAddr returns the address of metrics, profiles and health.
func (s *Server) OpsAddr() net.Addr { return s.opsAddr }

// Run serves until ctx ends or a listener fails, and then stops: not ready,
// wait, drain, close, flush. It returns when all of that is done, at most
// Config.ShutdownTimeout after ctx ended, with the errors met on the way.
func (s *Server) Run(ctx context.Context) error {
	for _, serve := range s.lifecycle.start {
		s.lifecycle.wait.Go(serve)
	}
	s.log.Info("listening", "http_addr", s.httpAddr.String(), "ops_addr", s.opsAddr.String())
	loading, abandon := context.WithCancel(ctx)
	s.lifecycle.add("stop loading", func(context.Context) error { abandon(); return nil })
	s.lifecycle.wait.Go(func() { s.load(loading) })
	s.lifecycle.add("bound input", s.boundInput)
	s.lifecycle.add("wait for clients to turn away", s.waitDrainDelay)
	s.lifecycle.add("say not ready", func(context.Context) error {
		s.draining.Store(true)
		s.log.Info("not ready", "reason", reasonDraining)
		s.telemetry.Metrics().SetReady(false)
		return nil
	})

	var failure error
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "cause", context.Cause(ctx).Error(), "timeout", s.config.ShutdownTimeout)
	case failure = <-s.failed:
		s.log.Error("stopping", "error", failure)
	}
	err := errors.Join(failure, s.lifecycle.stop(time.Now().Add(s.config.ShutdownTimeout)))
	s.log.Info("stopped")
	return err
}

func (s *Server) waitDrainDelay(ctx context.Context) error {
	wait(ctx, s.config.DrainDelay)
	return nil
}

// load brings the model in; until then, and when it fails, the server is not
// ready and says why.
func (s *Server) load(ctx context.Context) {
	start := time.Now()
	served, err := repository.Open(ctx, s.source)
	if ctx.Err() != nil {
		// The server stops; that it never became ready is no fault of the model.
		return
	}
	if served != nil {
		s.telemetry.Metrics().SetGolden(served.Name, served.Version, string(served.Golden.Status))
	}
	if err != nil {
		s.repository.Refuse(err)
		s.log.ErrorContext(ctx, "not ready", "reason", s.repository.Reason())
		if s.mustLoad {
			s.failed <- fmt.Errorf("the model is refused: %w", err)
		}
		return
	}
	s.metrics.Store(s.telemetry.Metrics().ForModel(served.Name, served.Version, served.Digest, served.Schema.Classes.Texts()))
	s.watch(served.Model)
	s.repository.Serve(served)
	s.telemetry.Metrics().SetReady(!s.draining.Load())
	for _, text := range served.Warnings {
		s.log.WarnContext(ctx, "model", "warning", text)
	}
	level := slog.LevelInfo
	if served.Golden.Status != model.GoldenProven {
		level = slog.LevelWarn
	}
	s.log.Log(ctx, level, "ready",
		"model", served.Name, "model_version", served.Version, "model_digest", served.Digest,
		"golden_status", string(served.Golden.Status), "golden_rows", served.Golden.Rows,
		"duration", time.Since(start))
}
