package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/screen"
	"groundhog/cmd/internal/sidefile"
)

// stdio is the name that stands for standard input or output wherever a file is named.
const stdio = output.Stdio

// inputs opens the files that a command line names; each verb has one. A pipe is read once, from its beginning
// to its end, and so does as well as a file.
type inputs struct {
	mu    sync.Mutex
	stdin io.Reader // nil once it is taken
	none  bool      // standard input is not for files here

	beside bool // names that nobody gave: what others may have put there is not waited for

	screen func() *screen.Screen // of a person who waits for them, made once; nil: none
}

func inputsOf(cmd *cobra.Command) *inputs {
	return &inputs{stdin: cmd.InOrStdin(), screen: sync.OnceValue(func() *screen.Screen { return screenOf(cmd) })}
}

// watched shows how much was read of something, if anybody looks on; progress is nil where nobody does.
func (in *inputs) watched(label string) (progress func(done, total int64), end func()) {
	if in.screen == nil || in.screen() == nil {
		return nil, func() {}
	}
	bar := in.screen().Bar(label)
	return bar.Set, bar.Close
}

// files opens files and nothing else; besideFiles those that were looked for beside what a command line names.
func files() *inputs       { return &inputs{none: true} }
func besideFiles() *inputs { return &inputs{none: true, beside: true} }

func (in *inputs) open(path string) (io.ReadCloser, error) {
	if in.beside {
		return sidefile.Open(path)
	}
	if path != stdio || in.none {
		return os.Open(path)
	}
	r, err := in.take()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// take is standard input itself, which may be a file.
func (in *inputs) take() (io.Reader, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stdin == nil {
		return nil, errors.New("standard input is named twice: it can be read once")
	}
	r := in.stdin
	in.stdin = nil
	return r, nil
}

// openFile opens what may be of any size; what has no end is refused.
func (in *inputs) openFile(path string) (io.ReadCloser, error) {
	r, err := in.open(path)
	if err != nil {
		return nil, err
	}
	f, ok := r.(*os.File)
	if !ok {
		return r, nil
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fmt.Errorf("%s: a directory", path)
	case info.Mode()&os.ModeDevice != 0: // /dev/zero has no end
		err = fmt.Errorf("%s: a device", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// atMostOneStdout refuses two outputs that are standard output: what both write there is of no use.
func atMostOneStdout(outputs ...string) error {
	n := 0
	for _, path := range outputs {
		if path == stdio {
			n++
		}
	}
	if n > 1 {
		return errors.New("standard output is named twice")
	}
	return nil
}

// fileName is a file's name without its directory. What comes through a pipe has none: that a shell calls it
// /dev/fd/63 is nothing to keep.
func fileName(path string) string {
	if path == stdio {
		return stdio
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return stdio
	}
	return filepath.Base(path)
}
