package rows

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tepalhq/tepal/model"
)

// CSVReader reads instances from CSV (RFC 4180) whose first record names the
// columns. Columns that are no features are passed over.
type CSVReader struct {
	csv   *csv.Reader
	codec *Codec
	// columns is the place in a record of each feature.
	columns []int
	passed  []string
}

// ByteOrderMark is what some programs write in front of text in UTF-8. It is no
// part of the text.
const ByteOrderMark = "\ufeff"

// NewCSVReader reads the header. It is an error when a feature has no column,
// or more than one.
func NewCSVReader(r io.Reader, c *Codec) (*CSVReader, error) {
	text := bufio.NewReader(r)
	// A byte order mark, which spreadsheets write, is no part of the first name.
	if start, _ := text.Peek(len(ByteOrderMark)); string(start) == ByteOrderMark {
		_, _ = text.Discard(len(ByteOrderMark))
	}
	reader := csv.NewReader(text)
	reader.ReuseRecord = true
	// White space around a cell is no part of it, in front of quotes either.
	reader.TrimLeadingSpace = true
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("line 1: there is no header")
	}
	if err != nil {
		return nil, err
	}
	v := &CSVReader{csv: reader, codec: c, columns: slices.Repeat([]int{-1}, len(c.schema.Features))}
	for column, name := range header {
		name = strings.TrimSpace(name)
		i, ok := c.index[name]
		switch {
		case !ok:
			v.passed = append(v.passed, name)
		case v.columns[i] >= 0:
			return nil, fmt.Errorf("line 1: two columns are called %q", name)
		default:
			v.columns[i] = column
		}
	}
	if i := slices.Index(v.columns, -1); i >= 0 {
		return nil, fmt.Errorf("line 1: there is no column for the feature %q", c.schema.Features[i].Name)
	}
	return v, nil
}

// PassedOver returns the names of the columns that are no features.
func (v *CSVReader) PassedOver() []string { return v.passed }

// Line returns the line at which the instance that Next read begins.
func (v *CSVReader) Line() int {
	line, _ := v.csv.FieldPos(0)
	return line
}

// Next reads one instance into req, which it empties first. It returns io.EOF
// after the last one, and errors that name line and column.
func (v *CSVReader) Next(req *Request) error {
	record, err := v.csv.Read()
	if err != nil {
		return err
	}
	req.reset(v.codec)
	row := req.Batch.Append(v.codec.schema)
	for i, column := range v.columns {
		if err := v.cell(req, row, i, strings.TrimSpace(record[column])); err != nil {
			line, at := v.csv.FieldPos(column)
			return fmt.Errorf("line %d, column %d: feature %q: %w", line, at, v.codec.schema.Features[i].Name, err)
		}
	}
	return nil
}

func (v *CSVReader) cell(req *Request, row, i int, text string) error {
	f, t, at := req.cell(v.codec, row, i)
	switch f.Type {
	case model.String:
		t.Strings[at] = text
	case model.Bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", quoted(text))
		}
		t.Bools[at] = value
	default:
		value, ok := store(t, at, []byte(text))
		// ParseFloat also reads inf, nan and hexadecimal, which are no numbers here.
		if !ok || strings.Trim(text, "0123456789+-.eE") != "" {
			return fmt.Errorf("%q is no %v number", quoted(text), f.Type)
		}
		if f.Outside(value) {
			req.warn(row, i, value)
		}
	}
	return nil
}

// CSVHeader returns the columns that CSVRecord fills: the label, a probability
// and a score for each class, the value or values; what the model answers of
// these.
func (c *Codec) CSVHeader(p *model.Predictions) []string {
	var header []string
	if p.Label() != nil {
		header = append(header, "label")
	}
	for _, byClass := range []struct {
		t      *model.Tensor
		prefix string
	}{{p.Probabilities(), "probability_"}, {p.Scores(), "score_"}} {
		if byClass.t == nil {
			continue
		}
		for _, class := range c.schema.Classes.Texts() {
			header = append(header, byClass.prefix+class)
		}
	}
	if t := p.Value(); t != nil {
		if t.Width() == 1 {
			return append(header, "value")
		}
		for j := range t.Width() {
			header = append(header, "value_"+strconv.Itoa(j))
		}
	}
	return header
}

// CSVRecord returns one prediction as the fields that CSVHeader names.
func (c *Codec) CSVRecord(p *model.Predictions, row int) []string {
	var record []string
	for _, t := range []*model.Tensor{p.Label(), p.Probabilities(), p.Scores(), p.Value()} {
		if t == nil {
			continue
		}
		for j := range t.Width() {
			if at := row*t.Width() + j; t.Type == model.String {
				record = append(record, t.Strings[at])
			} else {
				record = append(record, string(appendCell(nil, t, at)))
			}
		}
	}
	return record
}
