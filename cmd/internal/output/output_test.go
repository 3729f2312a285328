package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"groundhog/fixtures/judge"
)

func write(t *testing.T, o *Files, path string, perm os.FileMode) {
	t.Helper()
	err := o.Write(path, perm, func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err })
	if err != nil {
		t.Fatal(err)
	}
}

// Before all files are complete none of them is at its name, and only their owner reads them; afterwards each has its mode, and
// what goes to standard output is there. What is not committed leaves nothing.
func TestTogether(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := t.TempDir()
	var stdout bytes.Buffer
	o, dropped := Files{Stdout: &stdout}, Files{}
	write(t, &o, filepath.Join(dir, "a"), 0o644)
	write(t, &o, filepath.Join(dir, "b"), 0o600)
	write(t, &o, Stdio, 0o600)
	write(t, &dropped, filepath.Join(dir, "a"), 0o644)
	all, err := os.ReadDir(dir)
	for _, e := range all {
		if info, cause := e.Info(); cause != nil || info.Mode() != 0o600 || e.Name()[0] != '.' {
			t.Errorf("incomplete: %v, %v", e, cause)
		}
	}
	if err != nil || len(all) != 3 || stdout.Len() > 0 {
		t.Errorf("%v, %v, %q", all, err, &stdout)
	}
	if err := o.Commit(); err != nil || stdout.String() != "text" {
		t.Errorf("%q, %v", &stdout, err)
	}
	o.Discard()
	dropped.Discard()
	for name, want := range map[string]os.FileMode{"a": 0o644, "b": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

// Outputs that cannot be are refused in one line, with the output's name in it, before anything is worked out.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	in, link := filepath.Join(dir, "in"), filepath.Join(dir, "link")
	judge.Must(t, errors.Join(os.WriteFile(in, nil, 0o600), os.Link(in, link)))
	if Check([]string{link, filepath.Join(dir, "none")}, []string{in}) == nil || Check([]string{dir}, []string{in}) != nil {
		t.Error("what is over the input, and what is not")
	}
	if Check([]string{"a", Stdio, "b"}, []string{Stdio}) != nil || Check([]string{Stdio, "a", Stdio}, nil) == nil || Check([]string{"", ""}, nil) != nil {
		t.Error("standard output, once and twice")
	}
	stdout := filepath.Join(dir, "stdout") // as /dev/stdout is, which root would have to make anew
	judge.Must(t, os.Symlink("/proc/self/fd/1", stdout))
	pipe := filepath.Join(dir, "pipe")
	judge.Must(t, syscall.Mkfifo(pipe, 0o600))
	new := filepath.Join(dir, "new")
	if Check([]string{new, "x", filepath.Join(dir, "..", filepath.Base(dir), "new")}, nil) == nil || Check([]string{new, new + "er"}, nil) != nil {
		t.Error("one file for two outputs, and two")
	}
	for path, want := range map[string]string{
		dir:                           "writing " + dir + ": it is there and no regular file",
		stdout:                        "writing " + stdout + ": it is the name of a file that is open already",
		"/proc/self/fd/1":             "writing /proc/self/fd/1: it is the name of a file that is open already",
		filepath.Join(dir, "none/x"):  "writing " + dir + "/none/x: creating a file in " + dir + "/none: no such file or directory",
		filepath.Join(pipe, "x"):      "writing " + pipe + "/x: creating a file in " + pipe + ": not a directory",
		filepath.Join(in, "a file's"): "writing " + in + "/a file's: creating a file in " + in + ": not a directory",
	} {
		var o Files
		if _, err := o.Create(path, 0o600); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
		o.Discard()
	}
	if left, err := os.Readlink(stdout); err != nil || left != "/proc/self/fd/1" {
		t.Errorf("the name of an open file became %s, %v", left, err)
	}
}

// Of two runs that write the same files at the same time, all are of one of them.
func TestTogetherOfTwoRuns(t *testing.T) {
	dir := t.TempDir()
	names := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	for round := range 300 {
		var both sync.WaitGroup
		start := make(chan struct{})
		for run := range 2 {
			both.Go(func() {
				var o Files
				defer o.Discard()
				for _, name := range names {
					if err := o.Write(name, 0o600, func(w io.Writer) error { _, err := fmt.Fprintf(w, "run %d", run); return err }); err != nil {
						t.Error(err)
					}
				}
				<-start
				if err := o.Commit(); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		both.Wait()
		var found []string
		for _, name := range names {
			b := judge.ReadFile(t, name)
			found = append(found, string(b))
		}
		if found[0] != found[1] || found[1] != found[2] {
			t.Fatalf("round %d: %q", round, found)
		}
	}
}

// What goes to standard output is in no file that a killed run would leave.
func TestStdoutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	o := Files{Stdout: &out}
	defer o.Discard()
	write(t, &o, Stdio, 0o600)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if err := o.Commit(); err != nil || out.String() != "text" {
		t.Errorf("%q, %v", &out, err)
	}
}
