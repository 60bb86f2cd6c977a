// Package artifacts holds the models that are built into the program, so that
// it serves something, and can be tried, with no file at hand.
package artifacts

import _ "embed"

// Iris is the default model as an ONNX file: a random forest that tells three
// species of iris apart by four lengths in centimetres. cmd/train writes it
// from data/iris.csv. It must not be modified.
//
//go:embed iris.onnx
var Iris []byte
