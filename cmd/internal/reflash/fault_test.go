package reflash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/push"
	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
)

// TestMain keeps what is learned of devices out of the user's home.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "reflash")
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"} {
		os.Setenv(name, filepath.Join(dir, name))
	}
	os.Unsetenv("SSH_AUTH_SOCK")
	// Who no configuration says anything of needs no ssh(1) to be asked, some two thousand times: package device holds what is
	// found without it against what it says.
	if err := devicetest.HideSSH(filepath.Join(dir, "bin")); err != nil {
		panic(err)
	}
	flag.Parse()
	flag.Set("test.parallel", "24") // devices are waited for, and need no processor meanwhile
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// told collects events.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (t *told) Tell(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
}

// checks is the findings of a push.
func (t *told) checks() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(t.events), func(e Event) bool { return e.Event != EventCheck })
}

// verdicts is how often a verdict was told, and the last one.
func (t *told) verdicts() (n int, last Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		if e.Event == EventVerdict {
			n++
			last = e
		}
	}
	return n, last
}

func (t *told) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for _, e := range t.events {
		if e.Event != EventProgress {
			fmt.Fprintln(&b, e.Event, e.ID, e.Verdict, e.Text)
		}
	}
	return b.String()
}

// bench is a device and what goes onto it.
type bench struct {
	*devicetest.Device
	t       *testing.T
	told    told
	archive *Archive
	image   *image.Image
	path    string
	content []byte
	ssh     device.Options

	patience   time.Duration // of a flash
	reboot     time.Duration // how long a reboot may take
	powerCycle string
	target     string // --target
}

func newBench(t *testing.T) *bench {
	t.Helper()
	path := judge.Value(plainFile())(t)
	return benchOf(t, path, plainImage())
}

// plainImage is made once.
var plainImage = sync.OnceValue(func() []byte { return bootable.Partitioned(3<<20 + 512) })

// plainFile is a file with it, which nobody changes.
var plainFile = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv("HOME"), "disk.img") // TestMain's, that it removes
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, plainImage(), 0o600)
})

// benchFor is a bench with an image.
func benchFor(t *testing.T, content []byte) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	judge.WriteFile(t, path, content)
	return benchOf(t, path, content)
}

// benchOf is a bench with the image in a file.
func benchOf(t *testing.T, path string, content []byte) *bench {
	t.Helper()
	img := judge.Value(image.Open(t.Context(), path, "", nil))(t)
	t.Cleanup(func() { img.Close() })
	return benchWith(t, path, content, img)
}

// benchWith is a bench with an image that is open.
func benchWith(t *testing.T, path string, content []byte, img *image.Image) *bench {
	t.Helper()
	b := &bench{Device: devicetest.Start(t), t: t, path: path, content: content, image: img, patience: 5 * time.Minute, reboot: 5 * time.Minute}
	file := filepath.Join(t.TempDir(), "reflash.img")
	judge.WriteFile(t, file, "an archive")
	b.ssh = device.Options{Config: "none", Identities: []string{b.Path("login")}, KnownHosts: []string{b.Path("known_hosts")},
		ConnectTimeout: 10 * time.Second, Keepalive: time.Second, Silence: 10 * time.Second}
	login := judge.Value(device.Identities(t.Context(), b.Target(), b.ssh))(t)
	b.archive = &Archive{Path: file, Size: 10, SHA256: sumOf([]byte("an archive")),
		Keys: []ssh.PublicKey{b.WaitingKey()}, Facts: push.Archive{Size: 10, Arch: "amd64", Kernel: "6.1.0-56-amd64", Release: "bookworm",
			Build: "b1", Dropbear: true, Authorized: []string{ssh.FingerprintSHA256(login[0].Key)}}}
	b.Pushed("b1")
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// run runs a verb.
func (b *bench) run(ctx context.Context, verb string) Outcome {
	h := Host{Teller: &b.told, Name: b.Target(), Began: time.Now()}
	f := FlashOptions{SSH: b.ssh, Roll: device.NewRoll(1), Patience: b.patience, Tool: "groundhog test", Via: "writer", Target: b.target,
		ReadArchive: func(string) (*Archive, error) { return b.archive, nil }, Writer: func(string) ([]byte, error) { return []byte("a writer"), nil }}
	switch verb {
	case "push":
		return Push(ctx, h, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1)})
	case "push --reboot":
		return Push(ctx, h, b.archive, &PushOptions{SSH: b.ssh, Roll: device.NewRoll(1), Reboot: true, RebootTimeout: b.reboot})
	case "restore":
		return Restore(ctx, h, b.ssh, device.NewRoll(1))
	case "flash --check":
		f.Check = true
	case "flash --grow":
		f.Grow = true
	case "flash --via curl":
		f.Via, f.URL = "curl", "http://192.0.2.1/disk.img"
	case "flash --reboot":
		f.Reboot = true
	case "reflash", "reflash --boot kexec":
		_, boot, _ := strings.Cut(verb, "--boot ")
		return Cycle(ctx, h, b.archive, b.image, b.path, &CycleOptions{FlashOptions: f, RebootTimeout: b.reboot, Ready: "systemctl is-system-running", Boot: boot, PowerCycle: b.powerCycle})
	}
	return Flash(ctx, h, b.image, b.path, &f)
}

// holds reports whether the disk has the image, and whether it is as it was.
func (b *bench) holds() (image, untouched bool) {
	b.t.Helper()
	f, err := os.Open(b.DiskFile())
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) { // nothing was ever written
		return false, true
	}
	image, untouched = true, true
	for at, part := 0, make([]byte, 1<<20); ; at += len(part) {
		n, err := io.ReadFull(f, part)
		untouched = untouched && chunk.IsZero(part[:n])
		want := b.content[min(at, len(b.content)):min(at+n, len(b.content))]
		image = image && bytes.Equal(part[:len(want)], want)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return image && at+n >= len(b.content), untouched
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// judge holds a verdict against what the device is.
func (b *bench) judge(out Outcome) {
	t := b.t
	t.Helper()
	n, last := b.told.verdicts()
	about, ok := stateTable[out.State]
	if n != 1 || !ok || last.State != out.State || last.Verdict != string(out.Verdict) || last.Text != out.Text || last.Text == "" {
		t.Errorf("%d verdicts, the last %+v; returned %+v", n, last, out)
	}
	if out.Verdict == Trouble && last.Hint == "" || out.Verdict != Done && !strings.Contains(out.Text, strings.ReplaceAll(about.says, "%s", b.Target())) {
		t.Errorf("%s: %q (%q)", out.Verdict, out.Text, last.Hint)
	}
	has, untouched := b.holds()
	device := b.Now()
	claim := func(what string, is bool) {
		t.Helper()
		if !is {
			t.Errorf("%s, %s: %s is not so; the device: %+v; the disk has the image: %v, is untouched: %v\n%s%s", out.Verdict, out.State, what, device, has, untouched, out.Text, &b.told)
		}
	}
	switch out.State {
	case Untouched, Busy:
		claim("nothing was written", untouched)
	case Pushed:
		claim("the archive is booted next", device.Next)
	case Held:
		claim("it waits", device.On && device.Initramfs)
		claim("nothing was written", untouched)
	case Waiting:
		claim("it waits", device.On && device.Initramfs)
		claim("it says that it is being written", device.Writing)
	case Rebooted:
		claim("it has booted again", device.Boots > 1)
	case Verified:
		claim("the image is on the disk", has)
	case Starting, Up:
		claim("the image is on the disk", has)
	case Unknown:
		claim("it does not answer", !device.On)
	}
	if out.Verdict == Refused || out.Verdict == Unreachable || out.Verdict == Different {
		claim("nothing was changed", untouched && !device.Next)
	}
}

// fault is what happens to a device.
type fault func(d *devicetest.Device) int

var faults = map[string]fault{
	"the link is lost": func(*devicetest.Device) int { return devicetest.Gone },
	"it is killed":     func(*devicetest.Device) int { return devicetest.Killed },
	"it fails":         func(*devicetest.Device) int { return 1 },
	"it is off":        func(d *devicetest.Device) int { d.SwitchOff(); return devicetest.Gone },
	"a power cut":      func(d *devicetest.Device) int { d.PowerCut(); return devicetest.Gone },
}

// A fault in each command of each verb: whatever is said of the device then is so.
func TestFaultInEachCommand(t *testing.T) { faultInEachCommand(t, 6) }

// faultInEachCommand tries one in some of them.
func faultInEachCommand(t *testing.T, one int) {
	t.Parallel()
	tried := 0
	for _, verb := range []string{"push", "push --reboot", "restore", "flash", "flash --check", "flash --reboot", "reflash", "reflash --boot kexec"} {
		commands := commandsOf(t, verb)
		for _, name := range slices.Sorted(maps.Keys(faults)) {
			does := faults[name]
			if (strings.HasPrefix(verb, "reflash") || verb == "flash --check") && name != "the link is lost" && name != "it is off" {
				continue // its parts have had the others
			}
			for at := range commands {
				if tried++; tried%one != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s in command %d", verb, name, at), func(t *testing.T) {
					t.Parallel()
					b := waitingFor(t, verb)
					b.patience, b.reboot = time.Second, 1500*time.Millisecond // most of these never come back
					var n atomic.Int64
					b.On("", func(c *devicetest.Command) int {
						if n.Add(1) == int64(at)+1 {
							return does(b.Device)
						}
						return devicetest.Pass
					})
					b.judge(b.run(t.Context(), verb))
				})
			}
		}
	}
}

// waitingFor is a bench whose device is as the verb needs it.
func waitingFor(t *testing.T, verb string) *bench {
	b := newBench
	if strings.HasSuffix(verb, "kexec") {
		b = kexecBench
	}
	return readyFor(b(t), verb)
}

func readyFor(b *bench, verb string) *bench {
	if strings.HasPrefix(verb, "flash") {
		b.Wait("b1")
	}
	b.On("systemctl is-system-running", devicetest.Say("running\n", 0))
	return b
}

// commandsOf is how many commands a good run takes.
func commandsOf(t *testing.T, verb string) int {
	t.Helper()
	b := waitingFor(t, verb)
	out := b.run(t.Context(), verb)
	if want := map[string]Verdict{"flash --check": Different}[verb]; out.Verdict != Done && out.Verdict != want {
		t.Fatalf("%s: %+v\n%s", verb, out, &b.told)
	}
	b.judge(out)
	return len(b.Commands())
}

// A run that is interrupted in any of its commands says what the device was left in.
func TestInterruptedInEachCommand(t *testing.T) { interruptedInEachCommand(t, 4) }

func interruptedInEachCommand(t *testing.T, one int) {
	t.Parallel()
	tried := 0
	for _, verb := range []string{"push", "push --reboot", "restore", "flash", "flash --check", "flash --reboot", "reflash", "reflash --boot kexec"} {
		commands := commandsOf(t, verb)
		for at := range commands {
			if tried++; tried%one != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/in command %d", verb, at), func(t *testing.T) {
				t.Parallel()
				b := waitingFor(t, verb)
				ctx, cancel := context.WithCancel(t.Context())
				var n atomic.Int64
				b.On("", func(c *devicetest.Command) int {
					if n.Add(1) == int64(at)+1 {
						cancel()
					}
					return devicetest.Pass
				})
				out := b.run(ctx, verb)
				if out.Verdict != Interrupted && out.Verdict != Done && !(verb == "flash --check" && out.Verdict == Different) { // the last command may have been done before
					t.Errorf("%+v", out)
				}
				b.judge(out)
			})
		}
	}
}
