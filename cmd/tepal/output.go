package main

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeOutput has write fill what --output names. A file is written beside its
// place and put there as a whole at the end, so that it may be the input too,
// and keeps what it held when write fails. Pipes, devices and what stdout
// writes to already, such as /dev/stdout, cannot be replaced and are written
// directly.
func writeOutput(path string, stdout io.Writer, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return replace(path, nil, write)
	case err != nil:
		return err
	case isSame(stdout, info):
		return write(stdout)
	case !info.Mode().IsRegular():
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	// A link stays one: the file that it leads to is replaced.
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	return replace(target, info, write)
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

// replace puts a file that write fills at path, with the permissions of old, or
// those that a new file there would get; os.CreateTemp would hide it from
// everyone else.
func replace(path string, old fs.FileInfo, write func(io.Writer) error) error {
	name := filepath.Join(filepath.Dir(path), ".tepal-"+rand.Text())
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if old != nil {
		err = file.Chmod(old.Mode().Perm())
	}
	if err == nil {
		err = write(file)
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		_ = os.Remove(name)
	}
	return err
}
