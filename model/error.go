package model

import (
	"context"
	"errors"
)

// Kind classifies an error by what its receiver can do about it. Front doors
// map a kind to their protocol's status in one table each.
type Kind uint8

// The kinds of error.
const (
	// KindInternal is a fault of the server; its detail is for the log alone.
	KindInternal Kind = iota
	// KindMalformed is input that is not in the format it claims to be in.
	KindMalformed
	// KindInvalid is well-formed input that does not fit the model's schema.
	KindInvalid
	// KindTooLarge is input beyond a limit of bytes or rows.
	KindTooLarge
	// KindNotFound is a model, or a version of one, that is not served.
	KindNotFound
	// KindNotReady is a model that has not proved its answers.
	KindNotReady
	// KindOverloaded is work refused because the server has enough of it.
	KindOverloaded
	// KindDeadline is work given up because its time was over.
	KindDeadline
	// KindCanceled is work given up because its caller has gone.
	KindCanceled
)

// Error is an error with its kind and with what its receiver needs to mend
// the request.
type Error struct {
	Kind Kind
	// Type is a slug that names the problem, such as "unknown-feature"; the
	// set of them is bounded and documented.
	Type string
	// Detail is a sentence for people.
	Detail string
	// Pointer is an RFC 6901 JSON Pointer to the faulty part of the input;
	// empty when the whole input is meant.
	Pointer string
	// Expected and Got say what was wanted there and what was found.
	Expected, Got string
}

// Error returns the detail, with the place where there is one.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Detail
	}
	return e.Pointer + ": " + e.Detail
}

// KindOf returns the kind of the first *Error in err's chain, and
// KindInternal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// ContextError returns nil while ctx is live, and then an *Error that tells a
// passed deadline from a caller who has gone.
func ContextError(ctx context.Context) error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: KindDeadline, Type: "deadline-exceeded", Detail: "the request's time was over before it was answered"}
	default:
		return &Error{Kind: KindCanceled, Type: "client-closed-request", Detail: "the caller went away before the answer"}
	}
}
