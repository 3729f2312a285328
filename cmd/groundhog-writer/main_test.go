package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash"
	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/fixtures/judge"
)

// TestMain makes this test binary be the writer, too.
func TestMain(m *testing.M) {
	if os.Getenv("GROUNDHOG_WRITER") != "" {
		main()
	}
	os.Setenv("GROUNDHOG_WRITER", "1") // of /proc/self/exe
	os.Exit(m.Run())
}

// source is noise in memory.
type source []byte

func (s source) Size() (int64, bool)  { return int64(len(s)), true }
func (s source) Index() []chunk.Chunk { return nil }
func (s source) Again() bool          { return true }
func (s source) Walk(_ context.Context, want func(int64) bool, each func(chunk.Chunk, []byte) error) error {
	for n := int64(0); n*chunk.Size < int64(len(s)); n++ {
		p := s[n*chunk.Size : min(int64(len(s)), (n+1)*chunk.Size)]
		if want != nil && !want(n) {
			continue
		}
		if err := each(chunk.Chunk{N: n, Len: len(p), Sum: chunk.SumOf(p)}, bytes.Clone(p)); err != nil {
			return err
		}
	}
	return nil
}

// child is a writer that runs, until it has said or been told so many bytes.
type child struct {
	io.Reader
	io.WriteCloser
	cmd        *exec.Cmd
	said, told atomic.Int64 // what is left of its life; counts down
}

func (c *child) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.said.Add(-int64(n)) <= 0 {
		c.cmd.Process.Kill()
	}
	return n, err
}

func (c *child) Write(p []byte) (int, error) {
	n, err := c.WriteCloser.Write(p)
	if c.told.Add(-int64(n)) <= 0 {
		c.cmd.Process.Kill()
	}
	return n, err
}

func (c *child) Close() error {
	c.WriteCloser.Close()
	return c.cmd.Wait()
}

// A writer that is killed at ten moments loses nothing: the next one goes on, and the disk ends as the image.
func TestKilled(t *testing.T) {
	img := make(source, 120<<20+777)
	rand.NewChaCha8([32]byte{1}).Read(img)
	dir := t.TempDir()
	name := filepath.Join(dir, "disk")
	judge.WriteFile(t, name, make([]byte, len(img)+5<<20))
	kills := 0
	connect := func(ctx context.Context) (io.ReadWriteCloser, error) {
		cmd := exec.Command(os.Args[0], "serve", filepath.Join(dir, "run"))
		cmd.Env = append(os.Environ(), "GROUNDHOG_WRITER=1")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		c := &child{Reader: out, WriteCloser: in, cmd: cmd}
		c.said.Store(math.MaxInt64)
		c.told.Store(math.MaxInt64)
		switch kills++; {
		case kills > 10:
		case kills%3 == 0: // while it greets, or compares
			c.said.Store(1 + rand.Int64N(1000))
		default: // while it writes
			c.told.Store(1<<20 + rand.Int64N(8<<20))
		}
		return c, nil
	}
	r, err := flash.Run(t.Context(), flash.Job{Source: img, Disk: name, Who: "a test", Session: "s", Tool: "test", Connect: connect})
	if err != nil || r.State != flash.Verified || r.Lost < 10 {
		t.Fatalf("%+v, %v", r, err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got[:len(img)], img) {
		t.Errorf("the disk is not the image (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run/writing")); err == nil {
		t.Error("`writing` is left: the device would never boot")
	}
	t.Logf("%d connections lost, %.1f s, the writer's peak %.1f MiB", r.Lost, r.Seconds, float64(r.Memory)/(1<<20))
}

// What the device needs is small and static: no SSH, no flags library, no decoder of images.
func TestImports(t *testing.T) {
	out := judge.Run(t, exec.Command("go", "list", "-deps", "."))
	for name := range strings.Lines(string(out)) {
		switch strings.TrimSpace(name) {
		case "groundhog/initrd/show", "groundhog/initrd/eof": // which know no archive
			continue
		}
		for _, bad := range []string{"golang.org/x/crypto/ssh", "spf13", "/flash/image", "net/http", "/initrd"} {
			if strings.Contains(name, bad) {
				t.Errorf("imports %s", strings.TrimSpace(name))
			}
		}
	}
}

// It is compiled for every device, without cgo, and stays small: it is in the memory of all of them.
func TestCompiles(t *testing.T) {
	for arch, arm := range map[string]string{"amd64": "", "arm64": "", "arm": "5"} {
		name := filepath.Join(t.TempDir(), "writer")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOARM="+arm)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", arch, err, out)
			continue
		}
		info, err := os.Stat(name)
		if err != nil || info.Size() > 6<<20 {
			t.Errorf("%s: %v, %v", arch, info, err)
			continue
		}
		t.Logf("%s: %.1f MB", arch, float64(info.Size())/1e6)
	}
}

// A disk that does not answer is said to be silent, whoever is killed; one that fails is quoted.
func TestReadBeginning(t *testing.T) {
	dir := t.TempDir()
	fifo, short, whole := filepath.Join(dir, "fifo"), filepath.Join(dir, "short"), filepath.Join(dir, "whole")
	judge.Must(t, unix.Mkfifo(fifo, 0o600))
	judge.WriteFile(t, short, make([]byte, 1023))
	judge.WriteFile(t, whole, bytes.Repeat([]byte("disk"), 1<<15))
	if b, err := readBeginning(fifo, 1024); !errors.Is(err, disk.ErrSilent) || !strings.Contains(err.Error(), "within 5s") {
		t.Errorf("nobody writes: %d bytes, %v", len(b), err)
	}
	if b, err := readBeginning(short, 1024); err == nil || err.Error() != "EOF" {
		t.Errorf("short: %d bytes, %v", len(b), err)
	}
	if b, err := readBeginning(filepath.Join(dir, "none"), 1024); err == nil || !strings.HasPrefix(err.Error(), "open ") {
		t.Errorf("none: %d bytes, %v", len(b), err)
	}
	const most = 2 * 65536
	if b, err := readBeginning(whole, most); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("disk"), most/4)) {
		t.Errorf("whole: %d bytes, %v", len(b), err)
	}
}

func TestRun(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"disks"}, &out, &errs); code != 0 {
		t.Fatalf("%d: %s", code, errs.String())
	}
	var all []disk.Info
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
	if code := run([]string{"serve", "a", "b"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "usage") {
		t.Errorf("%d: %s", code, errs.String())
	}
}
