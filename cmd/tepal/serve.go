package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/otel"
	"golang.org/x/term"

	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/printable"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/server/processors"
	"github.com/tepalhq/tepal/telemetry"
)

type serveCmd struct {
	modelArg

	HTTPAddr string `group:"Addresses:" help:"Address of the REST routes and health, HOST:PORT." default:"${http_addr}"`
	OpsAddr  string `group:"Addresses:" help:"Address of /metrics, /debug/pprof and health; never make it public." default:"${ops_addr}"`

	DrainDelay      time.Duration `group:"Stop:" help:"How long to go on answering after saying not ready, so that load balancers turn away; 0s for not at all." default:"${drain_delay}"`
	ShutdownTimeout time.Duration `group:"Stop:" help:"Bound on the whole stop, the drain delay included; its last 2s are kept for telemetry. Keep it below the pod's grace period." default:"${shutdown_timeout}"`

	MaxConcurrency *int          `group:"Limits:" help:"Requests computed at once; one for each processor when left out." placeholder:"N"`
	MaxQueue       *int          `group:"Limits:" help:"Requests that may wait for that; beyond it 503. 0 for none, 128 for each of --max-concurrency when left out." placeholder:"N"`
	QueueTimeout   time.Duration `group:"Limits:" help:"How long a request may wait; beyond it 503." default:"${queue_timeout}"`
	MemoryBudget   *int64        `name:"memory-budget-bytes" group:"Limits:" help:"Memory for all connections, bodies, batches and answers together; beyond it 503. Half of what Go may use (GOMEMLIMIT, or the container's limit) when left out, 256 MiB where nothing limits it." placeholder:"N"`
	MaxConnections *int          `group:"Limits:" help:"Connections to --http-addr; beyond it idle ones are closed, or new ones get 503. What half of --memory-budget-bytes is enough for when left out." placeholder:"N"`
	MaxBodyBytes   int64         `group:"Limits:" help:"Largest request body, or line of a stream; beyond it 413." default:"${max_body_bytes}"`
	MaxBatch       int           `group:"Limits:" help:"Most instances in a request; beyond it 413." default:"${max_batch}"`

	LogLevel    string              `group:"Logs:" help:"Least severe level that is logged: debug, info, warn or error." default:"info" complete:"debug,info,warn,error"`
	LogFormat   string              `group:"Logs:" help:"Form of the log's lines: gcp, ecs, plain, console, or auto, which is console on a terminal and gcp elsewhere." enum:"auto,gcp,ecs,plain,console" default:"auto"`
	AccessLog   telemetry.AccessLog `group:"Logs:" help:"Requests that get a line: all, errors, off, or sampled:SHARE, such as sampled:0.01. Those that fail or are slow get one in any case; with off, those that are slow or the server's fault." default:"all" complete:"all,errors,off,sampled:0.01"`
	Slow        time.Duration       `group:"Logs:" help:"Latency from which a request counts as slow; 0s for none." default:"100ms"`
	LogPayloads telemetry.Share     `group:"Logs:" help:"Requests whose features and answers are logged, for replay: off, or sampled:SHARE." default:"off" complete:"off,sampled:0.01"`

	TrustCallers bool `group:"Traces:" help:"Let the trace headers of callers decide which requests are recorded. Use it only where a gateway drops such headers of strangers. Without it, OTEL_TRACES_SAMPLER bounds what is recorded."`

	ModelDigest   given         `group:"Model:" help:"Refuse a model file of any other digest." placeholder:"sha256:HEX"`
	RequireGolden bool          `group:"Model:" help:"Refuse a model file without golden rows, which prove its answers."`
	DriftWindow   time.Duration `group:"Model:" help:"How far back drift is measured; at least 1m." default:"${drift_window}"`
	Check         bool          `group:"Model:" help:"Check the settings, load and prove the model, and exit."`
}

// serveDefaults lends serveCmd's tags the server's own defaults.
func serveDefaults() kong.Vars {
	return kong.Vars{
		"http_addr":        server.DefaultHTTPAddr,
		"ops_addr":         server.DefaultOpsAddr,
		"drain_delay":      server.DefaultDrainDelay.String(),
		"shutdown_timeout": server.DefaultShutdownTimeout.String(),
		"queue_timeout":    server.DefaultQueueTimeout.String(),
		"max_body_bytes":   strconv.Itoa(server.DefaultMaxBodyBytes),
		"max_batch":        strconv.Itoa(server.DefaultMaxBatch),
		"drift_window":     server.DefaultDriftWindow.String(),
	}
}

// Help teaches what the flags alone do not.
func (serveCmd) Help() string {
	return `Routes: POST /predict, GET /models, GET /models/NAME, GET /models/NAME/drift, GET /live_check, GET /ready_check.

The server says ready only after every golden row in the model file, a row with the answer that its trainer got, was answered as expected. A model without golden rows is served as unproven, with a warning; --require-golden refuses it. A model that is missing, refused, or answers otherwise does not end the server: it stays alive and not ready, and says why. --check makes a failure of it, and so does a server whose standard output is a terminal.

Logs are JSON lines on standard output, or readable ones on a terminal.

SIGTERM or SIGINT stops it without losing a request: not ready, wait, drain, close, flush. A second one ends it at once.

Environment:

Traces and metrics go where the standard OTEL_ variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT. GOOGLE_CLOUD_PROJECT gives log lines the names that Cloud Logging links traces by, and NO_COLOR takes colour from a terminal. GOGC and GOMEMLIMIT, on memory, and GOMAXPROCS, on processors, are Go's own. Where GOMAXPROCS is set, one of those processors is kept for probes and refusals.

Examples:

  tepal serve model.onnx
  tepal serve --check model.onnx
  TEPAL_LOG_FORMAT=ecs tepal serve --http-addr localhost:9000 --access-log errors`
}

// Validate is called by the parser once all flags are read.
func (c *serveCmd) Validate() error {
	if _, err := telemetry.ParseLevel(c.LogLevel); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	switch {
	case c.MaxQueue != nil && *c.MaxQueue < 0:
		return fmt.Errorf("--max-queue: %d is below 0", *c.MaxQueue)
	case c.MemoryBudget != nil && *c.MemoryBudget < 1:
		return fmt.Errorf("--memory-budget-bytes: %d is below 1", *c.MemoryBudget)
	case c.MaxConnections != nil && *c.MaxConnections < 1:
		return fmt.Errorf("--max-connections: %d is below 1", *c.MaxConnections)
	case c.Slow < 0:
		return fmt.Errorf("--slow: %v is below 0s", c.Slow)
	}
	if err := c.config().Validate(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

func (c *serveCmd) config() server.Config {
	config := server.Config{
		HTTPAddr: c.HTTPAddr, OpsAddr: c.OpsAddr,
		DrainDelay: c.DrainDelay, ShutdownTimeout: c.ShutdownTimeout,
		MaxConcurrency: server.DefaultMaxConcurrency(),
		QueueTimeout:   c.QueueTimeout, MaxBodyBytes: c.MaxBodyBytes, MaxBatch: c.MaxBatch, LogPayloads: c.LogPayloads,
		DriftWindow: c.DriftWindow,
	}
	if c.MaxConcurrency != nil {
		config.MaxConcurrency = *c.MaxConcurrency
	}
	if c.MemoryBudget != nil {
		config.MemoryBudgetBytes = *c.MemoryBudget
	}
	if c.MaxConnections != nil {
		config.MaxConnections = *c.MaxConnections
	}
	if c.MaxQueue != nil {
		// There, 0 is the default, and less is none.
		config.MaxQueue = cmp.Or(*c.MaxQueue, -1)
	}
	return config
}

// Run serves until the context ends.
func (c *serveCmd) Run(ctx context.Context, s streams, app *kong.Context) error {
	source := c.source()
	source.Digest, source.RequireGolden = string(c.ModelDigest), c.RequireGolden
	out := s.out
	if c.Check {
		out = s.err
	}
	buffer := telemetry.NewLogBuffer(out)
	defer func() { _ = buffer.Flush() }() // there is nowhere left to say that it failed
	logger := c.logger(buffer, isTerminal(out))
	warnUnknown(logger, app.Selected())
	pace := memory.Set("/sys/fs/cgroup")
	defer processors.AddSpare()() // before the settings, whose defaults count processors
	config, err := c.config().Settle()
	if err != nil {
		return usageError{fmt.Errorf("--%w", err)}
	}
	if c.Check {
		return check(ctx, s, source)
	}
	ctx, release := untilSignal(ctx)
	defer release()
	// These belong to the process, so no package below sets them. A standard output that is closed costs lines of the log,
	// which are counted, and not the server.
	signal.Ignore(syscall.SIGPIPE)
	log.SetFlags(0)
	log.SetOutput(telemetry.NewStandardOutput(logger))
	otel.SetErrorHandler(telemetry.NewErrorHandler(logger))
	otel.SetLogger(telemetry.NewSDKLogger(logger))
	c.AccessLog.Slow = c.Slow
	logger.Info("memory", "gc_percent", pace.GCPercent, "memory_limit_bytes", pace.Limit,
		"memory_budget_bytes", config.MemoryBudgetBytes, "max_connections", config.MaxConnections, "max_body_bytes", config.MaxBodyBytes)
	srv, err := server.New(ctx, server.Options{
		Config: config, Source: source, Logger: logger, EndWithoutModel: isTerminal(out),
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(ctx, telemetry.Options{
				Version: version, Commit: commit, Logger: logger, LogBuffer: buffer, AccessLog: c.AccessLog, Stderr: s.err, OnPanic: onPanic,
				TrustCallers: c.TrustCallers,
			})
		},
	})
	if err != nil {
		return err
	}
	return srv.Run(ctx)
}

// check does what a start does, short of listening.
func check(ctx context.Context, s streams, source repository.Source) error {
	tel, err := telemetry.New(ctx, telemetry.Options{Stderr: s.err, Strict: true})
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	// Nothing was recorded, so nothing is to be sent: without time, whether a collector answers makes no difference.
	noTime, cancel := context.WithCancel(ctx)
	cancel()
	if err := tel.Shutdown(noTime); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("telemetry: %w", err)
	}
	served, err := repository.Open(ctx, source)
	if err != nil {
		return err
	}
	printWarnings(s.err, served)
	_, err = fmt.Fprintf(s.out, "the settings are valid; %s is ready to serve: %s\n", printable.Text(source.String()), summary(served))
	return err
}

func (c *serveCmd) logger(w io.Writer, terminal bool) *slog.Logger {
	level, _ := telemetry.ParseLevel(c.LogLevel) // Validate has read it
	format := telemetry.Format(c.LogFormat)
	switch {
	case c.LogFormat != "auto":
	case terminal:
		format = telemetry.FormatConsole
	default:
		format = telemetry.FormatGCP
	}
	return telemetry.NewLogger(w, telemetry.LogOptions{
		Level: level, Format: format, NoColor: os.Getenv("NO_COLOR") != "" || !terminal, Project: os.Getenv("GOOGLE_CLOUD_PROJECT"), Service: os.Getenv("OTEL_SERVICE_NAME"),
	})
}

// isTerminal reports whether a person is looking at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
