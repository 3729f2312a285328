package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
	"groundhog/initrd/show"
)

// openWrtTrailer is what fwtool puts behind an image: metadata, and how long it is with the trailer.
func openWrtTrailer(data string) []byte {
	b := append([]byte(data), "FWx0\x01\x02\x03\x04\x01\x00\x00\x00"...)
	return binary.BigEndian.AppendUint32(b, uint32(len(data)+16))
}

// What is behind a gzip stream's end is padding, or a maker's, or nobody knows: then only who means it goes on.
func TestBehindGzip(t *testing.T) {
	want := disk(3 << 20)
	b := packWith(t, packers["gzip"], want)
	twice := append(bytes.Clone(b), b...)
	fw := openWrtTrailer(`{"metadata_version": "1.1", "compat_version": "1.0"}`)
	signed := append(bytes.Clone(fw), openWrtTrailer("untrusted comment: signed by key\nRWQ\n")...)
	for what, c := range map[string]struct {
		stored []byte
		twice  bool
		note   string
		fails  bool
	}{
		"nothing":                   {stored: b},
		"a second member":           {stored: twice, twice: true},
		"a zero":                    {stored: append(bytes.Clone(b), 0), note: "1 zeros"},
		"a sector of zeros":         {stored: append(bytes.Clone(b), make([]byte, 512)...), note: "512 zeros"},
		"many zeros":                {stored: append(bytes.Clone(b), make([]byte, 3<<20)...), note: "padding"},
		"members and zeros":         {stored: append(bytes.Clone(twice), make([]byte, 100)...), twice: true, note: "padding"},
		"OpenWrt's metadata":        {stored: append(bytes.Clone(b), fw...), note: "OpenWrt"},
		"its signature, too":        {stored: append(bytes.Clone(b), signed...), note: "OpenWrt"},
		"a text":                    {stored: append(bytes.Clone(b), "something"...), fails: true},
		"a byte":                    {stored: append(bytes.Clone(b), 0x1f), fails: true},
		"zeros, and a text":         {stored: append(append(bytes.Clone(b), make([]byte, 1000)...), 'x'), fails: true},
		"zeros, and a member":       {stored: append(append(bytes.Clone(b), 0, 0), b...), fails: true},
		"a member of another kind":  {stored: append(bytes.Clone(b), 0x1f, 0x8b, 0x07, 0, 0, 0, 0, 0, 0, 3), fails: true},
		"a second member, damaged":  {stored: append(append(bytes.Clone(b), 0x1f, 0x8c), b[2:]...), fails: true},
		"a second member, cut":      {stored: twice[:len(twice)-3], fails: true},
		"metadata that is too long": {stored: append(bytes.Clone(b), fw[10:]...), fails: true},
	} {
		whatever := want
		if c.twice {
			whatever = append(bytes.Clone(want), want...)
		}
		for _, from := range []string{old(t, filepath.Join(t.TempDir(), "disk.img.gz"), c.stored), "-"} {
			i := open(t, from, "", bytes.NewReader(c.stored))
			err := i.Ready(t.Context(), 0)
			if from == "-" && err != nil {
				t.Errorf("%s: a stream was read: %v", what, err)
			}
			if from == "-" {
				_, err = whole(i)
			}
			if (err != nil) != c.fails {
				t.Errorf("%s from %s: %v", what, from, err)
			}
			if got, err := whole(i); !c.fails && (err != nil || !bytes.Equal(got, whatever)) {
				t.Errorf("%s from %s: %d bytes, %v", what, from, len(got), err)
			}
			if notes := strings.Join(i.Notes(), ";"); c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
				t.Errorf("%s from %s: it says %q", what, from, notes)
			}
		}
		if c.fails && !strings.Contains(what, "cut") && !strings.Contains(what, "another kind") {
			i := open(t, "-", "", bytes.NewReader(c.stored), Force(true))
			if got, err := whole(i); err != nil || !bytes.Equal(got, want) || len(i.Notes()) != 1 {
				t.Errorf("%s, by force: %d bytes, %v, %q", what, len(got), err, i.Notes())
			}
		}
	}
}

// Of a file that is here, all that can be known is known before anybody asks for its data.
func TestReady(t *testing.T) {
	want := disk(3 << 20)
	for kind, cmd := range packers {
		b := packWith(t, cmd, want)
		flipped := bytes.Clone(b)
		flipped[len(b)/2] ^= 0x55
		for what, stored := range map[string][]byte{"whole": b, "cut": b[:len(b)*2/3], "without its last bytes": b[:len(b)-2], "flipped": flipped} {
			if what == "flipped" && kind == "zstd nocheck" {
				continue // says itself that it does not check
			}
			i, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image"), stored), "", nil)
			if err == nil {
				err = i.Ready(t.Context(), 0)
				if err == nil && i.Index() == nil {
					t.Errorf("%s, %s: ready, and nothing is known", kind, what)
				}
				i.Close()
			}
			if (err == nil) != (what == "whole") {
				t.Errorf("%s, %s: %v", kind, what, err)
			}
		}
	}
	b := packWith(t, packers["xz"], want)
	for _, n := range []int{len(b) - 1, len(b) - 4, len(b) - 12, len(b) / 2} {
		if _, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image.xz"), b[:n]), "", nil); !errors.Is(err, errCut) {
			t.Errorf("xz cut at %d of %d: %v", n, len(b), err)
		}
	}
	padded := append(bytes.Clone(b), make([]byte, 512)...)
	if _, err := whole(open(t, old(t, filepath.Join(t.TempDir(), "image.xz"), padded), "", nil)); err != nil {
		t.Errorf("xz with padding: %v", err)
	}
}

// Where there is no room for what is decoded, that is known beforehand.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("groundhog", dir, "tmpfs", 0, "size=1m"); err != nil {
		judge.Missing(t, "root, who alone mounts a small filesystem")
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	t.Setenv("TMPDIR", dir)
	noise := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	packed := packWith(t, packers["xz"], noise)
	if _, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image.xz"), packed), "", nil, Force(true)); !errors.Is(err, ErrSpool) ||
		!strings.Contains(err.Error(), dir+" has room for 1.0 MiB, and it takes "+show.Bytes(int64(len(packed)))+" or more") {
		t.Errorf("%v, want to know of the room before anything is decoded", err)
	}
	// What comes behind an image, and has nothing of it, needs no room.
	skipped := append(packWith(t, packers["zstd"], disk(1<<18)), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0x20, 0)
	i := open(t, old(t, filepath.Join(t.TempDir(), "image.zst"), append(skipped, make([]byte, 2<<20)...)), "", nil)
	judge.Must(t, i.Ready(t.Context(), 0))
	i.Close()
	if _, err := unnamedFile(2 << 20); !errors.Is(err, ErrSpool) || !strings.Contains(hint.Of(err), "TMPDIR") {
		t.Errorf("2 MiB in 1: %v", err)
	}
	if f, err := unnamedFile(1 << 19); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

// A file that unpacks to more than there is room for leaves room to others.
func TestSpoolLeavesRoom(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("groundhog", dir, "tmpfs", 0, "size=160m"); err != nil {
		judge.Missing(t, "root, who alone mounts a small filesystem")
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	t.Setenv("TMPDIR", dir)
	one := packWith(t, packers["zstd"], disk(9<<20))
	name := old(t, filepath.Join(t.TempDir(), "image.zst"), bytes.Repeat(one, 40))
	i := open(t, name, "", nil)
	defer i.Close()
	if err := i.Ready(t.Context(), 0); err == nil || errors.Is(err, unix.ENOSPC) || !errors.Is(err, ErrSpool) || !strings.Contains(hint.Of(err), "TMPDIR") {
		t.Errorf("%v, want a word about TMPDIR", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Bavail*uint64(st.Bsize) < 16<<20 {
		t.Errorf("%d MiB are left, %v", st.Bavail*uint64(st.Bsize)>>20, err)
	}
}

// What is in an image is told without reading more of it than that.
func TestFilesystem(t *testing.T) {
	b := disk(9 << 20)
	copy(b[2<<20+1080:], "\x53\xef")
	copy(b[3<<20+65536+64:], "_BHRfS_M")
	copy(b[4<<20-10:], "XFSB") // at no place where it would count
	for _, from := range []string{old(t, filepath.Join(t.TempDir(), "image"), b), "-"} {
		for _, stored := range [][]byte{b, packWith(t, packers["xz"], b)} {
			i := open(t, from, "", bytes.NewReader(stored))
			for off, want := range map[int64]string{2 << 20: "ext", 3 << 20: "btrfs", 4 << 20: "", 9<<20 - 512: "", 90 << 20: ""} {
				if got, err := i.Filesystem(t.Context(), off); err != nil || got != want {
					t.Errorf("at %d: %q, %v, want %q", off, got, err, want)
				}
			}
		}
	}
}
