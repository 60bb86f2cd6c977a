package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

// table is a CSV file with a header, a label column, and numbers in every
// other column.
type table struct {
	// file is the path as it was given; digest is "sha256:…" of its bytes.
	file, digest string
	// features are the names of the columns of rows, label that of the labels.
	features []string
	label    string
	rows     [][]float64
	// labels holds the index in classes of each row's label.
	labels  []int
	classes model.Classes
}

// fault is something wrong with a file, at a line and a column that both
// count from 1; columns count bytes, as compilers do.
type fault struct {
	file         string
	line, column int
	text         string
}

func (f *fault) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.file, f.line, f.column, f.text)
}

// readTable reads a CSV file from its bytes. The label column is the one
// called label, the last when label is empty. Every error is a *fault.
func readTable(file string, data []byte, label string) (*table, error) {
	r := &tableReader{
		table: &table{file: file, digest: onnx.Digest(data)},
		first: make(map[string]place),
	}
	if err := r.read(data, label); err != nil {
		return nil, err
	}
	return r.table, nil
}

// place is a position in the file.
type place struct{ line, column int }

// tableReader holds what is needed only while a table is read.
type tableReader struct {
	*table
	csv *csv.Reader
	// header holds every column's name, labelColumn the label's index in it.
	header      []string
	labelColumn int
	// texts are the labels row by row; first is where each label first stands.
	texts []string
	first map[string]place
}

func (r *tableReader) fault(at place, format string, args ...any) error {
	return &fault{r.file, at.line, at.column, fmt.Sprintf(format, args...)}
}

func (r *tableReader) read(data []byte, label string) error {
	// Spreadsheets put a byte order mark in front of UTF-8.
	r.csv = csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\uFEFF"))))
	r.csv.FieldsPerRecord = -1
	r.csv.TrimLeadingSpace = true
	if err := r.readHeader(label); err != nil {
		return err
	}
	for {
		record, err := r.record()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.readRow(record); err != nil {
			return err
		}
	}
	return r.setClasses()
}

// record reads one record that is well-formed CSV and valid UTF-8. White space
// around a cell is no part of it, as in rows.CSVReader: what was trained on can
// be predicted.
func (r *tableReader) record() ([]string, error) {
	record, err := r.csv.Read()
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, r.fault(place{parse.Line, parse.Column}, "%v", parse.Err)
	}
	for i, cell := range record {
		if !utf8.ValidString(cell) {
			return nil, r.fault(r.at(i), "the cell %q is no valid UTF-8", cell)
		}
		record[i] = strings.TrimSpace(cell)
	}
	return record, err
}

// at is where cell i of the record last read begins.
func (r *tableReader) at(i int) place {
	line, column := r.csv.FieldPos(i)
	return place{line, column}
}

func (r *tableReader) readHeader(label string) error {
	header, err := r.record()
	if errors.Is(err, io.EOF) {
		return r.fault(place{1, 1}, "the file is empty: it needs a header with the columns' names and a row for each example")
	}
	if err != nil {
		return err
	}
	for i, name := range header {
		if name == "" {
			return r.fault(r.at(i), "column %d has no name", i+1)
		}
		if j := slices.Index(header[:i], name); j >= 0 {
			return r.fault(r.at(i), "columns %d and %d are both called %q", j+1, i+1, name)
		}
	}
	r.header = header
	r.labelColumn = len(header) - 1
	if label != "" {
		r.labelColumn = slices.Index(header, label)
	}
	if r.labelColumn < 0 {
		return r.fault(r.at(0), "there is no column %q for the label; the columns are %s", label, strings.Join(header, ", "))
	}
	if len(header) == 1 {
		return r.fault(r.at(0), "%q is the only column: a model needs a column for the label and at least one feature", header[0])
	}
	r.label = header[r.labelColumn]
	r.features = slices.Delete(slices.Clone(header), r.labelColumn, r.labelColumn+1)
	return nil
}

func (r *tableReader) readRow(record []string) error {
	if n := len(r.header); len(record) != n {
		return r.fault(r.at(min(n, len(record)-1)), "the row has %s and the header %d", count(len(record), "cell"), n)
	}
	row := make([]float64, 0, len(r.features))
	for i, cell := range record {
		if i == r.labelColumn {
			continue
		}
		v, err := parseNumber(cell)
		if err != nil {
			return r.fault(r.at(i), "column %q: %v", r.header[i], err)
		}
		row = append(row, v)
	}
	text := record[r.labelColumn]
	if text == "" {
		return r.fault(r.at(r.labelColumn), "column %q: the label is empty", r.label)
	}
	if _, seen := r.first[text]; !seen {
		r.first[text] = r.at(r.labelColumn)
	}
	r.rows = append(r.rows, row)
	r.texts = append(r.texts, text)
	return nil
}

// parseNumber reads a finite number.
func parseNumber(text string) (float64, error) {
	if text == "" {
		return 0, errors.New("the cell is empty, and a feature needs a number in every row")
	}
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%q is out of the range of a 64-bit float", text)
	case err != nil:
		return 0, fmt.Errorf("%q is no number", text)
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%q is no number to train on: NaN and the infinities count as none", text)
	}
	return v, nil
}

// setClasses derives the classes from the labels and checks that there are
// enough rows of each.
func (r *tableReader) setClasses() error {
	if len(r.rows) == 0 {
		return r.fault(place{1, 1}, "there is a header and no row below it")
	}
	texts := slices.Compact(slices.Sorted(slices.Values(r.texts)))
	r.classes = newClasses(texts)
	index := make(map[string]int, len(texts))
	for i, text := range r.classes.Texts() {
		index[text] = i
	}
	rows := make([]int, len(texts))
	for _, text := range r.texts {
		r.labels = append(r.labels, index[text])
		rows[index[text]]++
	}
	if len(texts) == 1 {
		return r.fault(r.first[texts[0]], "%q is the label of every row, and a classifier needs two classes at least", texts[0])
	}
	return r.checkSupport(rows)
}

// checkSupport refuses a class that no model could be checked on: each needs a
// row to learn from and another to be held out.
func (r *tableReader) checkSupport(rows []int) error {
	if classes := len(rows); 2*classes > len(r.rows) {
		return r.fault(r.first[r.texts[0]], "column %q has %d classes in %s, and a class needs two rows at least: is it the label?",
			r.label, classes, count(len(r.rows), "row"))
	}
	if c := slices.Index(rows, 1); c >= 0 {
		text := r.classes.Text(c)
		return r.fault(r.first[text], "this is the only row of class %q, and a class needs two at least: one to learn from and one to check with", text)
	}
	return nil
}

// newClasses makes classes of sorted, distinct labels: integers in numerical
// order when every label is one, and strings otherwise.
func newClasses(texts []string) model.Classes {
	ints := make([]int64, 0, len(texts))
	for _, text := range texts {
		v, err := strconv.ParseInt(text, 10, 64)
		// "007" and "+7" are no integers but names: written as one, they would
		// come back as "7".
		if err != nil || strconv.FormatInt(v, 10) != text {
			return model.Classes{Strings: texts}
		}
		ints = append(ints, v)
	}
	slices.Sort(ints)
	return model.Classes{Ints: ints}
}

// count says n things, "1 row" or "2 rows".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
