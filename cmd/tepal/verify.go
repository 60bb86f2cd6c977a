package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
)

type verifyCmd struct {
	modelArg
	Digest digest `help:"Refuse a model file of any other digest." env:"TEPAL_MODEL_DIGEST" placeholder:"sha256:HEX"`
}

// Help teaches what the flags alone do not.
func (verifyCmd) Help() string {
	return `Replays the golden rows of the file, which are rows with the answers that its trainer got, through the decoder, the program and the encoder that requests go through. It fails when an answer is not the expected one, when the digest differs, and when the file carries no golden rows and so proves nothing. What is odd about the file is a warning on standard error.

Examples:

  tepal verify
  tepal verify --digest "$DIGEST" model.onnx`
}

// Run proves the model and says so.
func (c *verifyCmd) Run(ctx context.Context, s streams) error {
	source := c.source()
	source.Digest = string(c.Digest)
	served, err := repository.Open(ctx, source)
	if err != nil {
		return err
	}
	printWarnings(s.err, served)
	if served.Golden.Status != model.GoldenProven {
		return errors.New("nothing is proven: " + summary(served))
	}
	_, err = fmt.Fprintln(s.out, summary(served))
	return err
}
