package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
)

// writeObject writes the attributes as fields of the object that e is in the middle of, depth groups below the top level.
func writeObject(e *zerolog.Event, attrs []slog.Attr, depth int) {
	var space [usualAttrs]slog.Attr
	fields := appendFields(space[:0], attrs, nil, depth, 0)
	for i, field := range fields {
		if !overridden(fields, i) {
			writeValue(e, field.Key, field.Value, depth)
		}
	}
}

// appendFields appends the attributes to dst as the fields they become: values resolved, groups without a key in the
// place of which their attributes stand, empty groups and empty attributes left out, keys as they are written. Top is the
// line's layout at the top level, and nil below it. Inlined counts the groups without a key around the attributes.
func appendFields(dst, attrs []slog.Attr, top *layout, depth, inlined int) []slog.Attr {
	for _, a := range attrs {
		if _, ok := requestOf(a.Value); ok && top != nil {
			dst = append(dst, a)
			continue
		}
		a.Value = a.Value.Resolve()
		if empty(a, depth) {
			continue
		}
		if a.Key == "" && a.Value.Kind() == slog.KindGroup && inlined < maxGroupDepth {
			dst = appendFields(dst, a.Value.Group(), top, depth, inlined+1)
			continue
		}
		if !utf8.ValidString(a.Key) {
			// Two keys that differ in invalid bytes alone are one key when written.
			a.Key = strings.ToValidUTF8(a.Key, invalidRuneValue)
		}
		if top != nil {
			a.Key = top.fieldName(a.Key)
		}
		dst = append(dst, a)
	}
	return dst
}

// empty reports whether an attribute with a resolved value is to be left out: one that is all zero, or a group that
// holds nothing but such attributes. Depth counts the groups around it.
func empty(a slog.Attr, depth int) bool {
	switch a.Value.Kind() {
	case slog.KindAny:
		return a.Key == "" && a.Value.Any() == nil
	case slog.KindGroup:
		if depth > maxGroupDepth {
			return false
		}
		for _, inner := range a.Value.Group() {
			inner.Value = inner.Value.Resolve()
			if !empty(inner, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

// overridden reports whether a later field has the key of field i. Lines have few fields: comparing beats a map.
func overridden(fields []slog.Attr, i int) bool {
	for _, later := range fields[i+1:] {
		if later.Key == fields[i].Key {
			return true
		}
	}
	return false
}

// writeValue writes one field. It uses those methods of zerolog alone whose output depends on no package variable.
func writeValue(e *zerolog.Event, key string, v slog.Value, depth int) {
	switch v.Kind() {
	case slog.KindString:
		e.Str(key, v.String())
	case slog.KindBool:
		e.Bool(key, v.Bool())
	case slog.KindInt64:
		e.Int64(key, v.Int64())
	case slog.KindUint64:
		e.Uint64(key, v.Uint64())
	case slog.KindFloat64:
		writeFloat(e, key, v.Float64())
	case slog.KindDuration:
		var space [32]byte
		e.Bytes(key, appendSeconds(space[:0], v.Duration()))
	case slog.KindTime:
		writeTime(e, key, v.Time())
	case slog.KindGroup:
		writeGroup(e, key, v.Group(), depth+1)
	default:
		writeAny(e, key, v.Any())
	}
}

func writeGroup(e *zerolog.Event, key string, attrs []slog.Attr, depth int) {
	if depth > maxGroupDepth {
		e.Str(key, tooDeep)
		return
	}
	object := e.CreateDict()
	writeObject(object, attrs, depth)
	e.Dict(key, object)
}

func writeFloat(e *zerolog.Event, key string, f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		e.Str(key, strconv.FormatFloat(f, 'g', -1, 64)) // JSON has no number for these
		return
	}
	var space [32]byte
	e.RawJSON(key, strconv.AppendFloat(space[:0], f, 'g', -1, 64))
}

// writeAny writes a value of a type that slog has no kind for.
func writeAny(e *zerolog.Event, key string, value any) {
	switch v := value.(type) {
	case nil:
		e.RawJSON(key, []byte("null"))
	case error:
		e.Str(key, errorText(v))
	case []byte:
		e.Bytes(key, v)
	default:
		writeJSON(e, key, v)
	}
}

// writeJSON writes what encoding/json makes of the value. That can be JSON which is not fit for a line, because a
// json.RawMessage may hold a key twice: such JSON is written as a string.
func writeJSON(e *zerolog.Event, key string, value any) {
	text, err := marshal(value)
	switch {
	case err != nil:
		e.Str(key, "!ERROR: "+err.Error())
	case !jsontext.Value(text).IsValid():
		e.Bytes(key, text)
	default:
		e.RawJSON(key, text)
	}
}

// marshal is json.Marshal without HTML escapes and without panics.
func marshal(value any) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in MarshalJSON of %T: %v", value, p)
		}
	}()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// errorText is the error's text, also for one whose Error method panics.
func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
				text = "<nil>" // a nil pointer in an error that is not nil
				return
			}
			text = fmt.Sprintf("!ERROR: panic in Error of %T: %v", err, p)
		}
	}()
	return err.Error()
}

// appendSeconds appends a duration as decimal seconds with an s, exactly and without trailing zeros: "0.0025s".
func appendSeconds(dst []byte, d time.Duration) []byte {
	n := uint64(d)
	if d < 0 {
		dst = append(dst, '-')
		n = -n
	}
	const second = uint64(time.Second)
	dst = strconv.AppendUint(dst, n/second, 10)
	if fraction := n % second; fraction != 0 {
		point := len(dst)
		dst = strconv.AppendUint(dst, fraction+second, 10) // the leading 1 keeps the zeros and becomes the point
		dst[point] = '.'
		dst = bytes.TrimRight(dst, "0")
	}
	return append(dst, 's')
}
