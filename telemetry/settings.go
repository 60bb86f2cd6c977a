package telemetry

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The variables that are read here. The SDK and the exporters read most of the others themselves.
const (
	envDisabled        = "OTEL_SDK_DISABLED"
	envExporter        = "OTEL_TRACES_EXPORTER"
	envMetricsExporter = "OTEL_METRICS_EXPORTER"
	envSampler         = "OTEL_TRACES_SAMPLER"
	envSamplerArg      = "OTEL_TRACES_SAMPLER_ARG"
	envPropagators     = "OTEL_PROPAGATORS"
	envResource        = "OTEL_RESOURCE_ATTRIBUTES"
	envQueueSize       = "OTEL_BSP_MAX_QUEUE_SIZE"
	envEndpoint        = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint  = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envMetricsEndpoint = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
	envProtocol        = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol  = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envMetricsProtocol = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
	envGoogleProject   = "GOOGLE_CLOUD_PROJECT"
)

// env reads a variable the way the OpenTelemetry specification wants it: an empty value is an unset one.
func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// SettingError is a variable whose value cannot be used. It never holds the value, which may be a secret.
type SettingError struct {
	Variable string
	Expected string // what it accepts
	Instead  string // what is done without it
}

// Error implements error.
func (e *SettingError) Error() string {
	return fmt.Sprintf("%s is not usable: expected %s", e.Variable, e.Expected)
}

// settings are what the OTEL_* variables ask for. As the OpenTelemetry specification wants it, a value that cannot be used
// counts as none, and is told; no prediction depends on it.
type settings struct {
	disabled   bool
	propagator propagation.TextMapPropagator
	sampling   sampling
	exporters  []string // of spans
	traces     otlp
	push       bool
	metrics    otlp
	queueSize  int
	batches    []sdktrace.BatchSpanProcessorOption

	faults []error // each a *SettingError
}

// otlp is how one kind of data is sent by OTLP.
type otlp struct {
	overGRPC bool
	unusable bool          // there is no endpoint that could be meant
	timeout  time.Duration // 0: the exporter reads it itself
}

func readSettings() *settings {
	s := &settings{}
	s.propagator = s.readPropagators()
	s.disabled = s.readDisabled()
	if s.disabled {
		return s
	}
	s.sampling = s.readSampling()
	fallback := exporterNone
	if env(envEndpoint) != "" || env(envTracesEndpoint) != "" {
		fallback = exporterOTLP
	}
	s.exporters = s.readExporters(envExporter, fallback, exporterOTLP, exporterConsole, exporterGCP)
	s.push = len(s.readExporters(envMetricsExporter, exporterNone, exporterOTLP)) > 0
	if slices.Contains(s.exporters, exporterOTLP) {
		s.traces = s.readOTLP("TRACES_")
	}
	if s.push {
		s.metrics = s.readOTLP("METRICS_")
	}
	s.readBatches()
	s.checkTheSDKs()
	return s
}

// fault notes that a variable cannot be used, once.
func (s *settings) fault(variable, expected, instead string) {
	e := &SettingError{Variable: variable, Expected: expected, Instead: instead}
	if !slices.ContainsFunc(s.faults, func(known error) bool { return known.Error() == e.Error() }) {
		s.faults = append(s.faults, e)
	}
}

func (s *settings) readDisabled() bool {
	switch strings.ToLower(env(envDisabled)) {
	case "true":
		return true
	case "", "false":
	default:
		s.fault(envDisabled, "true or false", "the SDK is not disabled")
	}
	return false
}

// readExporters reads a variable that lists exporters, each once. Those that are not known are left out.
func (s *settings) readExporters(variable, fallback string, known ...string) []string {
	value := strings.ToLower(cmp.Or(env(variable), fallback))
	if value == exporterNone {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		switch name = strings.TrimSpace(name); {
		case !slices.Contains(known, name):
			s.fault(variable, exporterNone+" or a list of: "+strings.Join(known, ", "), "what else it names is used")
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names
}

// readSampling reads OTEL_TRACES_SAMPLER and its argument.
func (s *settings) readSampling() sampling {
	const fallback = "parentbased_always_on"
	root, parentBased := strings.CutPrefix(strings.ToLower(cmp.Or(env(envSampler), fallback)), "parentbased_")
	chosen := sampling{parentBased: parentBased}
	switch root {
	case "always_on":
		chosen.share = everything()
	case "always_off":
	case "traceidratio":
		chosen.share = s.readRatio()
	default:
		s.fault(envSampler, "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
			"it is "+fallback)
		return sampling{parentBased: true, share: everything()}
	}
	return chosen
}

func (s *settings) readRatio() Share {
	arg := env(envSamplerArg)
	if arg == "" {
		return everything()
	}
	share, ok := shareOf(arg)
	if !ok {
		s.fault(envSamplerArg, "a number from 0 to 1", "it is 1")
		return everything()
	}
	return share
}

// readOTLP reads how one kind of data is sent; of a variable for it and a general one, the first counts.
func (s *settings) readOTLP(kind string) otlp {
	const general = "OTEL_EXPORTER_OTLP_"
	which := func(name string) string {
		if env(general+kind+name) != "" {
			return general + kind + name
		}
		return general + name
	}
	var o otlp
	switch variable := which("PROTOCOL"); env(variable) {
	case "grpc":
		o.overGRPC = true
	case "", "http/protobuf":
	default:
		s.fault(variable, "grpc or http/protobuf", "it is http/protobuf")
	}
	s.readEndpoint(which("ENDPOINT"), &o)
	s.checkNumber(which("TIMEOUT"), 1, func() { o.timeout = 10 * time.Second }) // OTLP's own default
	s.check(which("HEADERS"), "name=value,… with values in percent-encoding", "the parts that can be read are sent", validHeaders)
	s.check(which("COMPRESSION"), "gzip or none", "nothing is compressed", func(v string) bool { return v == "gzip" || v == "none" })
	s.check(which("INSECURE"), "true or false", "it is false", func(v string) bool {
		return strings.EqualFold(v, "true") || strings.EqualFold(v, "false")
	})
	s.checkCertificates(general, kind)
	return o
}

// readEndpoint refuses an endpoint that the exporter would not use as it is meant: it sends to localhost instead of one that
// it cannot parse, and over HTTP takes "collector:4318" for a URL with the scheme "collector".
func (s *settings) readEndpoint(variable string, o *otlp) {
	endpoint, expected := env(variable), "http://HOST:PORT or https://HOST:PORT"
	if endpoint == "" {
		return
	}
	if o.overGRPC {
		expected = "http://HOST:PORT, https://HOST:PORT or a gRPC target"
	}
	u, err := url.Parse(endpoint)
	if err != nil || !o.overGRPC && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		// The default would be localhost, which is nowhere that was asked for.
		s.fault(variable, expected, "nothing is sent")
		o.unusable = true
	}
}

// validHeaders reports whether the exporters can read all of a list of headers.
func validHeaders(list string) bool {
	for pair := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(pair, "=")
		decoded, err := url.PathUnescape(value)
		if !ok || err != nil || !validHeaderName(strings.TrimSpace(name)) || strings.ContainsAny(decoded, "\r\n\x00") {
			return false
		}
	}
	return true
}

// validHeaderName reports whether name is a token of RFC 9110, section 5.6.2.
func validHeaderName(name string) bool {
	return name != "" && textproto.TrimString(name) == name && !strings.ContainsFunc(name, func(r rune) bool {
		alphanumeric := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// checkCertificates sees whether the files can be read. For each kind, the SDK reads the general ones first.
func (s *settings) checkCertificates(general, kind string) {
	const without = "connections are made without it"
	for _, prefix := range []string{general, general + kind} {
		s.check(prefix+"CERTIFICATE", "a file of certificates in PEM", without, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && x509.NewCertPool().AppendCertsFromPEM(text)
		})
		certificate, key := prefix+"CLIENT_CERTIFICATE", prefix+"CLIENT_KEY"
		s.check(certificate, "a file with a certificate in PEM, and its key in "+key, without, func(file string) bool {
			_, err := tls.LoadX509KeyPair(file, env(key))
			return err == nil
		})
		s.check(key, "a file with a key in PEM, and its certificate in "+certificate, without, func(string) bool {
			return env(certificate) != ""
		})
	}
}

// check notes a fault when the variable is set and is not valid.
func (s *settings) check(variable, expected, instead string, valid func(value string) bool) {
	if value := env(variable); value != "" && !valid(value) {
		s.fault(variable, expected, instead)
	}
}

// checkNumber is check for a number of at least the given size; invalid is called when it is none.
func (s *settings) checkNumber(variable string, least int, invalid func()) {
	s.check(variable, fmt.Sprintf("a whole number of at least %d", least), "the default is used", func(value string) bool {
		n, err := strconv.Atoi(value)
		if err == nil && n >= least {
			return true
		}
		invalid()
		return false
	})
}

// maxQueueSize bounds what a queue may take: it has its memory from the start.
const maxQueueSize = 1 << 20

// readBatches reads the OTEL_BSP_ variables. The SDK would take 0 or less for any of them, and panic, drop everything or
// export without a pause.
func (s *settings) readBatches() {
	number := func(variable string, most, fallback int) int {
		value := env(variable)
		if value == "" {
			return fallback
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > most {
			s.fault(variable, fmt.Sprintf("a whole number from 1 to %d", most), fmt.Sprintf("it is %d", fallback))
			return fallback
		}
		return n
	}
	const longest = 24 * 60 * 60 * 1000 // milliseconds
	s.queueSize = number(envQueueSize, maxQueueSize, sdktrace.DefaultMaxQueueSize)
	s.batches = []sdktrace.BatchSpanProcessorOption{
		sdktrace.WithMaxQueueSize(s.queueSize),
		sdktrace.WithBatchTimeout(time.Duration(number("OTEL_BSP_SCHEDULE_DELAY", longest, sdktrace.DefaultScheduleDelay)) * time.Millisecond),
		sdktrace.WithExportTimeout(time.Duration(number("OTEL_BSP_EXPORT_TIMEOUT", longest, sdktrace.DefaultExportTimeout)) * time.Millisecond),
		sdktrace.WithMaxExportBatchSize(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", maxQueueSize, sdktrace.DefaultMaxExportBatchSize)),
	}
}

// checkTheSDKs checks what the SDK reads, and takes its defaults for, by itself.
func (s *settings) checkTheSDKs() {
	keep := func() {}
	for _, variable := range []string{"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"} {
		s.checkNumber(variable, 1, keep)
	}
	for _, variable := range []string{
		"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
		"OTEL_SPAN_LINK_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
	} {
		s.checkNumber(variable, -1, keep)
	}
	s.check(envResource, "key=value,… with values in percent-encoding", "the parts that can be read are used", func(list string) bool {
		for pair := range strings.SplitSeq(list, ",") {
			_, value, ok := strings.Cut(pair, "=")
			if _, err := url.PathUnescape(value); !ok || err != nil {
				return false
			}
		}
		return true
	})
}

// err is all faults as one error; nil when there are none.
func (s *settings) err() error { return errors.Join(s.faults...) }
