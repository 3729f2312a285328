package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/image"
	"groundhog/fixtures/judge"
)

// imageBomb is how large a bomb is, in bytes, that may take at most so much of something: what is kept of it would show, beside what a
// process has anyway. In the full tier it is far more than any bound of what follows.
func imageBomb(most int64) int64 { return max(most+16<<20, int64(judge.Times(0, 512<<20))) }

// imageBase is what decoding an image takes beside a decoder's memory, and packing it on two cores: chunks on their way, two groups
// of 8 MiB, each as it is, packed, and once more where it is proven.
const imageBase = bombBase + 96<<20

// imageBombs are the ways in which images are compressed, and how much memory decoding each takes, in bytes.
var imageBombs = []struct {
	name   string
	pack   []string
	memory int64
}{
	{"gzip", []string{"gzip", "-1c"}, 0},
	{"zstd", []string{"zstd", "-q1c"}, 8 << 20},
	{"zstd with a window of 128 MiB", []string{"zstd", "--long=27", "-q1c"}, 2 * 128 << 20},
	{"xz", []string{"xz", "-0c", "-T1"}, 8 << 20},
	{"xz of blocks", []string{"xz", "-0c", "-T2", "--block-size=16MiB"}, 6 * 16 << 20},
	{"xz of small blocks that ask for 128 MiB each", []string{"xz", "-c", "-T2", "--block-size=2MiB", "--lzma2=preset=0,dict=128MiB"}, 6 * 2 << 20},
	{"bzip2", []string{"bzip2", "-1c"}, 8 << 20},
	{"lz4", []string{"lz4", "-q1c"}, 8 << 20},
}

// An image has no --max-size. How large it may be the disk says that it is for, or [image.MaxSize]: TestLargerThanDisk, TestMaxSize. What a small file unpacks to costs no more memory for being large, and takes no more room than there is.
func TestImageBombs(t *testing.T) {
	if fed := feedImageBombs(t, "zstd/ones", "xz of small blocks that ask for 128 MiB each/zeros"); fed != 2 {
		t.Errorf("%d bombs", fed)
	}
}

// feedImageBombs feeds those of some names, or all.
func feedImageBombs(t *testing.T, few ...string) (fed int) {
	judge.Unraced(t)
	t.Setenv("GOMAXPROCS", "2") // groups are packed on each
	room := smallRoom(t)
	for _, c := range imageBombs {
		t.Run(c.name, func(t *testing.T) {
			for _, what := range []struct {
				name string
				fill byte
				code int
				said string
			}{{"zeros", 0, 0, ""}, {"ones", 1, exitTrouble, "less than 64 MiB are left where it is kept"}} {
				if what.code == 0 && (c.memory <= 8<<20 || c.name == "xz of blocks") && !judge.Full { // behind their decoders is what is behind the others
					continue
				}
				if len(few) > 0 && !slices.Contains(few, c.name+"/"+what.name) {
					continue
				}
				fed++
				most := imageBase + c.memory
				size := imageBomb(most)
				if what.code != 0 { // it ends where there is no more room
					size = imageBomb(roomSize)
				}
				file := bombFile(t, "image", packedAs(t, c.pack, io.LimitReader(filled(what.fill), size)))
				t.Setenv("TMPDIR", room)
				code, peak, cpu, said := measured(t, "index", file, "--force", "--level=1", "--store", t.TempDir())
				t.Logf("%-5s %4d MiB, %5.1f s, exit code %d", what.name, peak>>20, cpu.Seconds(), code)
				if peak > most {
					t.Errorf("%s: a peak of %d MiB, more than %d", what.name, peak>>20, most>>20)
				}
				if code != what.code || !strings.Contains(said, what.said) {
					t.Errorf("%s: exit code %d: %s", what.name, code, said)
				}
			}
		})
	}
	return fed
}

// An image that is larger than any by its own account is refused before anything of it is decoded.
func TestImageSays(t *testing.T) {
	sparse := bombFile(t, "sparse", nil)
	if err := os.Truncate(sparse, image.MaxSize+1); err != nil {
		judge.Missing(t, "a filesystem with files of 8 TiB")
	}
	// A zstd frame with its size in its header, and one block of 128 KiB zeros (RFC 8878, section 3.1.1).
	head := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 3 << 6, 11 << 3}, image.MaxSize+1)
	for _, file := range []string{sparse, bombFile(t, "frame", slices.Concat(head, []byte{1<<1 | 1, 0, 0x10, 0}))} {
		code, _, said := here("index", file, "--force", "--store", t.TempDir())
		if code != exitNo || !strings.Contains(said, "larger than any that is taken") {
			t.Errorf("%s: exit code %d: %s", filepath.Base(file), code, said)
		}
	}
}

// roomSize is how many bytes a small room has: the 64 MiB that are left, and some.
var roomSize = int64(judge.Times(96, 160)) << 20

// smallRoom is a directory that has room for no more.
func smallRoom(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("groundhog", dir, "tmpfs", 0, fmt.Sprintf("size=%d", roomSize)); err != nil {
		judge.Missing(t, "root, who alone mounts a small filesystem")
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// filled never ends.
type filled byte

func (f filled) Read(p []byte) (int, error) {
	for n := range p[:min(len(p), 1)] {
		p[n] = byte(f)
	}
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
	return len(p), nil
}
