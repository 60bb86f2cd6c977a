package main

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// output is where --output leads. A file is written beside its place and put
// there as a whole at the end, so that it may be the input too, and keeps what
// it held when the run fails.
type output struct {
	writer io.Writer
	// file is what end closes; nil for the standard output.
	file *os.File
	// path is the file's place, empty when it is written there at once.
	path string
}

// openOutput prepares what path names. Pipes, devices and what stdout writes to
// already, such as /dev/stdout, cannot be replaced and are written directly.
func openOutput(path string, stdout io.Writer) (*output, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createBeside(path)
	}
	if err != nil {
		return nil, err
	}
	if isSame(stdout, info) {
		return &output{writer: stdout}, nil
	}
	if !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &output{writer: file, file: file}, err
	}
	// A link stays one: the file that it leads to is replaced.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	o, err := createBeside(path)
	if err != nil {
		return nil, err
	}
	if err := o.file.Chmod(info.Mode().Perm()); err != nil {
		return nil, o.end(err)
	}
	return o, nil
}

// isSame reports whether w writes to the file that info describes.
func isSame(w io.Writer, info fs.FileInfo) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	its, err := file.Stat()
	return err == nil && os.SameFile(its, info)
}

// createBeside creates a file in the folder of path, with the permissions that
// one at path would get; os.CreateTemp would hide it from everyone else.
func createBeside(path string) (*output, error) {
	name := filepath.Join(filepath.Dir(path), ".tepal-"+rand.Text())
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	return &output{writer: file, file: file, path: path}, err
}

// end closes the output of a run that came to err, and puts a file in its place
// when that and the closing went well. It returns what went wrong.
func (o *output) end(err error) error {
	if o.file == nil {
		return err
	}
	err = errors.Join(err, o.file.Close())
	if o.path == "" {
		return err
	}
	if err == nil {
		err = os.Rename(o.file.Name(), o.path)
	}
	if err != nil {
		_ = os.Remove(o.file.Name())
	}
	return err
}
