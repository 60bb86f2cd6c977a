package telemetry

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
)

const (
	maxGroupDepth    = 32 // groups in groups; a LogValuer can nest without end
	tooDeep          = "!ERROR: groups are nested too deeply"
	invalidRuneValue = "\uFFFD"
)

// appendFields appends the attributes to dst as the fields they become: values resolved, groups without a key in the
// place of which their attributes stand, empty groups and empty attributes left out, keys as they are written and each
// of them once. Top is the line's layout at the top level, and nil below it. Depth counts the groups around them.
func appendFields(dst, attrs []slog.Attr, top *layout, depth int) []slog.Attr {
	for _, a := range attrs {
		// Two keys that differ in invalid bytes alone are one key when written.
		a.Key, a.Value = strings.ToValidUTF8(a.Key, invalidRuneValue), a.Value.Resolve()
		if a.Equal(slog.Attr{}) {
			continue
		}
		if a.Value.Kind() == slog.KindGroup {
			switch group := a.Value.Group(); {
			case depth == maxGroupDepth:
				a.Value = slog.StringValue(tooDeep)
			case a.Key == "":
				dst = appendFields(dst, group, top, depth+1)
				continue
			default:
				group = appendFields(nil, group, nil, depth+1)
				if len(group) == 0 {
					continue
				}
				a.Value = slog.GroupValue(group...)
			}
		}
		if top != nil {
			a.Key = top.fieldName(a.Key)
		}
		dst = slices.DeleteFunc(dst, func(earlier slog.Attr) bool { return earlier.Key == a.Key })
		dst = append(dst, a)
	}
	return dst
}

// writeFields writes what appendFields made as fields of the object that e is in the middle of.
func writeFields(e *zerolog.Event, fields []slog.Attr) {
	for _, field := range fields {
		switch key, v := field.Key, field.Value; v.Kind() {
		case slog.KindString:
			e.Str(key, v.String())
		case slog.KindFloat64:
			e.Float64(key, v.Float64()) // a string for what JSON has no number for
		case slog.KindDuration:
			writeSeconds(e, key, v.Duration())
		case slog.KindTime:
			writeTime(e, key, v.Time())
		case slog.KindGroup:
			object := e.CreateDict()
			writeFields(object, v.Group())
			e.Dict(key, object)
		default:
			writeAny(e, key, v.Any())
		}
	}
}

// writeAny writes a value in the form that encoding/json gives it, but for errors and bytes, which are text.
func writeAny(e *zerolog.Event, key string, value any) {
	switch v := value.(type) {
	case error:
		e.Str(key, fmt.Sprint(v)) // which survives an Error method that panics
	case []byte:
		e.Bytes(key, v)
	default:
		text, err := marshal(v)
		if err != nil {
			e.Str(key, "!ERROR: "+err.Error())
			return
		}
		e.RawJSON(key, text)
	}
}

// marshal is json.Marshal without HTML escapes and without panics. What a json.RawMessage may hold and a line may not, a
// key twice or text that is not UTF-8, is an error.
func marshal(value any) (text jsontext.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in MarshalJSON of %T: %v", value, p)
		}
	}()
	if text, err = json.Marshal(value); err != nil {
		return nil, err
	}
	return text, text.Format()
}

// writeTime writes a time in UTC by RFC 3339, with all nine digits of the second, so that lines sort as text.
func writeTime(e *zerolog.Event, key string, t time.Time) {
	var space [48]byte
	text := t.UTC().AppendFormat(space[:0], time.RFC3339) // which ends in Z, and has a faster way than other layouts
	point := len(text) - 1
	text = strconv.AppendInt(text[:point], int64(time.Second)+int64(t.Nanosecond()), 10) // the leading 1 keeps the zeros
	text[point] = '.'
	e.Bytes(key, append(text, 'Z'))
}

// writeSeconds writes a duration as decimal seconds with an s: "0.0025s".
func writeSeconds(e *zerolog.Event, key string, d time.Duration) {
	var space [32]byte
	e.Bytes(key, append(strconv.AppendFloat(space[:0], float64(d)/float64(time.Second), 'f', -1, 64), 's'))
}
