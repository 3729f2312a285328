package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// outputs is files that come to be together: each is written beside its place
// under another name, and all are renamed once all are complete. Until then
// nothing is at their names but what was there before.
type outputs struct {
	files []output
}

type output struct {
	path string
	tmp  *os.File
}

// notOver refuses outputs that are among the inputs, under whatever name.
func notOver(outputs, inputs []string) error {
	for _, out := range outputs {
		there, err := os.Stat(out)
		if err != nil {
			continue
		}
		for _, in := range inputs {
			if info, err := os.Stat(in); err == nil && os.SameFile(info, there) {
				return hinted{fmt.Errorf("%s is the input: it is never written over", out), "name another file with --output"}
			}
		}
	}
	return nil
}

// create starts a file with permission bits perm.
func (o *outputs) create(path string, perm os.FileMode) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("writing %s: it is there and no regular file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	o.files = append(o.files, output{path, f})
	return f, f.Chmod(perm)
}

// write writes a whole file.
func (o *outputs) write(path string, perm os.FileMode, write func(io.Writer) error) error {
	f, err := o.create(path, perm)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// commit gives the files their names, in the order in which they were created.
// They are not synced: no build tool does that to what can be built again.
func (o *outputs) commit() error {
	for _, f := range o.files {
		if err := f.tmp.Close(); err != nil {
			return fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	for _, f := range o.files {
		if err := os.Rename(f.tmp.Name(), f.path); err != nil {
			return err
		}
	}
	o.files = nil
	return nil
}

// discard removes what was not committed.
func (o *outputs) discard() {
	for _, f := range o.files {
		f.tmp.Close()
		os.Remove(f.tmp.Name())
	}
}
