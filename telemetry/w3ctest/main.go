// Command w3ctest is the service that the W3C's test harness for Trace Context drives (https://github.com/w3c/trace-context,
// folder test). It exists so that the harness meets the middleware and the client that Tepal itself uses: whatever
// `POST /test` asks it to call, it calls in the trace of that request.
//
// It listens on 127.0.0.1, on the port in PORT, 5000 when there is none, until it is killed. `make test-w3c` runs it.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tepalhq/tepal/telemetry"
)

const (
	maxBody = 1 << 20          // bytes of a request; the harness sends a few hundred
	timeout = 10 * time.Second // for everything that waits for somebody else
)

func main() {
	err := listen(context.Background(), net.JoinHostPort("127.0.0.1", cmp.Or(os.Getenv("PORT"), "5000")))
	fmt.Fprintln(os.Stderr, "w3ctest:", err)
	os.Exit(1)
}

func listen(ctx context.Context, address string) error {
	handler, err := newHandler(ctx, &http.Transport{})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "w3ctest: listening on", listener.Addr())
	server := &http.Server{Handler: handler, ReadTimeout: timeout, WriteTimeout: 2 * timeout, IdleTimeout: timeout}
	return server.Serve(listener)
}

// newHandler returns the service.
func newHandler(ctx context.Context, transport http.RoundTripper) (http.Handler, error) {
	// A processor without an exporter: it is there to turn tracing on.
	tel, err := telemetry.New(ctx, telemetry.Options{
		SpanProcessors: []sdktrace.SpanProcessor{sdktrace.NewSimpleSpanProcessor(nil)},
		TrustCallers:   true, // the harness is one that decides
		Strict:         true,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /test", tel.Route(http.MethodPost, "/test", &caller{
		client: &http.Client{Transport: tel.Transport(transport), Timeout: timeout},
	}))
	return mux, nil
}

// call is one element of what the harness posts: where to post which arguments.
type call struct {
	URL       string          `json:"url"`
	Arguments json.RawMessage `json:"arguments"`
}

// caller makes the calls that a request asks for, one after the other.
type caller struct{ client *http.Client }

// ServeHTTP implements http.Handler.
func (c *caller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var calls []call
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&calls); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, call := range calls {
		if err := c.post(r.Context(), call); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
}

func (c *caller) post(ctx context.Context, call call) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Arguments))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", call.URL, response.Status)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxBody)) // read to its end, the connection can be used again
	return err
}
