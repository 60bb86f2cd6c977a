package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"
)

// Colours of the console form, as ANSI attributes.
const (
	colorRed    = 31
	colorGreen  = 32
	colorYellow = 33
	colorCyan   = 36
	colorDim    = 90
)

// fieldsPart is the key under which the console's attributes stand, as one text, once they are prepared.
const fieldsPart = "fields"

// newConsoleWriter returns a writer that turns each JSON line into one for people:
//
//	12:30:45.678 INFO POST /predict 200 latency=0.000123s model=iris rows=1
//
// Everything that comes from outside is quoted when it holds control characters, so that no line can drive the terminal
// or pretend to be two. The parts and their formats are all set here: zerolog's own depend on package variables.
func newConsoleWriter(w io.Writer, noColor bool) io.Writer {
	parts := []string{timeKey, severityKey, messageKey, fieldsPart}
	return zerolog.ConsoleWriter{
		Out:           w,
		NoColor:       noColor,
		PartsOrder:    parts,
		FieldsExclude: parts,
		FormatPrepare: console{noColor: noColor}.prepare,
		// The parts are ready by then. Which of these functions a part goes to depends on zerolog's variables.
		FormatTimestamp:       partText,
		FormatLevel:           partText,
		FormatMessage:         partText,
		FormatCaller:          partText,
		FormatPartValueByName: func(part any, _ string) string { return partText(part) },
	}
}

// partText returns a part as prepare left it.
func partText(part any) string {
	text, _ := part.(string)
	return text
}

type console struct{ noColor bool }

// prepare replaces what was decoded from a line by its parts, as they are to be shown.
func (c console) prepare(line map[string]any) error {
	clock, severity, message := partText(line[timeKey]), partText(line[severityKey]), partText(line[messageKey])
	stack := partText(line["stack"])
	if request, ok := line["httpRequest"].(map[string]any); ok {
		line["latency"] = request["latency"] // the message has the rest, and a terminal is narrow
	}
	for _, key := range []string{timeKey, severityKey, messageKey, "stack", "httpRequest", cloudTraceKey, cloudSpanKey, cloudSampledKey} {
		delete(line, key)
	}
	fields := c.fields(line)
	for frame := range strings.Lines(stack) {
		fields += "\n    " + quoted(strings.TrimSpace(frame), false)
	}

	clear(line)
	line[timeKey] = c.paint(localTime(clock), colorDim)
	line[severityKey] = c.paint(severity, severityColor(severity))
	line[messageKey] = quoted(message, false)
	line[fieldsPart] = fields
	return nil
}

// fields is the text of the attributes, in the order of their keys.
func (c console) fields(attrs map[string]any) string {
	texts := make([]string, 0, len(attrs))
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		color := colorCyan
		if key == "error" {
			color = colorRed
		}
		texts = append(texts, c.paint(quoted(key, true)+"=", color)+fieldText(attrs[key]))
	}
	return strings.Join(texts, " ")
}

// paint colours a text that is not empty.
func (c console) paint(text string, color int) string {
	if c.noColor || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, text)
}

func severityColor(severity string) int {
	switch severity {
	case "ERROR":
		return colorRed
	case "WARNING":
		return colorYellow
	case "INFO":
		return colorGreen
	}
	return colorDim
}

// localTime is the time of day where the person is.
func localTime(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.Local().Format("15:04:05.000")
}

// fieldText is the text of an attribute's value, decoded from JSON.
func fieldText(value any) string {
	switch v := value.(type) {
	case string:
		return quoted(v, true)
	case json.Number:
		return v.String()
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // it was decoded from JSON, and goes back into memory
	return quoted(strings.TrimSuffix(buf.String(), "\n"), false)
}

// quoted returns the text, as a Go string literal where it would be ambiguous or could drive a terminal. A word is also
// ambiguous when it is empty, or holds a space or a quote.
func quoted(text string, word bool) string {
	ambiguous := word && (text == "" || strings.ContainsAny(text, " \"="))
	if ambiguous || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
