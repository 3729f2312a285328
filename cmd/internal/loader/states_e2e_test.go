//go:build e2e || full

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
			p.step("push", l, p.original, one, func() { push(t, l, layouts["boot"], string(one)) })
			p.step("push again", l, one, two, func() { push(t, l, layouts["boot"], string(two)) })
			p.step("restore", l, two, p.original, func() {
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
	log := powercut.Trace(t, p.image, l.root, func() { push(t, l, layouts["boot"], string(content(1))) })
	n, empty := 0, 0
	log.Each(statesOfBlocks, p.inJournal, func(disk []byte) bool {
		n++
		p.write(disk)
		if got, err := p.grub(); err != nil || len(got) == 0 {
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
	defer powercut.Mount(t, p.image, l.root)()
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
		case errors.Is(err, ErrRefused) && got == string(p.original):
			refused++
		default:
			t.Errorf("%d blocks free: %v; it boots %d bytes", free, err, len(got))
		}
		if got := l.boots(b); got != string(p.original) {
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
	if err := errors.Join(f.Truncate(size-int64(free)), f.Sync()); err != nil {
		t.Fatal(err)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// step looks at what a cut may leave of what do does; what that leaves is where the next step begins.
func (p *place) step(name string, l *local, old, fresh []byte, do func()) {
	log := powercut.Trace(p.t, p.image, l.root, do)
	n := map[string]int{}
	look := func(reader string, read func() ([]byte, error)) func(disk []byte) bool {
		return func(disk []byte) bool {
			n[reader]++
			p.write(disk)
			got, err := read()
			if err != nil || !bytes.Equal(got, old) && !bytes.Equal(got, fresh) {
				p.t.Errorf("%s: in state %d %s finds %d bytes, neither the old file nor the new one (%v)", name, n[reader], reader, len(got), err)
			}
			return true
		}
	}
	log.Each(statesOfBlocks, p.inJournal, look("GRUB", p.grub))
	log.Each(statesOfJournal, func(int64) bool { return false }, look("the kernel", p.kernel))
	if n["GRUB"] < 5 || n["the kernel"] < 20 {
		p.t.Errorf("%s: too few states: %v", name, n)
	}
	p.t.Logf("%s: states looked at: %v", name, n)
	p.write(log.End())
	if _, err := p.kernel(); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.state, p.image); err != nil {
		p.t.Fatal(err)
	}
}

// grub reads the initramfs without a replay of the journal.
func (p *place) grub() ([]byte, error) {
	return exec.Command("grub-fstest", p.state, "cat", "(loop0)"+initrd).Output()
}

// kernel replays the journal, as a mount would, and reads the initramfs.
func (p *place) kernel() ([]byte, error) {
	if out, err := exec.Command("e2fsck", "-y", "-E", "journal_only", p.state).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("e2fsck: %w: %s", err, out)
	}
	return exec.Command("debugfs", "-R", "cat "+initrd, p.state).Output()
}

// content is an initramfs: three blocks, which do not compress.
func content(seed byte) []byte {
	b := make([]byte, 3*4096-7)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// A place is a device's filesystem in an image. The original's inode is in another block of the inode table than those that are made
// later: 16 to a block.
type place struct {
	t            *testing.T
	image, state string
	original     []byte
	journal      map[int64]bool // its blocks
}

func newPlace(t *testing.T) *place {
	for _, name := range []string{"grub-fstest", "e2fsck", "debugfs"} {
		judge.Tool(t, name)
	}
	dir := powercut.Memory(t)
	p := &place{t: t, image: filepath.Join(dir, "image"), state: filepath.Join(dir, "state"), original: content(0), journal: map[int64]bool{}}
	files := map[string]string{initrd: string(p.original), "/var/lib/x": "", "/run/x": "", "/proc/sys/vm/x": ""}
	for n := range 40 {
		files[fmt.Sprintf("/boot/filler-%d", n)] = "x"
	}
	tree := filepath.Join(dir, "tree")
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(tree+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tree+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(judge.Tool(t, "mke2fs"), "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-J", "size=4",
		"-E", "lazy_itable_init=0", "-d", tree, p.image, "10M").CombinedOutput()
	if err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	// The journal is inode 8 (kernel: Documentation/filesystems/ext4/special_inodes.rst).
	out, err = exec.Command("debugfs", "-R", "stat <8>", p.image).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, extents, _ := strings.Cut(string(out), "EXTENTS:")
	for _, m := range regexp.MustCompile(`:(\d+)(?:-(\d+))?`).FindAllStringSubmatch(extents, -1) {
		first, _ := strconv.ParseInt(m[1], 10, 64)
		last, err := strconv.ParseInt(m[2], 10, 64)
		for n := first; n <= last || err != nil && n == first; n++ {
			p.journal[n] = true
		}
	}
	if len(p.journal) < 1024 {
		t.Fatalf("a journal of %d blocks: %s", len(p.journal), out)
	}
	return p
}

func (p *place) inJournal(block int64) bool { return p.journal[block] }

// write makes disk the file that the readers read. It is not made anew: a new file's pages cost more than their content.
func (p *place) write(disk []byte) {
	f, err := os.OpenFile(p.state, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = f.WriteAt(disk, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		p.t.Fatal(err)
	}
}
