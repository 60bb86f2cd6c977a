package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"golang.org/x/term"

	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/telemetry"
)

type serveCmd struct {
	modelArg

	HTTPAddr        string        `help:"Address of the REST routes and health." default:":8000"`
	OpsAddr         string        `help:"Address of /metrics, /debug/pprof and health; never make it public." default:":8002"`
	DrainDelay      time.Duration `help:"How long to go on answering after saying not ready, so that load balancers turn away." default:"5s"`
	ShutdownTimeout time.Duration `help:"Bound on the whole stop, the drain delay included; its last 2s are kept for telemetry. Keep it below the pod's grace period." default:"25s"`
	MaxConcurrency  int           `help:"Requests computed at once (default: 2 for each processor)." placeholder:"N"`
	MaxQueue        *int          `help:"Requests that may wait for that; beyond it 503 (default: 64 for each of --max-concurrency)." placeholder:"N"`
	QueueTimeout    time.Duration `help:"How long a request may wait; beyond it 503." default:"1s"`
	MaxBodyBytes    int64         `help:"Largest request body; beyond it 413." default:"8388608"`
	MaxBatch        int           `help:"Most instances in a request; beyond it 413." default:"10000"`
	ModelDigest     string        `help:"Refuse a model file of any other digest." placeholder:"sha256:HEX"`
	LogLevel        string        `help:"Least severe level that is logged: debug, info, warn or error." default:"info"`
	Check           bool          `help:"Check the settings, load and prove the model, and exit."`
}

// Help teaches what the flags alone do not.
func (serveCmd) Help() string {
	return `Routes: POST /predict, GET /models, GET /models/NAME, GET /live_check, GET /ready_check.
The server says ready only after every golden row in the model file was answered as expected.
Logs are JSON lines on standard output, or readable ones on a terminal. Traces go where the standard OTEL_* variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT.
SIGTERM or SIGINT stops it without losing a request: not ready, wait, drain, close, flush. A second one ends it at once.`
}

// Validate is called by the parser once all flags are read.
func (c *serveCmd) Validate() error {
	if _, err := telemetry.ParseLevel(c.LogLevel); err != nil {
		return fmt.Errorf("--log-level: %w", err)
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
		MaxConcurrency: c.MaxConcurrency, QueueTimeout: c.QueueTimeout,
		MaxBodyBytes: c.MaxBodyBytes, MaxBatch: c.MaxBatch,
	}
	if c.MaxQueue != nil {
		config.MaxQueue = *c.MaxQueue
		if *c.MaxQueue == 0 {
			config.MaxQueue = -1
		}
	}
	return config
}

// Run serves until the context ends.
func (c *serveCmd) Run(ctx context.Context, s streams, env environment) error {
	source := c.source()
	source.Digest = c.ModelDigest
	if c.Check {
		return check(ctx, s, source)
	}
	logger := c.logger(s.out)
	env.warnUnknown(logger)
	// These three belong to the process, so no package below sets them.
	log.SetFlags(0)
	log.SetOutput(telemetry.StdLogger(logger, slog.LevelWarn).Writer())
	otel.SetErrorHandler(telemetry.NewErrorHandler(logger))
	srv, err := server.New(ctx, server.Options{
		Config: c.config(), Source: source, Logger: logger,
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(ctx, telemetry.Options{
				Version: version, Commit: commit, Logger: logger, Stderr: s.err, OnPanic: onPanic,
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
	served, err := repository.Open(ctx, source)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "the settings are valid; %s is ready to serve: %s\n", source, summary(served))
	return err
}

func (c *serveCmd) logger(w io.Writer) *slog.Logger {
	level, err := telemetry.ParseLevel(c.LogLevel)
	if err != nil {
		level = slog.LevelInfo
	}
	return telemetry.NewLogger(w, telemetry.LogOptions{
		Level: level, Console: isTerminal(w), NoColor: os.Getenv("NO_COLOR") != "",
		Project: os.Getenv("GOOGLE_CLOUD_PROJECT"),
	})
}

// isTerminal reports whether a person is looking at w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
