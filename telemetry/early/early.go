// Package early keeps the standard log silent until the program gives it a
// place. Libraries write there while they are initialised, before main:
// go.opentelemetry.io/auto/sdk repeats a variable that it cannot read. Packages
// are initialised in the order of their paths as soon as what they import is,
// so this one, which imports little, comes before them.
package early

import (
	"io"
	"log"
)

// Silenced is there so that it is initialised.
var Silenced = silence()

func silence() bool {
	log.SetOutput(io.Discard)
	return true
}
