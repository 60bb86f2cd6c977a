package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
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

// readTable reads a CSV file from its bytes. The label column is the one
// called label, the last when label is empty. Every error begins with the
// file, the line and the column that it is about.
func readTable(file string, data []byte, label string) (*table, error) {
	r := tableReader{
		table: &table{file: file, digest: onnx.Digest(data)},
		// Spreadsheets put a byte order mark in front of UTF-8.
		csv:  csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\uFEFF")))),
		seen: make(map[string]*class),
	}
	r.csv.FieldsPerRecord = -1
	r.csv.TrimLeadingSpace = true
	err := r.readHeader(label)
	for err == nil {
		err = r.readRow()
	}
	if errors.Is(err, io.EOF) {
		err = r.setClasses()
	}
	if err != nil {
		return nil, err
	}
	return r.table, nil
}

// tableReader holds what is needed only while a table is read.
type tableReader struct {
	*table
	csv *csv.Reader
	// header holds every column's name, labelColumn the label's index in it.
	header      []string
	labelColumn int
	// texts are the labels row by row, seen what there is of each.
	texts []string
	seen  map[string]*class
}

// class is a label with the place where it first stands, how many rows have it,
// and its index among all.
type class struct {
	first       string
	rows, index int
}

// record reads one record that is well-formed CSV and valid UTF-8. White space
// around a cell is no part of it, as in rows.CSVReader: what was trained on can
// be predicted.
func (r *tableReader) record() ([]string, error) {
	record, err := r.csv.Read()
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, fmt.Errorf("%s: %w", r.place(parse.Line, parse.Column), parse.Err)
	}
	for i, cell := range record {
		if !utf8.ValidString(cell) {
			return nil, fmt.Errorf("%s: the cell %q is no valid UTF-8", r.at(i), cell)
		}
		record[i] = strings.TrimSpace(cell)
	}
	return record, err
}

// at is where cell i of the record last read begins.
func (r *tableReader) at(i int) string { return r.place(r.csv.FieldPos(i)) }

// place is written as compilers do; line and column, in bytes, count from 1.
func (r *tableReader) place(line, column int) string {
	return fmt.Sprintf("%s:%d:%d", r.file, line, column)
}

func (r *tableReader) readHeader(label string) error {
	header, err := r.record()
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file is empty: it needs a header with the columns' names and a row for each example", r.place(1, 1))
	}
	if err != nil {
		return err
	}
	for i, name := range header {
		if name == "" {
			return fmt.Errorf("%s: column %d has no name", r.at(i), i+1)
		}
		if j := slices.Index(header[:i], name); j >= 0 {
			return fmt.Errorf("%s: columns %d and %d are both called %q", r.at(i), j+1, i+1, name)
		}
	}
	r.header = header
	r.label = cmp.Or(label, header[len(header)-1])
	r.labelColumn = slices.Index(header, r.label)
	if r.labelColumn < 0 {
		return fmt.Errorf("%s: there is no column %q for the label; the columns are %s", r.at(0), label, strings.Join(header, ", "))
	}
	if len(header) == 1 {
		return fmt.Errorf("%s: %q is the only column: a model needs a column for the label and at least one feature", r.at(0), header[0])
	}
	r.features = slices.Delete(slices.Clone(header), r.labelColumn, r.labelColumn+1)
	return nil
}

// readRow reads the next row; after the last one its error is io.EOF.
func (r *tableReader) readRow() error {
	record, err := r.record()
	if err != nil {
		return err
	}
	if n := len(r.header); len(record) != n {
		return fmt.Errorf("%s: the row has %s and the header %d", r.at(min(n, len(record)-1)), count(len(record), "cell"), n)
	}
	row := make([]float64, 0, len(r.features))
	for i, cell := range record {
		if i == r.labelColumn {
			continue
		}
		v, err := parseNumber(cell)
		if err != nil {
			return fmt.Errorf("%s: column %q: %w", r.at(i), r.header[i], err)
		}
		row = append(row, v)
	}
	text, at := record[r.labelColumn], r.at(r.labelColumn)
	if text == "" {
		return fmt.Errorf("%s: column %q: the label is empty", at, r.label)
	}
	if r.seen[text] == nil {
		r.seen[text] = &class{first: at}
	}
	r.seen[text].rows++
	r.rows = append(r.rows, row)
	r.texts = append(r.texts, text)
	return nil
}

// parseNumber reads a finite number, in decimal as rows.CSVReader does.
func parseNumber(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "":
		return 0, errors.New("the cell is empty, and a feature needs a number in every row")
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%q is out of the range of a 64-bit float", text)
	case err != nil || strings.Trim(text, "0123456789+-.eE") != "":
		return 0, fmt.Errorf("%q is no number", text)
	}
	return v, nil
}

// setClasses derives the classes from the labels, and refuses a class that no
// model could be checked on: each needs a row to learn from and another to be
// held out.
func (r *tableReader) setClasses() error {
	if len(r.rows) == 0 {
		return fmt.Errorf("%s: there is a header and no row below it", r.place(1, 1))
	}
	first := r.seen[r.texts[0]].first
	switch n := len(r.seen); {
	case n == 1:
		return fmt.Errorf("%s: %q is the label of every row, and a classifier needs two classes at least", first, r.texts[0])
	case 2*n > len(r.rows):
		return fmt.Errorf("%s: column %q has %d classes in %s, and a class needs two rows at least: is it the label?",
			first, r.label, n, count(len(r.rows), "row"))
	}
	r.classes = newClasses(slices.Sorted(maps.Keys(r.seen)))
	for i, text := range r.classes.Texts() {
		c := r.seen[text]
		if c.rows == 1 {
			return fmt.Errorf("%s: this is the only row of class %q, and a class needs two at least: one to learn from and one to check with", c.first, text)
		}
		c.index = i
	}
	for _, text := range r.texts {
		r.labels = append(r.labels, r.seen[text].index)
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
