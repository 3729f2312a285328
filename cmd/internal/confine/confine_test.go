package confine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// said is what a shell script prints, confined.
func said(t *testing.T, script string) (string, error) {
	t.Helper()
	var long bytes.Buffer
	if err := RunLong(t.Context(), func(c *exec.Cmd) { c.Stdout = &long }, "/bin/sh", "-c", "ulimit -t; ulimit -v"); err != nil || long.String() != "unlimited\n4194304\n" {
		t.Errorf("for long: %q, %v", long.String(), err)
	}
	var out bytes.Buffer
	err := Run(t.Context(), func(c *exec.Cmd) { c.Stdout, c.Stderr = &out, &out }, "/bin/sh", "-c", script, "sh")
	return strings.TrimSpace(out.String()), err
}

// The limits are there, arguments arrive as they are, and the program's own end is
// what is reported.
func TestRun(t *testing.T) {
	for script, want := range map[string]string{"ulimit -t": "120", "ulimit -v": "4194304", "ulimit -n": "256", "ulimit -c": "0"} {
		if got, err := said(t, script); got != want || err != nil {
			t.Errorf("%s: %q, %v", script, got, err)
		}
	}
	var out bytes.Buffer
	err := Run(t.Context(), func(c *exec.Cmd) { c.Stdout = &out }, "printf", "%s|", "a b", "$(id)", "-x", "'", "")
	if err != nil || out.String() != "a b|$(id)|-x|'||" {
		t.Errorf("%q, %v", out.String(), err)
	}
	_, err = said(t, "exit 7")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("exit 7 came as %v", err)
	}
	if _, err := said(t, "trap '' XFSZ; dd if=/dev/zero of=/dev/null bs=1M count=1 2>/dev/null; head -c 1 /dev/zero >"+t.TempDir()+"/x"); err != nil {
		t.Errorf("a small file: %v", err)
	}
}

// Where namespaces are to be had, the program has another network than we.
func TestNoNetwork(t *testing.T) {
	ours := judge.Value(os.Readlink("/proc/self/ns/net"))(t)
	theirs := judge.Value(said(t, "readlink /proc/self/ns/net; cut -d: -f1 /proc/self/net/dev | tail -n +3"))(t)
	ns, interfaces, _ := strings.Cut(theirs, "\n")
	if ns == ours && judge.Required() {
		t.Fatal("no network namespace to be had, where one is required")
	}
	if ns == ours {
		judge.Missing(t, "a network namespace for anybody")
	}
	if strings.TrimSpace(interfaces) != "lo" {
		t.Errorf("its interfaces: %q", interfaces)
	}
}

// With whoever asked, the program and its children end.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, func(c *exec.Cmd) { c.Stdout = w }, "/bin/sh", "-c", "sleep 1000 & echo here; wait")
	}()
	judge.Value(in.Read(make([]byte, 5)))(t)
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("it ended well")
		}
	case <-time.After(time.Minute):
		t.Fatal("it did not end")
	}
	w.Close()
	if _, err := in.Read(make([]byte, 5)); err == nil { // EOF: nobody holds the pipe any more
		t.Error("a child is alive")
	}
}
