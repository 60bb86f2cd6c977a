package telemetry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Colours of the console form, as ANSI attributes.
const (
	colorRed    = 31
	colorGreen  = 32
	colorYellow = 33
	colorCyan   = 36
	colorDim    = 90
)

// console is a writer that turns each JSON line into one for people:
//
//	12:30:45.678 INFO POST /predict 200 latency=0.000123s model=iris rows=1
//
// Everything that comes from outside is quoted when it holds control characters, so that no line can drive the terminal
// or pretend to be two.
type console struct {
	out   io.Writer
	color bool
}

// Write takes a line of FormatGCP.
func (c console) Write(line []byte) (int, error) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return 0, err
	}
	take := func(key string) string {
		text, _ := fields[key].(string)
		delete(fields, key)
		return text
	}
	clock, severity, message, stack := take("time"), take("severity"), take("message"), take("stack")
	if request, ok := fields[requestKey].(map[string]any); ok {
		fields["latency"] = request["latency"] // the message has the rest, and a terminal is narrow
	}
	for _, key := range []string{requestKey, cloudTraceKey, cloudSpanKey, cloudSampledKey} {
		delete(fields, key)
	}

	parts := []string{c.paint(localTime(clock), colorDim), c.paint(severity, severityColor(severity)), quoted(message, false)}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		color := colorCyan
		if key == "error" {
			color = colorRed
		}
		parts = append(parts, c.paint(quoted(key, true)+"=", color)+fieldText(fields[key]))
	}
	text := strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " ")
	for frame := range strings.Lines(stack) {
		text += "\n    " + quoted(strings.TrimSpace(frame), false)
	}
	_, err := io.WriteString(c.out, text+"\n")
	return len(line), err
}

// paint colours a text that is not empty.
func (c console) paint(text string, color int) string {
	if !c.color || text == "" {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", color, text)
}

func severityColor(severity string) int {
	return cmp.Or(map[string]int{"ERROR": colorRed, "WARNING": colorYellow, "INFO": colorGreen}[severity], colorDim)
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
	if text, ok := value.(string); ok {
		return quoted(text, true)
	}
	text, _ := marshal(value) // it was decoded from JSON
	return quoted(text.String(), false)
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
