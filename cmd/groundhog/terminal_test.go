package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
)

// desk is a person's place: a terminal, an archive and an image for a device.
type desk struct {
	*devicetest.Device
	t              *testing.T
	archive, image string
	window         pty.Winsize
	restless       bool // somebody changes the window's size all the while
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Setenv("TERM", "xterm")
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	d := &desk{Device: devicetest.Start(t), t: t, archive: filepath.Join(dir, "reflash.img"), image: filepath.Join(dir, "disk.img"),
		window: pty.Winsize{Cols: 100, Rows: 30}}
	judge.Must(t, writeTarget(dir, "bookworm", true, "none"))
	var said bytes.Buffer
	if code := run([]string{"patch", filepath.Join(dir, "initrd.img"), "--root", filepath.Join(dir, "root"), "--authorized-keys", d.Path("login.pub"),
		"--host-key", d.Path("initramfs"), "-o", d.archive, "--json"}, nil, &said, &said); code != 0 {
		t.Fatalf("patch: %d: %s", code, said.String())
	}
	d.Pushed(regexp.MustCompile(`"build": "([^"]+)"`).FindStringSubmatch(said.String())[1])
	judge.WriteFile(t, d.image, bootable.Partitioned(3<<20))
	return d
}

// args is a command line for the device.
func (d *desk) args(verb string, more ...string) []string {
	if verb == "index" {
		return append([]string{verb, "--level", "1", d.image}, more...)
	}
	args := []string{verb, "--ssh-config", "none", "--identity", d.Path("login"), "--known-hosts", d.Path("known_hosts")}
	args = append(args, more...)
	args = append(args, d.Target())
	switch verb {
	case "push":
		args = append(args, d.archive)
	case "flash":
		args = append(args, d.image)
	case "reflash":
		args = append(args, d.archive, d.image)
	}
	return args
}

// transcript is what a terminal was sent.
type transcript struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
	end  chan struct{}
}

// follow reads a terminal's master until the other side is closed.
func follow(master io.Reader) *transcript {
	t := &transcript{more: make(chan struct{}, 1), end: make(chan struct{})}
	go func() {
		defer close(t.end)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			t.mu.Lock()
			t.b.Write(b[:n])
			t.mu.Unlock()
			select {
			case t.more <- struct{}{}:
			default:
			}
			if err != nil { // EIO: no process has the terminal any more
				return
			}
		}
	}()
	return t
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// await waits until a text is there.
func (t *transcript) await(tb testing.TB, text string) {
	tb.Helper()
	late := time.After(time.Minute)
	for !strings.Contains(t.String(), text) {
		select {
		case <-t.more:
		case <-t.end:
			if !strings.Contains(t.String(), text) {
				tb.Fatalf("it ended without %q:\n%q", text, t)
			}
		case <-late:
			tb.Fatalf("no %q within a minute:\n%q", text, t)
		}
	}
}

// on runs groundhog in this process with a terminal as its streams.
func (d *desk) on(args ...string) (code int, seen string) {
	d.t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		d.t.Fatal(err)
	}
	defer master.Close()
	judge.Must(d.t, pty.Setsize(master, &d.window))
	all := follow(master)
	over := make(chan struct{})
	var resizer sync.WaitGroup
	if d.restless {
		resizer.Go(func() {
			for n := uint16(1); ; n = n%120 + 1 {
				select {
				case <-over:
					return
				case <-time.After(time.Millisecond):
					pty.Setsize(tty, &pty.Winsize{Cols: n, Rows: 30})
				}
			}
		})
	}
	code = run(args, tty, tty, tty)
	close(over)
	resizer.Wait()
	tty.Close()
	<-all.end
	return code, all.String()
}

// start runs groundhog in a process of its own, with a terminal that it controls; stdout goes there, too, unless out is set.
func (d *desk) start(ctx context.Context, out *os.File, args ...string) (*exec.Cmd, *transcript) {
	d.t.Helper()
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "groundhog"
	if out != nil {
		cmd.Stdout = out
	}
	master, err := pty.StartWithSize(cmd, &d.window)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { master.Close() })
	return cmd, follow(master)
}

// terminalCase is an end of a verb, and what must be seen of it.
type terminalCase struct {
	verb string
	more []string
	make func(d *desk) // what the device is like
	code int
	says []string
}

// terminalCases is every online verb with every kind of end.
func terminalCases() map[string]terminalCase {
	waits := func(d *desk) { d.Wait("b1") }
	off := func(d *desk) { d.SwitchOff() }
	unfit := func(d *desk) {
		d.Fact("arch", "arm64")
		d.Fact("kernel", "6.1.0-57-arm64")
		d.Fact("release", "trixie")
	}
	restoring := func(text string, exit int) func(*desk) {
		return func(d *desk) { d.On("take_lock", devicetest.Complain(text, exit)) }
	}
	broken := func(d *desk) {
		d.Wait("b1")
		d.OpenDisk(func(_ string, write bool) (writer.Target, error) {
			disk, err := writer.Open(d.DiskFile(), write)
			return &deadDisk{disk}, err
		})
	}
	return map[string]terminalCase{
		"push done":              {verb: "push", code: exitDone, says: []string{"checking ", "sending ", "is what "}},
		"push --reboot done":     {verb: "push", more: []string{"--reboot"}, code: exitDone, says: []string{"waiting for the initramfs", " waits on "}},
		"push --dry-run done":    {verb: "push", more: []string{"--dry-run"}, code: exitDone, says: []string{"every check is passed; nothing was changed"}},
		"push --dry-run refused": {verb: "push", more: []string{"--dry-run"}, make: unfit, code: exitNo, says: []string{"checking ", "refuse architecture", "refuse kernel", "refuse release", "4 of ", "nothing was changed"}},
		"push trouble": {verb: "push", make: func(d *desk) { d.On("groundhog_restore=", devicetest.Complain("groundhog: no room", 2)) }, code: exitTrouble,
			says: []string{"no room"}},
		"push not reached":    {verb: "push", make: off, code: exitUnreachable, says: []string{"connection refused"}},
		"restore done":        {verb: "restore", code: exitDone, says: []string{"the original is back"}},
		"restore refused":     {verb: "restore", make: restoring("groundhog: nothing was pushed", 1), code: exitNo, says: []string{"restoring: refused: nothing was pushed"}},
		"restore trouble":     {verb: "restore", make: restoring("groundhog: the copy is damaged", 2), code: exitTrouble, says: []string{"the copy is damaged"}},
		"restore not reached": {verb: "restore", make: off, code: exitUnreachable, says: []string{"connection refused"}},
		"flash done":          {verb: "flash", make: waits, code: exitDone, says: []string{"comparing ", "filesystems on it: /dev/vda1 ext4 root", "verified: /dev/vda has "}},
		"flash --reboot done": {verb: "flash", more: []string{"--reboot"}, make: waits, code: exitDone, says: []string{"verified: /dev/vda has ", "; rebooted"}},
		"flash --check":       {verb: "flash", more: []string{"--check"}, make: waits, code: exitNo, says: []string{"the disk is not equal to the image"}},
		"flash refused":       {verb: "flash", code: exitNo, says: []string{"a running system answers", "groundhog push --reboot"}},
		"flash trouble":       {verb: "flash", make: broken, code: exitTrouble, says: []string{"input/output error", "waits in its initramfs", "flash it again"}},
		"flash not reached":   {verb: "flash", make: off, code: exitUnreachable, says: []string{"connection refused"}},
		"reflash done":        {verb: "reflash", more: []string{"--ready", "is-it-up"}, make: func(d *desk) { d.On("is-it-up", devicetest.Say("", 0)) }, code: exitDone, says: []string{"verified: ", "the new system is up"}},
		"reflash refused":     {verb: "reflash", make: unfit, code: exitNo, says: []string{"refuse kernel", "4 of "}},
		"reflash not reached": {verb: "reflash", make: off, code: exitUnreachable, says: []string{"connection refused"}},
		"reflash trouble": {verb: "reflash", more: []string{"--ready", "is-it-up", "--reboot-timeout", "6s"}, make: func(d *desk) { d.On("is-it-up", devicetest.Complain("failed units", 1)) }, code: exitTrouble,
			says: []string{"verified: ", "was not ready within 6s", "failed units"}},
	}
}

// kexecs makes a device one on which kexec works.
func kexecs(d *desk) {
	for key, value := range map[string]string{"memory": "1000000", "memory_available": "800000", "kexec_file": "y", "kexec_disabled": "0", "kernel_size": "10000000"} {
		d.Fact(key, value)
	}
}

// deadDisk is a disk that takes no write.
type deadDisk struct{ writer.Target }

func (deadDisk) WriteAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// flat is a transcript as one line of text: a terminal's own codes and the breaks of lines are gone.
func flat(seen string) string {
	return strings.Join(strings.Fields(regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]").ReplaceAllString(seen, "\n")), " ")
}

func (c terminalCase) judge(t *testing.T, code int, seen string) {
	t.Helper()
	for _, text := range c.says {
		if !strings.Contains(flat(seen), strings.TrimSpace(text)) {
			t.Errorf("it does not say %q", text)
		}
	}
	if code != c.code {
		t.Errorf("exit %d, want %d", code, c.code)
	}
	if t.Failed() {
		t.Logf("%q", seen)
	}
}

// On a terminal, whichever, every verb says how it ended, whatever the end.
func TestTerminal(t *testing.T) { onTerminals(t, 1) }

// onTerminals tries so many terminals with each end, others with each.
func onTerminals(t *testing.T, most int) {
	cases := terminalCases()
	cases["push --via kexec refused"] = terminalCase{verb: "push", more: []string{"--via", "kexec", "--dry-run"}, code: exitNo, says: []string{"refuse boot", "it has no /boot/vmlinuz-6.1.0-56-amd64", "nothing was changed"}}
	cases["push --via kexec --dry-run done"] = terminalCase{verb: "push", more: []string{"--via", "kexec", "--dry-run", "-v"}, make: kexecs, code: exitDone, says: []string{"ok boot", "kexec", "every check is passed; nothing was changed"}}
	system := bootable.Image(t, bootable.Entry, string(bootable.Kernel("6.1.0-57-amd64 (x@y) #1 SMP")))
	starts := func(d *desk) { kexecs(d); writeFile(t, d.image, string(system)) }
	cases["reflash --boot kexec --plan done"] = terminalCase{verb: "reflash", more: []string{"--boot", "kexec", "--plan"}, make: starts, code: exitDone, says: []string{"1. push build ", "3. start what GRUB starts of it", "by kexec"}}
	cases["reflash --boot kexec done"] = terminalCase{verb: "reflash", more: []string{"--boot", "kexec", "--ready", "is-it-up"}, make: func(d *desk) { starts(d); d.On("is-it-up", devicetest.Say("", 0)) }, code: exitDone, says: []string{"verified: ", "booted by kexec"}}
	cases["reflash --plan"] = terminalCase{verb: "reflash", more: []string{"--plan"}, code: exitDone, says: []string{"1. push build ", "2. make its disk equal to ", "3. reboot"}}
	cases["reflash --boot kexec refused"] = terminalCase{verb: "reflash", more: []string{"--boot", "kexec", "--plan"}, code: exitNo, says: []string{"--boot kexec: ", "the image's own kernel cannot be told", "--boot firmware"}}
	cases["index done"] = terminalCase{verb: "index", code: exitDone, says: []string{"packed ", "(zstd -1"}}
	cases["index refused"] = terminalCase{verb: "index", code: exitNo, make: func(d *desk) { writeFile(d.t, d.image, "text\n") }, says: []string{"not a disk image: a text"}}
	cases["index trouble"] = terminalCase{verb: "index", more: []string{"--store", "/dev/null/x"}, code: exitTrouble, says: []string{"/dev/null"}}
	terminals := map[string]func(t *testing.T, d *desk){
		"wide":   func(*testing.T, *desk) {},
		"narrow": func(_ *testing.T, d *desk) { d.window.Cols = 20 },
		"dumb":   func(t *testing.T, _ *desk) { t.Setenv("TERM", "dumb") },
		"none":   func(t *testing.T, _ *desk) { t.Setenv("TERM", "") },
		"moving": func(_ *testing.T, d *desk) { d.restless = true },
	}
	abouts := slices.Sorted(maps.Keys(terminals))
	for n, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		tried := 0
		for i := range abouts {
			about := abouts[(n+i)%len(abouts)]
			place := terminals[about]
			if (about == "none" || about == "moving") && c.verb != "flash" && !judge.Full { // the other verbs draw with the same bars
				continue
			}
			if tried++; tried > most {
				break
			}
			t.Run(name+"/"+about, func(t *testing.T) {
				d := newDesk(t)
				place(t, d)
				if c.make != nil {
					c.make(d)
				}
				code, seen := d.on(d.args(c.verb, c.more...)...)
				c.judge(t, code, seen)
				if (about == "dumb" || about == "none") && strings.Contains(seen, "\x1b") {
					t.Errorf("codes for a terminal that has none: %q", seen)
				}
			})
		}
	}
}

// Colours are for a terminal that has them, and for who wants them.
func TestTerminalColours(t *testing.T) {
	workplace(t)
	d := &desk{t: t, window: pty.Winsize{Cols: 100, Rows: 30}}
	for _, c := range []struct {
		kind, no string
		want     bool
	}{{"xterm", "", true}, {"xterm", "1", false}, {"dumb", "", false}, {"", "", false}} {
		t.Setenv("TERM", c.kind)
		t.Setenv("NO_COLOR", c.no)
		if code, seen := d.on("diff", "initrd.img", "reflash.img"); code != exitNo || strings.Contains(seen, "\x1b[") != c.want {
			t.Errorf("TERM=%s NO_COLOR=%s: exit %d, %q", c.kind, c.no, code, seen)
		}
	}
}

// An archive has no place on a terminal, and what patch reports has.
func TestTerminalGetsNoArchive(t *testing.T) {
	workplace(t)
	d := &desk{t: t, window: pty.Winsize{Cols: 100, Rows: 30}}
	args := []string{"patch", "initrd.img", "--root", "root", "--authorized-keys", "id.pub", "-o", "-"}
	if code, seen := d.on(args...); code != exitTrouble || len(seen) > 300 || !strings.Contains(seen, "--output FILE, or a pipe, takes it") {
		t.Errorf("exit %d: %.400q", code, seen)
	}
	if code, seen := d.on(append(args, "--dry-run")...); code != exitDone || !strings.Contains(seen, "dry run: nothing was written") {
		t.Errorf("exit %d: %.400q", code, seen)
	}
}

// Each time out of many: what a bar hides it hides now and then.
func TestTerminalAlways(t *testing.T) { terminalAlways(t, 5) }

func terminalAlways(t *testing.T, times int) {
	d := newDesk(t)
	d.SwitchOff()
	for range times {
		code, seen := d.on(d.args("push")...)
		terminalCase{code: exitUnreachable, says: []string{"connection refused"}}.judge(t, code, seen)
		code, seen = d.on(d.args("restore")...)
		terminalCase{code: exitUnreachable, says: []string{"connection refused"}}.judge(t, code, seen)
	}
	d = newDesk(t)
	d.Wait("b1")
	for i := range times {
		judge.WriteFile(t, d.image, bootable.Partitioned(2<<20+i*512))
		code, seen := d.on(d.args("flash")...)
		terminalCase{code: exitDone, says: []string{"verified: /dev/vda has "}}.judge(t, code, seen)
		if t.Failed() {
			return
		}
	}
}

// Several devices: each has its verdict, and the table says all of them once more.
func TestTerminalFleet(t *testing.T) {
	d := newDesk(t)
	d.Wait("b1")
	args := d.args("flash")
	image := args[len(args)-1]
	args = append(args[:len(args)-1], "root@127.0.0.1:1", "root@127.0.0.1:2", image)
	code, seen := d.on(args...)
	want := []string{"root@127.0.0.1:1: connecting to ", "root@127.0.0.1:2: connecting to ", d.Target() + ": verified: ", d.Target() + " done ", "root@127.0.0.1:2 unreachable "}
	terminalCase{code: exitUnreachable, says: want}.judge(t, code, seen)
}

// Ctrl-C on the terminal: the run says what state the device is in.
func TestTerminalInterrupted(t *testing.T) {
	held := func(t *testing.T, d *desk, word string) (reached chan struct{}) {
		reached = make(chan struct{})
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		d.Once(word, func(*devicetest.Command) int { close(reached); <-over; return devicetest.Gone })
		return reached
	}
	for verb, c := range map[string]struct {
		word string // of the command in which it is interrupted
		says string
	}{
		"push":    {"fact end ok", "interrupted"},
		"restore": {"take_lock", "interrupted"},
		"flash":   {"groundhog-writer version", "interrupted"},
		"reflash": {"fact end ok", "interrupted"},
	} {
		t.Run(verb, func(t *testing.T) {
			d := newDesk(t)
			if verb == "flash" {
				d.Wait("b1")
			}
			reached := held(t, d, c.word)
			cmd, seen := d.start(t.Context(), nil, d.args(verb)...)
			select {
			case <-reached:
			case <-time.After(time.Minute):
				t.Fatalf("it did not come so far: %q", seen)
			}
			judge.Must(t, cmd.Process.Signal(os.Interrupt))
			<-seen.end
			cmd.Wait()
			terminalCase{code: exitInterrupted, says: []string{c.says}}.judge(t, cmd.ProcessState.ExitCode(), seen.String())
		})
	}
}

// Ctrl-C while an image is read that never ends: nothing of it is left where it would be kept.
func TestTerminalIndexInterrupted(t *testing.T) {
	d := newDesk(t)
	reached := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return
		}
		w.Write(bootable.Partitioned(3 << 20)[:2<<20])
		w.(http.Flusher).Flush()
		close(reached)
		<-r.Context().Done() // of who reads
	}))
	defer server.Close()
	store := filepath.Join(t.TempDir(), "store")
	cmd, seen := d.start(t.Context(), nil, "index", "--level", "1", "--store", store, server.URL+"/disk.img")
	select {
	case <-reached:
	case <-seen.end:
		t.Fatalf("it does not read: %q", seen)
	}
	judge.Must(t, cmd.Process.Signal(os.Interrupt))
	<-seen.end
	cmd.Wait()
	terminalCase{code: exitInterrupted, says: []string{"interrupted"}}.judge(t, cmd.ProcessState.ExitCode(), seen.String())
	for _, left := range left(t, store) {
		t.Errorf("%s is left", left)
	}
}

// left is the files below a directory, which may not be there.
func left(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// Into a pager: results go there, plain; a pager that ends early ends nothing, and what it did not take is on the terminal.
func TestTerminalPager(t *testing.T) {
	d := newDesk(t)
	d.Wait("b1")
	reader, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd, seen := d.start(t.Context(), pipe, d.args("flash")...)
	pipe.Close()
	paged, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	<-seen.end
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitDone || !bytes.HasPrefix(paged, []byte("verified: ")) || bytes.Contains(paged, []byte("\x1b")) {
		t.Errorf("exit %d, the pager got %q", code, paged)
	}
	if text := seen.String(); !strings.Contains(text, "comparing ") || strings.Contains(text, "\x1b") || strings.Contains(text, "verified: ") {
		t.Errorf("the terminal got %q", text)
	}

	reader, pipe, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	cmd, seen = d.start(t.Context(), pipe, d.args("flash")...)
	pipe.Close()
	<-seen.end
	cmd.Wait()
	terminalCase{code: exitDone, says: []string{"verified: "}}.judge(t, cmd.ProcessState.ExitCode(), seen.String())
}

// A bar is drawn while something is sent, with its pace, and nothing of it is left.
func TestTerminalBar(t *testing.T) {
	d := newDesk(t)
	drawn, over := make(chan struct{}), make(chan struct{})
	d.On("groundhog_restore=", func(c *devicetest.Command) int {
		io.ReadFull(c.Stdin, make([]byte, 1000))
		<-drawn
		return devicetest.Pass
	})
	cmd, seen := d.start(t.Context(), nil, d.args("push")...)
	go func() { cmd.Wait(); close(over) }()
	seen.await(t, " of ")
	close(drawn)
	<-over
	<-seen.end
	if text := seen.String(); !strings.Contains(text, "] ") || !strings.Contains(text, "\x1b[J") || strings.LastIndex(text, "\x1b[J") < strings.LastIndex(text, "] ") {
		t.Errorf("%q", text)
	}
}

// Who reads a root tree is seen to, on a terminal and nowhere else, and nothing of it is left; the manifest is the same.
func TestTerminalManifest(t *testing.T) {
	t.Setenv("TERM", "xterm")
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "etc/debian_version"), "12.5\n")
	var want, said bytes.Buffer
	if code := run([]string{"manifest", root}, nil, &want, &said); code != exitDone || said.Len() > 0 {
		t.Fatalf("%d: %q", code, said.String())
	}
	d := &desk{t: t, window: pty.Winsize{Cols: 100, Rows: 30}}
	if code, seen := d.on("manifest", root); code != exitDone || flat(seen) != flat(want.String()) {
		t.Errorf("%d: %q", code, seen)
	}

	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	judge.Must(t, pty.Setsize(master, &d.window))
	seen := follow(master)
	reader, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer pipe.Close()
	watch := func(out, errs io.Writer, args ...string) (func(int64, int64), func()) {
		cmd := manifestCmd()
		cmd.Flags().BoolP("quiet", "q", false, "")
		cmd.SetOut(out)
		cmd.SetErr(errs)
		judge.Must(t, cmd.ParseFlags(args))
		return inputsOf(cmd).Watched("reading root")
	}
	for _, streams := range [][2]io.Writer{{tty, pipe}, {pipe, tty}, {tty, &said}} {
		if progress, end := watch(streams[0], streams[1]); progress != nil {
			t.Errorf("a bar into %v", streams)
		} else {
			end()
		}
	}
	if progress, _ := watch(tty, tty, "-q"); progress != nil {
		t.Error("a bar in spite of -q")
	}
	progress, end := watch(&want, tty)
	progress(1<<20, 4<<20)
	seen.await(t, "reading root [")
	seen.await(t, " 25%")
	end()
	tty.Close()
	<-seen.end
	if text := seen.String(); strings.LastIndex(text, "\x1b[J") < strings.LastIndex(text, "] ") {
		t.Errorf("%q", text)
	}
}

// With --json every verb prints events of their schema, however it ends; the figures of a flash are in its verdict.
func TestEventsAreValid(t *testing.T) {
	schema := compiled(t, "event")
	data := map[string]bool{}
	for name, c := range terminalCases() {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if c.make != nil {
				c.make(d)
			}
			code, out, said := here(d.args(c.verb, append(c.more, "--json")...)...)
			if code != c.code || said != "" {
				t.Errorf("exit %d, want %d: %s", code, c.code, said)
			}
			verdicts := 0
			for line := range strings.Lines(out) {
				v, err := validate.UnmarshalJSON(strings.NewReader(line))
				if err == nil {
					err = schema.Validate(v)
				}
				if err != nil {
					t.Errorf("%v\n%s", err, line)
					continue
				}
				event := v.(map[string]any)
				if event["event"] == reflash.EventVerdict {
					verdicts++
					data[name] = event["data"] != nil
				}
			}
			if verdicts != 1 {
				t.Errorf("%d verdicts:\n%s", verdicts, out)
			}
		})
	}
	for name, want := range map[string]bool{"flash done": true, "reflash done": true, "flash --check": true, "push done": false, "flash refused": false} {
		if data[name] != want {
			t.Errorf("%s: the verdict has figures: %t", name, data[name])
		}
	}
}
