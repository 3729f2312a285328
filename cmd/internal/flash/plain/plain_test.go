package plain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
	"groundhog/fixtures/judge"
)

// local is a Shell on this machine: busybox ash, in a root of its own.
type local struct {
	t    *testing.T
	root string
	path string // PATH, "" for the test's own

	group bool // its scripts are process groups of their own
}

func newLocal(t *testing.T) *local {
	judge.Tool(t, "busybox")
	judge.Tool(t, "curl")
	l := &local{t: t, root: t.TempDir()}
	for _, dir := range []string{"run/groundhog", "proc", "sys/class/block"} {
		judge.Must(t, os.MkdirAll(filepath.Join(l.root, dir), 0o700))
	}
	for _, file := range []string{"mounts", "swaps", "locks"} {
		l.write("proc/"+file, "")
	}
	return l
}

func (l *local) write(name, text string) {
	l.t.Helper()
	judge.WriteFile(l.t, filepath.Join(l.root, name), text)
}

func (l *local) has(name string) bool {
	_, err := os.Stat(filepath.Join(l.root, name))
	return err == nil
}

func (l *local) Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error) {
	// The disk is a file here: its place below the root is what stands for /dev, and caches of this machine stay.
	program = strings.ReplaceAll(program, "echo 3 >/proc/sys/vm/drop_caches", ":")
	if len(args) > 1 {
		args[0] = l.root + args[0]
	}
	cmd := exec.CommandContext(ctx, "busybox", append([]string{"sh", "-c", program, "groundhog"}, args...)...)
	cmd.Env = append(os.Environ(), "groundhog_root="+l.root)
	if l.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+l.path)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: l.group}
	return devicetest.Here(cmd, stdin)
}

// setUp makes a disk full of old data and a server that has the image.
func setUp(t *testing.T, image, served []byte, disk int) (*local, Job) {
	l := newLocal(t)
	judge.Must(t, os.MkdirAll(filepath.Join(l.root, "dev"), 0o700))
	l.write("dev/vdb", string(judge.Noise(9, disk)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/image" {
			http.NotFound(w, r)
			return
		}
		w.Write(served)
	}))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(image)
	return l, Job{Disk: "/dev/vdb", URL: server.URL + "/image", Compression: "none",
		Size: int64(len(image)), SHA256: hex.EncodeToString(sum[:]), Who: "a test", Session: "S1"}
}

func (l *local) disk() []byte {
	l.t.Helper()
	return judge.ReadFile(l.t, filepath.Join(l.root, "dev/vdb"))
}

func TestRun(t *testing.T) {
	for _, size := range []int{512, 1 << 20, 1<<20 + 512, 3<<20 + 100} {
		image := judge.Noise(1, size)
		l, job := setUp(t, image, judge.Gzip(image), 4<<20)
		job.Compression = "gzip"
		old := l.disk()
		r, err := Run(t.Context(), l, job)
		if err != nil || !r.Verified || !r.Started || r.Bytes != int64(size) {
			t.Fatalf("%d bytes: %+v, %v", size, r, err)
		}
		if !bytes.Equal(l.disk(), append(append([]byte{}, image...), old[size:]...)) {
			t.Errorf("%d bytes: the disk is not the image and what was behind it", size)
		}
		if l.has("run/groundhog/writing") || l.has("run/groundhog/plain") || !l.has("run/groundhog/lease") ||
			l.says("run/groundhog/verified") != "curl S1 "+l.root+"/dev/vdb\n" || len(l.claims()) > 0 {
			t.Errorf("%d bytes: state is left behind, or no lease", size)
		}
	}
}

// curl takes brackets and braces for several URLs, unless it is told not to.
func TestRunBrackets(t *testing.T) {
	image := judge.Noise(1, 512)
	l, job := setUp(t, image, image, 1<<20)
	job.URL += "?[1-3]{a,b}"
	if r, err := Run(t.Context(), l, job); err != nil || !r.Verified {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRunTable(t *testing.T) {
	image, head, tail := judge.Noise(1, 2<<20), judge.Noise(2, 34*512), judge.Noise(3, 33*512)
	l, job := setUp(t, image, image, 4<<20)
	want := l.disk()
	copy(want, image)
	copy(want, head)
	copy(want[len(want)-len(tail):], tail)
	job.Head, job.Tail, job.TailAt = head, tail, int64(len(want)-len(tail))
	if r, err := Run(t.Context(), l, job); err != nil || !r.Verified {
		t.Fatalf("%+v, %v", r, err)
	}
	if !bytes.Equal(l.disk(), want) {
		t.Error("the disk is not the image with the table moved to its end")
	}
}

// A disk that is half written is not said to be verified by whoever was there before, another one that was verified still is.
func TestRunFailsBehindVerified(t *testing.T) {
	image := judge.Noise(1, 512)
	l, job := setUp(t, image, image, 1<<20)
	other := "flash S2 /dev/sdz\n"
	l.write("run/groundhog/verified", other+"flash S0 "+l.root+"/dev/vdb\n")
	job.URL += "-that-is-not-there"
	if _, err := Run(t.Context(), l, job); err == nil {
		t.Error("it is done")
	}
	if got := l.says("run/groundhog/verified"); got != other {
		t.Errorf("verified is %q, and writing %q", got, l.says("run/groundhog/writing"))
	}
}

// A boot that is about to go on stops it, and a disk that was half written before is so still.
func TestRunLeavingHalfWritten(t *testing.T) {
	image := judge.Noise(1, 512)
	for _, other := range []string{"", "flash S2 /dev/sdz\n"} {
		l, job := setUp(t, image, image, 1<<20)
		was := other + "flash S0 " + l.root + "/dev/vdb\n"
		l.write("run/groundhog/writing", was)
		l.write("run/groundhog/leaving", "")
		if _, err := Run(t.Context(), l, job); !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
		if !l.has("run/groundhog/writing") || l.says("run/groundhog/writing") != was {
			t.Errorf("with %q in it writing is not what it was", other)
		}
	}
}

// Whatever goes wrong while it writes: never verified, `writing` stays, and the first mebibyte is the old one.
func TestRunFails(t *testing.T) {
	image := judge.Noise(1, 3<<20)
	z := judge.Gzip(image)
	flipped := bytes.Clone(image)
	flipped[2<<20] ^= 1
	for name, c := range map[string]struct {
		served  []byte
		gzip    bool
		missing bool
		want    string
	}{
		"cut":        {served: z[:len(z)/2], gzip: true, want: "gzip ended with 1"},
		"short":      {served: image[:2<<20], want: "2097152 bytes came, the image has 3145728"},
		"long":       {served: append(bytes.Clone(image), judge.Noise(4, 8<<20)...), want: "ended with"},
		"other":      {served: flipped, want: "the disk holds sha256"},
		"not gzip":   {served: image, gzip: true, want: "gzip ended with 1"},
		"not there":  {missing: true, want: "curl ended with 22"},
		"a web page": {served: []byte("<html>"), want: "bytes came"},
	} {
		t.Run(name, func(t *testing.T) {
			l, job := setUp(t, image, c.served, 4<<20)
			if c.gzip {
				job.Compression = "gzip"
			}
			if c.missing {
				job.URL += "/nothing"
			}
			old := l.disk()
			r, err := Run(t.Context(), l, job)
			if !errors.Is(err, ErrFailed) || r.Verified || !r.Started || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v: want ErrFailed with %q", r, err, c.want)
			}
			if !l.has("run/groundhog/writing") {
				t.Error("`writing` is gone: the device would boot from this disk")
			}
			if !bytes.Equal(l.disk()[:1<<20], old[:1<<20]) {
				t.Error("the first mebibyte was written")
			}
			// and the next run goes through
			good, again := setUp(t, image, image, 4<<20)
			job.URL, job.Compression = again.URL, "none"
			_ = good
			if r, err := Run(t.Context(), l, job); err != nil || !r.Verified || l.has("run/groundhog/writing") {
				t.Errorf("the next run: %+v, %v", r, err)
			}
		})
	}
}

// What is known beforehand is refused, and the disk is as it was.
func TestRunRefuses(t *testing.T) {
	image := judge.Noise(1, 2<<20)
	for name, c := range map[string]struct {
		prepare func(*local, *Job)
		want    string
	}{
		"too small":   {func(l *local, j *Job) { l.write("dev/vdb", "tiny") }, "the image has 2097152 bytes, "},
		"no decoder":  {func(l *local, j *Job) { j.Compression = "lz4"; l.path = l.tools() }, "lz4 is not in this initramfs"},
		"boots on":    {func(l *local, j *Job) { l.write("run/groundhog/leaving", "") }, "the boot is going on"},
		"at work":     {func(l *local, j *Job) { l.busy(os.Getpid(), ownStart(l.t)) }, "another flash is at work: somebody"},
		"mounted":     {func(l *local, j *Job) { l.block("vdb1"); l.write("proc/mounts", "/dev/vdb1 / ext4 rw 0 0\n") }, "is in use"},
		"swapped on":  {func(l *local, j *Job) { l.block(""); l.write("proc/swaps", "/dev/vdb partition 1 0 -2\n") }, "is in use"},
		"held by LVM": {func(l *local, j *Job) { l.block("vdb2/holders/dm-0") }, "is in use"},
	} {
		t.Run(name, func(t *testing.T) {
			l, job := setUp(t, image, image, 4<<20)
			c.prepare(l, &job)
			old := l.disk()
			r, err := Run(t.Context(), l, job)
			if !errors.Is(err, ErrRefused) || r.Started || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v: want ErrRefused with %q", r, err, c.want)
			}
			if !bytes.Equal(l.disk(), old) || l.has("run/groundhog/writing") {
				t.Error("something was written")
			}
		})
	}
}

// tools is a PATH with busybox' programs and curl, and no others.
func (l *local) tools() string {
	dir := filepath.Join(l.root, "bin")
	judge.Run(l.t, exec.Command("sh", "-c", `mkdir -p "$1" && ln -s "$(command -v curl)" "$1" && ln -s "$(command -v busybox)" "$1" &&
		busybox --install -s "$1"`, "sh", dir))
	return dir
}

// busy is a claim of a process that began so many ticks after the boot.
func (l *local) busy(pid int, start string) {
	judge.Must(l.t, os.Mkdir(filepath.Join(l.root, "run/groundhog/plain.by"), 0o700))
	l.write("run/groundhog/plain.by/"+strconv.Itoa(pid)+"."+start, "somebody\n")
}

// ownStart is when this process began.
func ownStart(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		judge.Missing(t, "/proc")
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[19]
}

func (l *local) says(name string) string {
	b, _ := os.ReadFile(filepath.Join(l.root, name))
	return string(b)
}

func (l *local) claims() []string {
	all, _ := filepath.Glob(filepath.Join(l.root, "run/groundhog/plain.by/*"))
	return all
}

// block makes the disk one that sysfs knows, and below it what name says.
func (l *local) block(name string) {
	judge.Must(l.t, os.MkdirAll(filepath.Join(l.root, "sys/class/block/vdb", name), 0o700))
}

// A lock whose owner is gone holds nobody up, whatever has its number now.
func TestRunStaleLock(t *testing.T) {
	image := judge.Noise(1, 2<<20)
	gone := exec.Command("true")
	judge.Must(t, gone.Run())
	for pid, start := range map[int]string{gone.Process.Pid: "1", os.Getpid(): "1"} {
		l, job := setUp(t, image, image, 4<<20)
		l.busy(pid, start)
		if r, err := Run(t.Context(), l, job); err != nil || !r.Verified {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// Twenty at once, some of which are killed while they hold it, and that again and again: never two.
func TestLockRace(t *testing.T) {
	l := newLocal(t)
	judge.Must(t, os.Mkdir(filepath.Join(l.root, "held"), 0o755))
	functions, _, _ := strings.Cut(flashScript, "\ntake_lock\n")
	held := 0
	for round := range 5 {
		var all sync.WaitGroup
		outs, begun := make([]bytes.Buffer, 20), make([]chan struct{}, 20)
		for i := range begun {
			begun[i] = make(chan struct{})
		}
		for i := range outs {
			end := `rm -f "$claim"`
			if i%3 == 0 {
				end = "kill -9 $$"
			}
			cmd := exec.Command("busybox", "sh", "-c", Writing+functions+`
take_lock
mkdir "$groundhog_root/held/x" || echo two
sleep 0.01
rmdir "$groundhog_root/held/x"
echo held
`+end, "groundhog", "/dev/vdb", "-", "none", "1", "-", "a test", "0", "S")
			cmd.Env = append(os.Environ(), "groundhog_root="+l.root)
			cmd.Stdout, cmd.Stderr = &outs[i], &outs[i]
			all.Go(func() { // four begin together, and the next ones while these are at work
				if i >= 4 {
					<-begun[i-4]
				}
				err := cmd.Start()
				close(begun[i])
				if err != nil {
					t.Error(err)
					return
				}
				cmd.Wait()
			})
		}
		all.Wait()
		for i := range outs {
			held += strings.Count(outs[i].String(), "held\n")
			if strings.Contains(outs[i].String(), "two") {
				t.Fatalf("round %d: two hold the lock: %s", round, outs[i].String())
			}
		}
	}
	if held == 0 {
		t.Error("nobody could ever have the lock")
	}
}

func TestCheck(t *testing.T) {
	good := Job{Disk: "/dev/vda", URL: "http://192.0.2.1/i", Compression: "none", Size: 512, SHA256: strings.Repeat("a", 64), Session: "S"}
	judge.Must(t, good.checkJob())
	for name, spoil := range map[string]func(*Job){
		"a way out of /dev": func(j *Job) { j.Disk = "/dev/../etc/passwd" },
		"an option":         func(j *Job) { j.Disk = "-rf" },
		"a shell's word":    func(j *Job) { j.Disk = "/dev/vda;reboot" },
		"a file URL":        func(j *Job) { j.URL = "file:///etc/shadow" },
		"a line break":      func(j *Job) { j.URL = "http://a/\nb" },
		"a decoder":         func(j *Job) { j.Compression = "sh" },
		"no sum":            func(j *Job) { j.SHA256 = "" },
		"a session":         func(j *Job) { j.Session = "a b" },
		"no size":           func(j *Job) { j.Size = 0 },
		"an odd head":       func(j *Job) { j.Head = []byte{1} },
		"a tail inside":     func(j *Job) { j.Tail = make([]byte, 512) },
	} {
		j := good
		spoil(&j)
		if err := j.checkJob(); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// The dd of an initramfs' busybox counts records, and prints no bytes.
func TestTerseDD(t *testing.T) {
	for _, size := range []int{100, 1 << 20, 1<<20 + 1, 3 << 20, 3<<20 + 77} {
		image := judge.Noise(3, size)
		l, j := setUp(t, image, image, 5<<20)
		bin := t.TempDir()
		script := "#!/bin/sh\n{ busybox dd \"$@\" 2>&1 >&3 | grep -v bytes >&2; } 3>&1\n"
		judge.Must(t, judge.WriteProgram(filepath.Join(bin, "dd"), []byte(script), 0o700))
		l.path = bin + ":" + os.Getenv("PATH")
		r, err := Run(t.Context(), l, j)
		if err != nil || r.Bytes != int64(size) || !bytes.Equal(l.disk()[:size], image) {
			t.Errorf("%d bytes: %+v, %v", size, r, err)
		}
	}
}

// One byte too many, or too few, is not the image.
func TestOtherLength(t *testing.T) {
	for _, size := range []int{1 << 20, 3 << 20, 3<<20 + 77} {
		image := judge.Noise(3, size)
		for _, served := range [][]byte{append(bytes.Clone(image), 0), image[:size-1]} {
			l, j := setUp(t, image, served, 5<<20)
			if r, err := Run(t.Context(), l, j); err == nil || r.Verified {
				t.Errorf("%d bytes for %d: %+v, %v", len(served), size, r, err)
			}
		}
	}
}

func TestShellcheck(t *testing.T) {
	cmd := exec.Command(judge.Tool(t, "shellcheck"), "-s", "dash", "-")
	cmd.Stdin = strings.NewReader(Writing + flashScript)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
