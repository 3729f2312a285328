package loader

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
	"groundhog/fixtures/judge"
)

const (
	initrd  = "/boot/initrd.img-6.1.0-56-amd64"
	fwInit  = "/boot/firmware/initrd.img-6.1.0-56-arm64"
	fwConf  = "/boot/firmware/config.txt"
	confOld = "# from raspi-firmware\narm_64bit=1\nkernel=vmlinuz-6.1.0-56-arm64\ninitramfs initrd.img-6.1.0-56-arm64 followkernel\nenable_uart=1\n"
)

// local is a Shell on this machine, with a device's files below root.
type local struct {
	t     *testing.T
	root  string
	shell string
	edit  func(program string) string // what fails, where a test wants that
	tried bool                        // of a Raspberry Pi: the firmware has read tryboot.txt
	arch  string                      // as dpkg has it; "" means amd64

	unflushed bool // its sync does nothing: a tenth of all processes that these tests started, and each waited for the whole disk
}

func newLocal(t *testing.T, shell string) *local {
	judge.Tool(t, shell)
	l := &local{t: t, root: t.TempDir(), shell: shell, unflushed: true}
	for _, dir := range []string{"boot/firmware", "var/lib", "run", "proc/sys/vm"} {
		judge.Must(t, os.MkdirAll(filepath.Join(l.root, dir), 0o755))
	}
	l.write(initrd, "the original")
	l.write(fwInit, "the original")
	l.write(fwConf, confOld)
	return l
}

func (l *local) write(name, text string) {
	l.t.Helper()
	judge.Must(l.t, os.WriteFile(filepath.Join(l.root, name), []byte(text), 0o644))
}

func (l *local) read(name string) string {
	l.t.Helper()
	return string(judge.ReadFile(l.t, filepath.Join(l.root, name)))
}

// tree is every file with its content, but for the kernel's own and what a boot forgets.
func (l *local) tree() string {
	var b strings.Builder
	err := filepath.WalkDir(l.root, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(p, "/proc/") || strings.Contains(p, "/run/") {
			return err
		}
		text, err := os.ReadFile(p)
		fmt.Fprintf(&b, "%s: %q\n", strings.TrimPrefix(p, l.root), text)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return b.String()
}

func (l *local) Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error) {
	if l.edit != nil {
		program = l.edit(program)
	}
	if l.unflushed {
		program = unsynced(program)
	}
	cmd := exec.CommandContext(ctx, l.shell, append([]string{"-c", program, "groundhog"}, args...)...)
	cmd.Env = append(os.Environ(), "groundhog_root="+l.root)
	return devicetest.Here(cmd, stdin)
}

// boot runs what the unit runs: the script that was left on the device.
func (l *local) boot() (string, int) {
	cmd := exec.Command(l.shell, filepath.Join(l.root, "var/lib/groundhog/restore"))
	cmd.Env = append(os.Environ(), "groundhog_root="+l.root)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func job(b Boot, archive string) Job {
	sum := sha256.Sum256([]byte(archive))
	return Job{Boot: b, Size: int64(len(archive)), SHA256: hex.EncodeToString(sum[:])}
}

// layouts is both ways of booting: what to push over, and what says what boots.
var layouts = map[string]Boot{"boot": {Way: Replace, File: initrd}, "firmware": {Way: Name, File: fwInit, Config: fwConf}}

// auto is Raspberry Pi OS's way of booting.
var auto = Boot{Way: Auto, File: autoFile, Config: configTxt}

func allLayouts() map[string]Boot {
	all := maps.Clone(layouts)
	all["auto"] = auto
	return all
}

// lay makes what a device of that layout has.
func (l *local) lay(b Boot) {
	if b.Way != Auto {
		return
	}
	l.write(configTxt, autoConfig)
	l.put("boot/firmware/initramfs8", "the original")
}

const autoConfig = "# from the image\ndtparam=audio=on\nauto_initramfs=1\narm_64bit=1\n[cm4]\notg_mode=1\n[all]\nenable_uart=1\n"

// boots is the content that the device would boot now.
func (l *local) boots(b Boot) string {
	if b.Config == "" {
		return l.read(b.File)
	}
	for line := range strings.Lines(l.read(b.Config)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "initramfs" {
			return l.read("/boot/firmware/" + f[1])
		}
		if strings.TrimSpace(line) == "auto_initramfs=1" {
			return l.read("boot/firmware/initramfs8")
		}
	}
	return "nothing"
}

// deviceShell is the /bin/sh that a device of the tests has: Debian's own, and in TestUnderBash another that it may be.
var deviceShell = "dash"

// each runs a test for both layouts.
func each(t *testing.T, test func(t *testing.T, l *local, b Boot)) {
	for name, b := range layouts {
		t.Run(name+" "+deviceShell, func(t *testing.T) {
			l := newLocal(t, deviceShell)
			l.unflushed = deviceShell == "dash"
			test(t, l, b)
		})
	}
}

func push(t *testing.T, l *local, b Boot, archive string) {
	t.Helper()
	judge.Must(t, job(b, archive).Run(t.Context(), l, strings.NewReader(archive)))
	if got := l.boots(b); got != archive {
		t.Fatalf("it boots %q, not what was pushed", got)
	}
}

func TestPush(t *testing.T) {
	each(t, func(t *testing.T, l *local, b Boot) {
		before := l.tree()
		push(t, l, b, "archive one")
		push(t, l, b, "archive two")
		push(t, l, b, "archive three")
		push(t, l, b, "archive three")
		out, exit := l.boot()
		if exit != 0 || !strings.Contains(out, "is back") {
			t.Errorf("%d: %s", exit, out)
		}
		if after := l.tree(); after != before {
			t.Errorf("after the boot:\n%snot as before:\n%s", after, before)
		}
		if _, err := Restore(t.Context(), l); !errors.Is(err, ErrRefused) {
			t.Errorf("restoring what was not pushed: %v", err)
		}
	})
}

func TestRestore(t *testing.T) {
	each(t, func(t *testing.T, l *local, b Boot) {
		before := l.tree()
		j := job(b, "archive")
		j.Keep = true
		judge.Must(t, j.Run(t.Context(), l, strings.NewReader("archive")))
		if out, exit := l.boot(); exit != 0 || !strings.Contains(out, "--keep") || l.boots(b) != "archive" {
			t.Errorf("a boot after --keep: %d: %s", exit, out)
		}
		said, err := Restore(t.Context(), l)
		if err != nil || !strings.Contains(said, "is back") || l.tree() != before {
			t.Errorf("%q, %v:\n%s", said, err, l.tree())
		}
	})
}

// What a restore has done is one line, and its own, where it has more to say than that, and where who logs in is told other things.
func TestRestoreSays(t *testing.T) {
	l := newLocal(t, "dash")
	push(t, l, layouts["boot"], "archive")
	l.edit = func(program string) string {
		return "ln() { return 1; }\necho a warning >&2\n" + program + "\n" // a filesystem without hard links
	}
	said, err := Restore(t.Context(), l)
	before, is, two := strings.Cut(said, "; ")
	if err != nil || !two || !strings.HasPrefix(before, l.root+initrd+" can have no second name") || is != "the original of "+l.root+initrd+" is back" {
		t.Errorf("%q, %v", said, err)
	}
}

// What update-initramfs, or a new kernel, wrote in between stays; a push over it takes it for the original.
func TestNewer(t *testing.T) {
	each(t, func(t *testing.T, l *local, b Boot) {
		newer := func(text string) {
			if b.Config == "" {
				l.write(b.File, text)
			} else { // raspi-firmware's hook writes both
				l.write(b.File, text)
				l.write(b.Config, confOld)
			}
		}
		push(t, l, b, "archive")
		newer("newer")
		if out, exit := l.boot(); exit != 0 || l.boots(b) != "newer" {
			t.Errorf("%d: %s: it boots %q", exit, out, l.boots(b))
		}
		push(t, l, b, "archive")
		newer("newest")
		push(t, l, b, "archive two")
		if out, exit := l.boot(); exit != 0 || l.boots(b) != "newest" {
			t.Errorf("%d: %s: it boots %q, not the newest", exit, out, l.boots(b))
		}
	})
}

// An archive in the place of one kernel's initramfs is taken back before one goes into the place of another's: there is one original that is kept. What is
// there no more, or was made anew, needs nothing.
func TestPushOtherKernel(t *testing.T) {
	const older = "/boot/initrd.img-6.1.0-55-amd64"
	for about, change := range map[string]func(l *local){
		"there":     nil,
		"made anew": func(l *local) { l.write(older, "newer") },
		"gone":      func(l *local) { judge.Must(t, os.Remove(l.root+older)) },
	} {
		l := newLocal(t, deviceShell)
		l.write(older, "the older original")
		push(t, l, Boot{Way: Replace, File: older}, "archive")
		if change != nil {
			change(l)
		}
		was := l.tree()
		err := job(layouts["boot"], "two").Run(t.Context(), l, strings.NewReader("two"))
		if change != nil {
			if err != nil || l.boots(layouts["boot"]) != "two" {
				t.Errorf("%s: %v: it boots %q", about, err, l.boots(layouts["boot"]))
			}
			continue
		}
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "groundhog restore") || l.tree() != was {
			t.Errorf("%s: %v", about, err)
		}
		if f := l.survey(""); f.Get("pushed_other") != l.root+older || f.Get("pushed_kept") != "" {
			t.Errorf("the survey says %q of it", f.Get("pushed_other"))
		}
		l.edit = nil
		judge.Value(Restore(t.Context(), l))(t)
		push(t, l, layouts["boot"], "two")
		f := l.survey("")
		if f.Get("pushed_other") != "" || f.Get("pushed") == "" {
			t.Errorf("of its own place the survey says %q", f.Get("pushed_other"))
		}
		if f.Get("pushed_kept") != "yes" {
			t.Error("the survey does not say that the original is kept")
		}
		l.edit = nil
		judge.Value(Restore(t.Context(), l))(t)
		if l.read(initrd) != "the original" || l.read(older) != "the older original" {
			t.Errorf("in the end %q and %q", l.read(initrd), l.read(older))
		}
	}
}

// A config.txt that was edited while it named the archive keeps what was edited, and names the initramfs again: it would name a file that is gone.
func TestNameEdited(t *testing.T) {
	for _, pushes := range []int{1, 2} {
		l := newLocal(t, deviceShell)
		b := layouts["firmware"]
		before := l.tree()
		for range pushes {
			push(t, l, b, "archive")
		}
		l.write(fwConf, "dtoverlay=x\n"+strings.Repeat("# long\n", 100)+l.read(fwConf))
		if err := job(b, "two").Run(t.Context(), l, strings.NewReader("two")); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "groundhog restore") || l.boots(b) != "archive" {
			t.Errorf("a push over it: %v: it boots %q", err, l.boots(b))
		}
		if out, exit := l.boot(); exit != 0 || l.boots(b) != "the original" || l.read(fwConf) != "dtoverlay=x\n"+strings.Repeat("# long\n", 100)+confOld {
			t.Errorf("%d: %s: %s", exit, out, l.read(fwConf))
		}
		l.write(fwConf, confOld)
		if l.tree() != before {
			t.Errorf("left:\n%s", l.tree())
		}
	}
}

// A damaged original is never put back, and a push over a pushed one needs it whole.
func TestDamaged(t *testing.T) {
	each(t, func(t *testing.T, l *local, b Boot) {
		push(t, l, b, "archive")
		kept, _ := filepath.Glob(l.root + "/var/lib/groundhog/original-*")
		if len(kept) != 1 {
			t.Fatal(kept)
		}
		judge.WriteFile(t, kept[0], "damaged")
		if out, exit := l.boot(); exit != 2 || !strings.Contains(out, "damaged") || l.boots(b) != "archive" {
			t.Errorf("%d: %s", exit, out)
		}
		before := l.tree()
		err := job(b, "two").Run(t.Context(), l, strings.NewReader("two"))
		if !errors.Is(err, ErrRefused) || l.boots(b) != "archive" {
			t.Errorf("%v:\n%s\nbefore:\n%s", err, l.tree(), before)
		}
	})
}

// What comes damaged or short changes nothing that boots, and leaves no rubbish in /boot.
func TestReceive(t *testing.T) {
	each(t, func(t *testing.T, l *local, b Boot) {
		for name, sent := range map[string]string{"cut": "arch", "empty": "", "other": "ARCHIVE", "long": "archive and more"} {
			err := job(b, "archive").Run(t.Context(), l, strings.NewReader(sent))
			if !errors.Is(err, ErrRefused) || l.boots(b) != "the original" {
				t.Errorf("%s: %v, boots %q", name, err, l.boots(b))
			}
			if left, _ := filepath.Glob(l.root + "/boot/*groundhog*"); left != nil {
				t.Errorf("%s: %q is left", name, left)
			}
			if left, _ := filepath.Glob(l.root + "/boot/*/*groundhog*"); left != nil {
				t.Errorf("%s: %q is left", name, left)
			}
		}
		push(t, l, b, "archive")
	})
}

// The in-place change of config.txt touches one sector; where it cannot, the file is renamed over.
func TestFlip(t *testing.T) {
	l := newLocal(t, "dash")
	b := layouts["firmware"]
	long := strings.Repeat("# padding\n", 48) + confOld // its line crosses byte 512
	if at := strings.Index(long, "initrd.img-6"); at > 512 || at+10 < 512 {
		long = strings.Repeat("#", 512-5-strings.Index(confOld, "initrd.img-6")-1) + "\n" + confOld
	}
	l.write(fwConf, long)
	push(t, l, b, "archive")
	if got := l.read(fwConf); len(got) != len(long) {
		t.Errorf("config.txt has %d bytes, had %d", len(got), len(long))
	}
	if out, exit := l.boot(); exit != 0 || l.read(fwConf) != long {
		t.Errorf("%d: %s", exit, out)
	}
}

// Debian's raspi-firmware writes no word behind the name.
func TestPlainLine(t *testing.T) {
	l := newLocal(t, "dash")
	b := layouts["firmware"]
	l.write(fwConf, "kernel=vmlinuz\ninitramfs initrd.img-6.1.0-56-arm64\n")
	before := l.tree()
	push(t, l, b, "archive")
	push(t, l, b, "archive two")
	if out, exit := l.boot(); exit != 0 || l.tree() != before {
		t.Errorf("%d: %s", exit, out)
	}
}

func TestJobCheck(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, b := range []Boot{
		{}, {Way: Replace}, {File: initrd}, {Way: "x", File: initrd}, {Way: Replace, File: "/etc/passwd"}, {Way: Replace, File: "/boot/initrd.img-a/../../etc/x"},
		{Way: Replace, File: "/boot/initrd.img-$(id)"}, {Way: Replace, File: "/boot/initrd.img-a b"}, {Way: Replace, File: initrd, Config: fwConf},
		{Way: Replace, File: fwInit}, {Way: Name, File: fwInit}, {Way: Name, File: fwInit, Config: "/boot/config.txt"}, {Way: Name, File: initrd, Config: fwConf},
		{Way: Kexec}, {Way: Kexec, Kernel: "/boot/vmlinuz-a..b/c"}, {Way: Kexec, Kernel: "/tmp/vmlinuz-a"}, {Way: Kexec, Kernel: "/boot/vmlinuz-a", File: initrd},
	} {
		if err := (Job{Boot: b, Size: 1, SHA256: sum}).checkJob(); err == nil {
			t.Errorf("%+v is not refused", b)
		}
	}
	if err := (Job{Boot: layouts["boot"], Size: 1, SHA256: sum}).checkJob(); err != nil {
		t.Error(err)
	}
}
