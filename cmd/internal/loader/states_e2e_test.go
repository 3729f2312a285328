//go:build e2e || full

package loader

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/powercut"
)

// What the boot loader finds at the initramfs' name is the old file or the new one, whole, whenever the power is cut in
// a push, in a second push over the first, and in a restore: in every state that the disk may be left in, as GRUB reads it,
// without the journal, and as the kernel does, with it. GRUB's reader is GRUB's own, grub-fstest.
func TestPowerCutStates(t *testing.T) {
	for name, first := range map[string]string{"hard links": "", "no hard links": "ln() { return 1; }\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			l := &local{t: t, root: t.TempDir(), shell: "dash", edit: func(program string) string { return first + program }}
			one, two := content(1), content(2)
			p.step("push", l, p.Original, one, func() { push(t, l, layouts["boot"], string(one)) })
			p.step("push again", l, one, two, func() { push(t, l, layouts["boot"], string(two)) })
			p.step("restore", l, two, p.Original, func() {
				if _, err := Restore(t.Context(), l); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The test would notice: a plain rename, for which a sync follows, leaves states in which GRUB finds an empty file. The kernel never does.
func TestPowerCutStatesOfRename(t *testing.T) {
	p := newPlace(t)
	l := &local{t: t, root: t.TempDir(), shell: "dash", edit: func(program string) string {
		before, after, _ := cutLast(program, "\ntake_lock\n")
		return before + "\nreplace() { mv -f \"$1\" \"$2\" && sync \"${2%/*}\" && settle \"$2\"; }\ntake_lock\n" + after
	}}
	log := powercut.Trace(t, p.Image, l.root, func() { push(t, l, layouts["boot"], string(content(1))) })
	n, empty := 0, 0
	log.Each(statesOfBlocks, p.InJournal, func(disk []byte) bool {
		n++
		p.Write(disk)
		if got, err := p.GRUB(); err != nil || len(got) == 0 {
			empty++
		}
		return true
	})
	t.Logf("%d of %d states are empty", empty, n)
	if empty == 0 {
		t.Error("a plain rename leaves no state with an empty file: the enumeration misses what it is for")
	}
}

// A filesystem with room for anything from nothing to all that a push needs: refused, with the original in its place, or done.
func TestPushFull(t *testing.T) {
	p := newPlace(t)
	l := &local{t: t, root: t.TempDir(), shell: "dash"}
	defer powercut.Mount(t, p.Image, l.root)()
	b, refused := layouts["boot"], 0
	for free := range 32 {
		fill(t, l.root, free*4096)
		err := job(b, string(content(1))).Run(t.Context(), l, bytes.NewReader(content(1)))
		switch got := l.boots(b); {
		case err == nil && got == string(content(1)):
			_, err := Restore(t.Context(), l)
			if err != nil && strings.Contains(err.Error(), "No space left") { // the push took the last of it: it is refused, and done with room
				fill(t, l.root, 64*4096)
				_, err = Restore(t.Context(), l)
			}
			if err != nil {
				t.Errorf("%d blocks free: restoring: %v", free, err)
			}
		case errors.Is(err, ErrRefused) && got == string(p.Original):
			refused++
		default:
			t.Errorf("%d blocks free: %v; it boots %d bytes", free, err, len(got))
		}
		if got := l.boots(b); got != string(p.Original) {
			t.Errorf("%d blocks free: afterwards it boots %d bytes that are not the original", free, len(got))
		}
		if left := glob(l.root + "/boot/.groundhog*"); left != nil {
			t.Errorf("%d blocks free: left behind: %q", free, left)
		}
	}
	if refused < 3 || refused > 28 {
		t.Errorf("refused %d times of 32", refused)
	}
}

// fill leaves some bytes of a filesystem free.
func fill(t *testing.T, root string, free int) {
	t.Helper()
	name := root + "/fill"
	os.Remove(name)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int64(0)
	for err == nil {
		var n int
		n, err = f.Write(make([]byte, 4096))
		size += int64(n)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	judge.Must(t, errors.Join(f.Truncate(size-int64(free)), f.Sync()))
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// step looks at what a cut may leave of what do does; what that leaves is where the next step begins.
func (p place) step(name string, l *local, old, fresh []byte, do func()) {
	log := powercut.Trace(p.t, p.Image, l.root, do)
	n := map[string]int{}
	look := func(reader string, read func() ([]byte, error)) func(disk []byte) bool {
		return func(disk []byte) bool {
			n[reader]++
			p.Write(disk)
			got, err := read()
			if err != nil || !bytes.Equal(got, old) && !bytes.Equal(got, fresh) {
				p.t.Errorf("%s: in state %d %s finds %d bytes, neither the old file nor the new one (%v)", name, n[reader], reader, len(got), err)
			}
			return true
		}
	}
	log.Each(statesOfBlocks, p.InJournal, look("GRUB", p.GRUB))
	log.Each(statesOfJournal, func(int64) bool { return false }, look("the kernel", p.Kernel))
	if n["GRUB"] < 5 || n["the kernel"] < 20 {
		p.t.Errorf("%s: too few states: %v", name, n)
	}
	p.t.Logf("%s: states looked at: %v", name, n)
	p.Write(log.End())
	if _, err := p.Kernel(); err != nil {
		p.t.Fatal(err)
	}
	judge.Must(p.t, os.Rename(p.State, p.Image))
}

// content is an initramfs: three blocks, which do not compress.
func content(seed uint64) []byte { return judge.Noise(seed, 3*4096-7) }

// place is a device's filesystem whose boot loader looks for initrd.
type place struct {
	*powercut.Place
	t *testing.T
}

func newPlace(t *testing.T) place {
	return place{powercut.NewPlace(t, initrd, content(0)), t}
}
