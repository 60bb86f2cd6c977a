package main

import (
	"bufio"
	"bytes"
	"cmp"
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
	"github.com/tepalhq/tepal/printable"
)

type predictCmd struct {
	Model  given  `arg:"" optional:"" help:"ONNX file; that of TEPAL_MODEL, or else the embedded model, when left out. A single argument that does not end in .onnx is the file of rows." complete:":files"`
	Input  given  `arg:"" optional:"" name:"file" help:"CSV or JSON Lines file; standard input when left out or -." complete:":files"`
	Named  given  `name:"model" short:"m" hidden:"" help:"The model, as the argument is."`
	From   string `help:"Format of the input: csv, jsonl, log, or auto, which goes by the file's ending and takes standard input for CSV." enum:"auto,csv,jsonl,log" default:"auto"`
	To     string `help:"Format of the output: jsonl or csv." enum:"jsonl,csv" default:"jsonl"`
	Output given  `short:"o" help:"File to write, replaced as a whole once every row is answered; standard output when left out." placeholder:"FILE" complete:":files"`
}

// Help teaches what the flags alone do not.
func (predictCmd) Help() string {
	return `A CSV file names its columns in its first line; columns that are not features are ignored. Each line of a JSON Lines file is an instance, as an object by feature name or an array in the order of the schema. A log is one that tepal serve --log-payloads has written: the instances in it are predicted again, and its other lines are ignored.

Rows are answered as they are read, so a file may be of any length. The first faulty row ends the run and is named by its line; a file that --output names is then left as it was.

Examples:

  tepal predict data/iris.csv
  tepal predict model.onnx rows.jsonl --to csv -o answers.csv
  echo '[5.1,3.5,1.4,0.2]' | tepal predict --from jsonl`
}

// AfterApply finds out what the arguments are: the rows alone, the model alone,
// or the model and the rows.
func (c *predictCmd) AfterApply() error { //nolint:unparam // kong calls hooks that return an error, and no others.
	if c.Input == "" && !strings.EqualFold(filepath.Ext(string(c.Model)), ".onnx") {
		c.Model, c.Input = "", c.Model
	}
	c.Model = cmp.Or(c.Model, c.Named)
	return nil
}

// Run predicts every row of the input.
func (c *predictCmd) Run(ctx context.Context, s streams) error {
	served, err := repository.Open(ctx, modelArg{c.Model}.source())
	if err != nil {
		return err
	}
	in, name := s.in, "standard input"
	if c.Input != "" && c.Input != "-" {
		f, err := os.Open(string(c.Input))
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, string(c.Input)
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
	return writeOutput(string(c.Output), s.out, predict)
}

// predict answers the rows of in on out, and tells a person about it on notes.
func (c *predictCmd) predict(ctx context.Context, served *repository.Served, in io.Reader, out, notes io.Writer) error {
	terminal := isTerminal(out)
	if terminal {
		out = printable.NewWriter(out) // labels are the file's, and may hold anything
	}
	write, flush := c.writer(out, served.Codec)
	p := &progress{out: notes, on: isTerminal(notes) && !terminal, start: time.Now()}
	defer p.end()
	var answers model.Predictions
	err := c.read(in, served.Codec, notes, func(req *rows.Request) error {
		if err := served.Predict(ctx, &req.Batch, &answers); err != nil {
			return err
		}
		p.row()
		return write(req, &answers)
	})
	return errors.Join(err, flush())
}

// read calls each with every instance, until there are no more or an error.
func (c *predictCmd) read(in io.Reader, codec *rows.Codec, notes io.Writer, each func(*rows.Request) error) error {
	ending := strings.ToLower(filepath.Ext(string(c.Input)))
	if c.From == "log" || c.From == "jsonl" || c.From == "auto" && (ending == ".jsonl" || ending == ".ndjson" || ending == ".json") {
		return readLines(in, codec, c.From == "log", each)
	}
	reader, err := rows.NewCSVReader(in, codec)
	if err != nil {
		// Whoever gave one file may have meant it for the model.
		return fmt.Errorf("%w (for %s)", err, modelArg{c.Model}.source())
	}
	if len(reader.PassedOver()) > 0 {
		fmt.Fprintf(notes, "tepal: ignored columns that are not features: %s\n", printable.Text(strings.Join(reader.PassedOver(), ", ")))
	}
	var req rows.Request
	for err == nil {
		if err = reader.Next(&req); err == nil {
			err = atLine(reader.Line(), each(&req))
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// readLines calls each with the instance on each line that is not empty, or
// with those that the lines of a log tell of.
func readLines(in io.Reader, codec *rows.Codec, log bool, each func(*rows.Request) error) error {
	var decoder rows.Decoder
	var body bytes.Buffer
	var req rows.Request
	lines := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return err
		}
		line = bytes.TrimPrefix(line, []byte(rows.ByteOrderMark))
		instances := []json.RawMessage{bytes.TrimSpace(line)}
		if log {
			instances = loggedInstances(line)
		}
		for _, instance := range instances {
			if len(instance) == 0 {
				continue
			}
			// As an array of one, an instance may be an object or a list of values.
			body.Reset()
			body.WriteByte('[')
			body.Write(instance)
			body.WriteByte(']')
			if err := decoder.Decode(codec, &body, &req, 1); err != nil {
				return fmt.Errorf("line %d: %w", number, explain(err))
			}
			if err := each(&req); err != nil {
				return atLine(number, err)
			}
		}
		if last {
			return nil
		}
	}
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

// atLine names the line whose values the model has no answer for. Other errors
// stay as they are.
func atLine(number int, err error) error {
	if model.KindOf(err) != model.KindInvalid {
		return err
	}
	return fmt.Errorf("line %d: %w", number, explain(err))
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
