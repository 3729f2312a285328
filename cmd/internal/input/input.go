// Package input reads what a command line names: a file, a pipe or standard input; an archive, a manifest, a root tree of
// directories and .deb files. It bounds what it reads by --max-size, and says how to raise that.
package input

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/screen"
	"groundhog/cmd/internal/sidefile"
)

// Files opens the files that one command line names. Standard input can be read once, so it can be named once. A pipe is
// read from its beginning to its end, so it does as well as a file.
type Files struct {
	mu    sync.Mutex
	stdin io.Reader // nil once somebody has it
	plain bool      // "-" is a file's name like any other

	beside bool // nobody named the files: what others may have put there is not waited for

	screen func() *screen.Screen // of a person who waits while files are read; may be nil, and return nil
}

// Of opens files by their names, and stdin by the name "-". newScreen makes the screen on which a person watches what is
// read for long, nil where nobody does; it is called once, and only if there is something to show.
func Of(stdin io.Reader, newScreen func() *screen.Screen) *Files {
	return &Files{stdin: stdin, screen: sync.OnceValue(newScreen)}
}

// Named opens files by their names alone: "-" is one of them.
func Named() *Files { return &Files{plain: true} }

// Beside is Named for files that nobody named, as they lie beside one that somebody did.
func Beside() *Files { return &Files{plain: true, beside: true} }

// Watched shows how much was read of something, if anybody looks on; progress is nil where nobody does.
func (in *Files) Watched(label string) (progress func(done, total int64), end func()) {
	if in.screen == nil || in.screen() == nil {
		return nil, func() {}
	}
	bar := in.screen().Bar(label)
	return bar.Set, bar.Close
}

// Above is a writer for lines that go to w, which is standard error: they stand above what [Files.Watched] shows there.
func (in *Files) Above(w io.Writer) io.Writer {
	if in.screen == nil || in.screen() == nil {
		return w
	}
	return in.screen()
}

// Open opens a file of any kind.
func (in *Files) Open(path string) (io.ReadCloser, error) {
	if in.beside {
		return sidefile.Open(path)
	}
	if path != output.Stdio || in.plain {
		return os.Open(path)
	}
	r, err := in.Stdin()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// Stdin is standard input itself, which may be an [os.File].
func (in *Files) Stdin() (io.Reader, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stdin == nil {
		return nil, errors.New("standard input is named twice: it can be read once")
	}
	r := in.stdin
	in.stdin = nil
	return r, nil
}

// openEnding opens what may be of any size, but has an end: a directory and a device are refused.
func (in *Files) openEnding(path string) (io.ReadCloser, error) {
	r, err := in.Open(path)
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

// Name is a file's name without its directory, [output.Stdio] for a pipe: that a shell calls it /dev/fd/63 is nothing to keep.
func Name(path string) string {
	if IsPipe(path) {
		return output.Stdio
	}
	return filepath.Base(path)
}

// IsPipe reports whether a name stands for standard input, or is a pipe's: nothing lies beside it. A file may be called - in its directory (./-).
func IsPipe(path string) bool {
	info, err := os.Stat(path)
	return path == output.Stdio || err == nil && info.Mode()&os.ModeNamedPipe != 0
}
