package model

import "errors"

// Cause says in a word or two why a model is not served. The reasons that
// operators read begin with it.
type Cause string

// The causes.
const (
	// CauseCorrupt is a file that cannot be read as ONNX.
	CauseCorrupt Cause = "corrupt"
	// CauseUnsupported is valid ONNX that this program cannot serve.
	CauseUnsupported Cause = "not supported"
	// CauseInvalid is a file that can be read and contradicts ONNX, or itself.
	CauseInvalid Cause = "invalid"
	// CauseGoldenRows are golden rows that cannot be replayed, or prove nothing.
	CauseGoldenRows Cause = "invalid golden rows"
	// CauseNoAnswer is a model that cannot answer a row.
	CauseNoAnswer Cause = "no answer"
	// CauseMismatch is an answer that is not the one that a golden row expects.
	CauseMismatch Cause = "golden mismatch"
	// CauseUnproven is a model without golden rows, where some are demanded.
	CauseUnproven Cause = "unproven"
)

// Refusal is an error with the cause for which a model is not served. Its text
// is that of Err alone.
type Refusal struct {
	Cause Cause
	Err   error
}

// Error returns the text of Err.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// CauseOf returns the cause of the first *Refusal in err's chain, and otherwise
// when there is none.
func CauseOf(err error, otherwise Cause) Cause {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Cause
	}
	return otherwise
}
