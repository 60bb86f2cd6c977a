// Package interop holds the tests that show telemetry arriving at somebody else's door: receivers of OTLP and of Google's
// Cloud Trace, made from the protocols' own published types.
//
// It is a module of its own so that what only these tests need, protocols and client libraries of vendors, never becomes
// a direct dependency of the program. It uses the exported interface of package telemetry, as a main program does.
package interop
