package loader

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

const gonesKernel = "/boot/vmlinuz-6.1.0-56-amd64"

func (l *local) remove(names ...string) {
	l.t.Helper()
	for _, name := range names {
		judge.Must(l.t, os.Remove(filepath.Join(l.root, name)))
	}
}

func (l *local) has(name string) bool {
	_, err := os.Lstat(filepath.Join(l.root, name))
	return err == nil
}

// A kernel's package that is purged takes its initramfs along, wherever a push had put the archive. Restore then leaves nothing of a push, or
// says what is in its way and changes nothing; a file that is missing by itself comes back.
func TestRestoreGone(t *testing.T) {
	replace, name := layouts["boot"], layouts["firmware"]
	upgraded := strings.ReplaceAll(confOld, "56", "57")
	for about, c := range map[string]struct {
		boot  Boot
		since func(l *local)
		says  string
		err   error  // nil: it is done
		boots string // the content of what boots, "" where that is nobody's
		keeps bool   // what is kept stays
	}{
		"purged": {replace, func(l *local) {
			l.remove(initrd, gonesKernel)
			l.write("/boot/vmlinuz-6.1.0-57-amd64", "another kernel")
		}, "there is nothing to put back", nil, "", false},
		"the initramfs alone": {replace, func(l *local) { l.remove(initrd) }, "the original of", nil, "the original", false},
		"not mounted":         {replace, func(l *local) { l.remove(initrd, gonesKernel) }, "mounted?", ErrRefused, "", true},
		"damaged besides": {replace, func(l *local) {
			l.remove(initrd)
			kept := judge.Value(filepath.Glob(filepath.Join(l.root, "var/lib/groundhog/original-*")))(l.t)
			judge.Must(l.t, os.WriteFile(kept[0], nil, 0o600))
		}, "is damaged", ErrTrouble, "", true},
		"config.txt is another kernel's": {name, func(l *local) {
			l.remove(fwInit)
			l.write("/boot/firmware/initrd.img-6.1.0-57-arm64", "another one")
			l.write(fwConf, upgraded)
		}, "stays as it is", nil, "another one", false},
		"config.txt is still the archive's": {name, func(l *local) { l.remove(fwInit) }, "update-initramfs -u", ErrRefused, "archive", true},
		"edited, and still the archive's": {name, func(l *local) {
			l.remove(fwInit)
			l.write(fwConf, l.read(fwConf)+"arm_boost=1\n")
		}, "update-initramfs -u", ErrRefused, "archive", true},
		"an empty record": {replace, func(l *local) { l.write("var/lib/groundhog/state", "") }, "does not say what was pushed", ErrRefused, "archive", true},
		"a record that is no file": {replace, func(l *local) {
			l.remove("var/lib/groundhog/state")
			judge.Must(l.t, os.Mkdir(filepath.Join(l.root, "var/lib/groundhog/state"), 0o700))
		}, "does not say what was pushed", ErrRefused, "archive", true},
		"no config.txt": {name, func(l *local) { l.remove(fwConf) }, "mounted?", ErrRefused, "", true},
	} {
		t.Run(about, func(t *testing.T) {
			l := newLocal(t, deviceShell)
			l.write(gonesKernel, "a kernel")
			push(t, l, c.boot, "archive")
			c.since(l)
			before := l.tree()
			said, err := Restore(t.Context(), l)
			if err != nil {
				said = err.Error()
			}
			if !errors.Is(err, c.err) || !strings.Contains(said, c.says) || strings.Contains(said, "\n") {
				t.Errorf("%q, want %v and %q", said, c.err, c.says)
			}
			if kept := l.has("var/lib/groundhog/state"); kept != c.keeps {
				t.Errorf("what was kept is there: %t", kept)
			}
			if c.keeps {
				if errors.Is(err, ErrRefused) && l.tree() != before {
					t.Error("it was refused, and something was changed")
				}
			} else if strings.Contains(l.tree(), "groundhog") {
				t.Errorf("something of a push is left:\n%s", l.tree())
			}
			if c.boots != "" && l.boots(c.boot) != c.boots {
				t.Errorf("it boots %q, want %q", l.boots(c.boot), c.boots)
			}
			if out, exit := l.boot(); c.keeps && (exit == 0 || out == "") { // the unit, which runs when nobody looks
				t.Errorf("a boot: %d: %s", exit, out)
			}
		})
	}
}

// A one-shot is taken back without its kernel, and without the loader that it told.
func TestOneShotGone(t *testing.T) {
	eachShot(t, func(t *testing.T, l *local, s shot) {
		judge.Must(t, job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("archive")))
		for _, kernel := range judge.Value(filepath.Glob(filepath.Join(l.root, "boot/vmlinuz-*")))(t) {
			judge.Must(t, os.Remove(kernel))
		}
		l.remove(initrd)
		if s.boot.Way == Entry { // bootctl remove takes these along, and leaves other loaders
			judge.Must(t, os.RemoveAll(filepath.Join(l.root, "boot/efi/loader")))
			l.put("boot/efi/EFI/debian/grubx64.efi", "another loader")
		}
		if said, err := Restore(t.Context(), l); err != nil || !strings.Contains(said, "taken back") {
			t.Errorf("%q, %v", said, err)
		}
		if strings.Contains(l.tree(), "groundhog") || l.has("boot/efi/groundhog") {
			t.Error("something of a push is left")
		}
	})
}

// Where the filesystem that boots has got full since the push, a restore changes in place what can be so, or says that it needs room and changes nothing.
func TestRestoreFull(t *testing.T) {
	for name, s := range everyWay() {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t, deviceShell)
			s.make(t, l)
			before := l.tree()
			judge.Must(t, job(s.boot, "archive").Run(t.Context(), l, strings.NewReader("archive")))
			pushed := l.tree()
			full := map[Way]string{Replace: "boot/.groundhog-old", Name: "boot/firmware/.groundhog-config", Auto: "boot/firmware/.groundhog-config", NextEntry: "boot/grub/.groundhog-env"}[s.boot.Way]
			if full != "" {
				judge.Must(t, os.Symlink("there-is/no-room", filepath.Join(l.root, full))) // nothing can be written there
			}
			said, err := Restore(t.Context(), l)
			if s.boot.Way == Replace {
				if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "needs room") || l.tree() != pushed || s.boots(t, l) != "archive" {
					t.Errorf("%q, %v:\n%s", said, err, l.tree())
				}
				said, err = Restore(t.Context(), l) // by then there is room
			}
			if err != nil || l.tree() != before || s.boots(t, l) != "the original" {
				t.Errorf("%q, %v:\n%s", said, err, l.tree())
			}
		})
	}
}
