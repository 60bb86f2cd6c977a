package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/model/rows"
)

type predictCmd struct {
	Input  string `arg:"" optional:"" name:"file" help:"CSV or JSON Lines file; standard input when left out or -." complete:":files"`
	Model  string `short:"m" help:"ONNX file; the embedded model when left out." placeholder:"MODEL.onnx" complete:":files"`
	From   string `help:"Format of the input: csv, jsonl, log, or auto, which goes by the file's ending and takes standard input for CSV." enum:"auto,csv,jsonl,log" default:"auto"`
	To     string `help:"Format of the output: jsonl or csv." enum:"jsonl,csv" default:"jsonl"`
	Output string `short:"o" help:"File to write, replaced as a whole once every row is answered; standard output when left out." placeholder:"FILE" complete:":files"`
}

// Help teaches what the flags alone do not.
func (predictCmd) Help() string {
	return `A CSV file names its columns in its first line; columns that are no features are passed over. Each line of a JSON Lines file is an instance, as an object by feature name or an array in the order of the schema. A log is one that tepal serve --log-payloads has written: the instances in it are predicted again, and its other lines are passed over.

Rows are answered as they are read, so a file may be of any length. The first faulty row ends the run and is named by its line; a file that --output names is then left as it was.

Examples:

  tepal predict data/iris.csv
  tepal predict --model model.onnx --to csv -o answers.csv rows.jsonl
  echo '[5.1,3.5,1.4,0.2]' | tepal predict --from jsonl`
}

// Run predicts every row of the input.
func (c *predictCmd) Run(ctx context.Context, s streams) error {
	served, err := repository.Open(ctx, modelArg{c.Model}.source())
	if err != nil {
		return err
	}
	in, name := s.in, "standard input"
	if c.Input != "" && c.Input != "-" {
		f, err := os.Open(c.Input)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, c.Input
	}
	predict := func(out io.Writer) error {
		if err := c.predict(ctx, served, in, out, s.err); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	if c.Output == "" {
		return predict(s.out)
	}
	return writeOutput(c.Output, s.out, predict)
}

// predict answers the rows of in on out, and tells a person about it on notes.
func (c *predictCmd) predict(ctx context.Context, served *repository.Served, in io.Reader, out, notes io.Writer) error {
	next, err := c.reader(in, served.Codec, notes)
	if err != nil {
		return err
	}
	write, flush := c.writer(out, served.Codec)
	p := &progress{out: notes, on: isTerminal(notes) && !isTerminal(out), start: time.Now()}
	defer p.end()
	var req rows.Request
	var answers model.Predictions
	for {
		err := next(&req)
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err == nil {
			err = served.Predict(ctx, &req.Batch, &answers)
		}
		if err == nil {
			err = write(&req, &answers)
		}
		if err != nil {
			return errors.Join(err, flush())
		}
		p.row()
	}
}

// reader returns what reads one instance at a time, and io.EOF after the last.
func (c *predictCmd) reader(in io.Reader, codec *rows.Codec, notes io.Writer) (next func(*rows.Request) error, err error) {
	ending := strings.ToLower(filepath.Ext(c.Input))
	if c.From == "log" || c.From == "jsonl" || c.From == "auto" && (ending == ".jsonl" || ending == ".ndjson" || ending == ".json") {
		lines := &jsonLines{in: bufio.NewReader(in), codec: codec, log: c.From == "log"}
		return lines.next, nil
	}
	reader, err := rows.NewCSVReader(in, codec)
	if err != nil {
		return nil, err
	}
	if len(reader.PassedOver()) > 0 {
		fmt.Fprintf(notes, "tepal: columns that are no features are passed over: %s\n", strings.Join(reader.PassedOver(), ", "))
	}
	return reader.Next, nil
}

// writer returns what writes one prediction at a time, and what writes all that
// is held back.
func (c *predictCmd) writer(out io.Writer, codec *rows.Codec) (write func(*rows.Request, *model.Predictions) error, flush func() error) {
	if c.To == "jsonl" {
		w := bufio.NewWriterSize(out, 1<<16)
		return func(req *rows.Request, answers *model.Predictions) error {
			_, err := w.Write(append(codec.AppendPrediction(w.AvailableBuffer(), answers, 0, req.Warnings), '\n'))
			return err
		}, w.Flush
	}
	w := csv.NewWriter(out)
	headed := false
	return func(_ *rows.Request, answers *model.Predictions) error {
		if !headed {
			headed = true
			if err := w.Write(codec.CSVHeader(answers)); err != nil {
				return err
			}
		}
		return w.Write(codec.CSVRecord(answers, 0))
	}, func() error { w.Flush(); return w.Error() }
}

// jsonLines reads one instance a line, or those of a log; empty lines are
// passed over.
type jsonLines struct {
	in      *bufio.Reader
	codec   *rows.Codec
	decoder rows.Decoder
	body    bytes.Buffer
	line    int
	log     bool
	// pending are the instances of the log's line that are still to come.
	pending []json.RawMessage
}

func (j *jsonLines) next(req *rows.Request) error {
	text, err := j.instance()
	if err != nil {
		return err
	}
	// As an array of one, a line may be an object or a list of values.
	j.body.Reset()
	j.body.WriteByte('[')
	j.body.Write(text)
	j.body.WriteByte(']')
	if err := j.decoder.Decode(j.codec, &j.body, req, 1); err != nil {
		return fmt.Errorf("line %d: %w", j.line, explain(err))
	}
	return nil
}

// instance returns the JSON of the next instance.
func (j *jsonLines) instance() ([]byte, error) {
	for len(j.pending) == 0 {
		text, err := j.in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(text) > 0 {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		j.line++
		text = bytes.TrimSpace(text)
		switch {
		case len(text) == 0:
		case j.log:
			j.pending = loggedInstances(text)
		default:
			return text, nil
		}
	}
	next := j.pending[0]
	j.pending = j.pending[1:]
	return next, nil
}

// loggedInstances returns the instances that a line of a log tells of; none
// for a line of another kind.
func loggedInstances(line []byte) []json.RawMessage {
	var logged struct {
		Message   string            `json:"message"`
		Instances []json.RawMessage `json:"instances"`
	}
	if json.Unmarshal(line, &logged) != nil || logged.Message != "payload" {
		return nil
	}
	return logged.Instances
}

// explain turns an error of the decoder into a line for a terminal.
func explain(err error) error {
	e, ok := errors.AsType[*model.Error](err)
	if !ok {
		return err
	}
	if e.Type == "malformed-json" {
		return fmt.Errorf("the line is not JSON: expected JSON Lines, an instance on each line, got %s", e.Got)
	}
	text := e.Detail
	// The array around the line is not the caller's.
	if at := strings.TrimPrefix(e.Pointer, "/0"); at != "" {
		text = at + ": " + text
	}
	if e.Expected != "" {
		text += ": expected " + e.Expected
	}
	if e.Got != "" {
		text += ", got " + e.Got
	}
	return errors.New(text)
}

// progress tells a person at a terminal how far a run is.
type progress struct {
	out   io.Writer
	on    bool
	start time.Time
	last  time.Time
	rows  int
}

func (p *progress) row() {
	p.rows++
	// Asking for the time at every row would be the slowest part of it.
	if p.on && p.rows%1024 == 0 && time.Since(p.last) > 200*time.Millisecond {
		p.last = time.Now()
		p.show("")
	}
}

func (p *progress) end() {
	if p.on {
		p.show("\n")
	}
}

func (p *progress) show(end string) {
	fmt.Fprintf(p.out, "\r%d rows, %.0f rows/s%s", p.rows, float64(p.rows)/time.Since(p.start).Seconds(), end)
}
