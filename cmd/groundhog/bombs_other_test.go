package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/tiny"
)

// otherBombs are what costs memory or time by other means than zeros.
func otherBombs(t *testing.T) []bombCase {
	inspectAll := func(file string) [][]string {
		return [][]string{{"inspect", file}, {"manifest", file}, {"diff", file, file}, {"inspect", "--list", file}}
	}
	window := bombArchive(t, packedBy(t, "zst", bombSegmentPlain(bombLimit*7/8), "--ultra", "--long=27", "-q1c"))
	dictionary := bombArchive(t, packedBy(t, "xz", bombSegmentPlain(bombLimit*7/8), "--check=crc32", "--lzma2=dict=64MiB,mode=fast,mf=hc3,nice=4", "-c"))
	cases := []bombCase{
		{"a window of 128 MiB", inspectAll(window), 0, 2 * 128 << 20},
		{"a dictionary of 64 MiB", inspectAll(dictionary), 0, 64 << 20},
		{"incompressible", inspectAll(bombArchive(t, packedAs(t, "gz", randomSegment(bombLimit*7/8)))), 0, 0},
		{"empty files", inspectAll(bombArchive(t, packedAs(t, "gz", emptyFiles(bombLimit*7/8)))), tooLarge, 0},
		{"the most empty files", inspectAll(bombArchive(t, packedAs(t, "gz", emptyFiles(58000*116)))), 0, 0},
		{"segments", inspectAll(bombArchive(t, bytes.Repeat(packedAs(t, "gz", emptyFiles(0)), 10000))), tooLarge, 0},
		{"a manifest of nothings", [][]string{{"diff", nothings(t), nothings(t)}, {"verify", bombArchive(t, nil), "--manifest", nothings(t)}}, refusedAnyhow, 0},
		{"a manifest in one word", [][]string{{"diff", oneWord(t), oneWord(t)}, {"verify", bombArchive(t, nil), "--manifest", oneWord(t)}}, tooLarge, 0},
	}
	return append(cases, treeBombs(t)...)
}

// treeBombs are root trees: files without data, includes without end.
func treeBombs(t *testing.T) []bombCase {
	keys := bombFile(t, "keys", []byte(tiny.LoginEd25519+"\n"))
	archive := bombArchive(t, nil)
	tree := func(change func(root string)) string {
		root := t.TempDir()
		if err := tiny.New("bookworm", true).WriteRoot(root); err != nil {
			t.Fatal(err)
		}
		change(root)
		return root
	}
	write := func(name, text string, size int64) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			if err := os.Truncate(name, size); err != nil {
				t.Fatal(err)
			}
		}
	}
	sparse := tree(func(root string) { write(filepath.Join(root, "var/sparse"), "", 4<<40) })
	many := tree(func(root string) {
		for i := range 300 {
			write(filepath.Join(root, "var/sparse", fmt.Sprint(i)), "", bombLimit-1)
		}
	})
	program := tree(func(root string) { write(filepath.Join(root, "usr/bin/curl"), "", 4<<40) })
	records := tree(func(root string) { write(filepath.Join(root, "var/lib/dpkg/status"), "", 4<<40) })
	includes := tree(func(root string) {
		write(filepath.Join(root, "etc/ld.so.conf"), strings.Repeat("include ld.so.conf.d/*\n", 37449), 0)
		for i := range 3000 {
			write(filepath.Join(root, "etc/ld.so.conf.d", fmt.Sprint(i)), "# nothing\n", 0)
		}
	})
	patch := func(root string) []string {
		return []string{"patch", archive, "--root", root, "--authorized-keys", keys}
	}
	return []bombCase{
		{"a file of 4 TiB without data", [][]string{{"manifest", sparse}, {"diff", sparse, sparse}}, tooLarge, 0},
		{"300 files without data", [][]string{{"manifest", many}, {"diff", many, many}}, tooLarge, 0},
		{"a program of 4 TiB without data", [][]string{patch(program)}, refusedAnyhow, 0},
		{"records of 4 TiB without data", [][]string{{"manifest", archive, "--root", records}, {"manifest", records}}, refusedAnyhow, 0},
		{"37,449 includes", [][]string{patch(includes)}, refusedAnyhow, 0},
	}
}

// packedBy is r packed with other arguments than the format's own.
func packedBy(t *testing.T, format string, r io.Reader, args ...string) []byte {
	t.Helper()
	old := bombTools[format]
	bombTools[format] = append([]string{old[0]}, args...)
	defer func() { bombTools[format] = old }()
	return packedAs(t, format, r)
}

// randomSegment is a segment with a file that no compression makes smaller.
func randomSegment(size int64) io.Reader {
	return io.MultiReader(strings.NewReader(tiny.CpioHead("random", 0o100644, size)),
		io.LimitReader(rand.NewChaCha8([32]byte{}), size), strings.NewReader(tiny.CpioHead("TRAILER!!!", 0, 0)))
}

// emptyFiles is a segment with as many empty files as make some bytes.
func emptyFiles(bytes int64) io.Reader {
	var b strings.Builder
	for i := 0; int64(b.Len()) < bytes; i++ {
		b.WriteString(tiny.CpioHead(fmt.Sprint(i), 0o100644, 0))
	}
	return strings.NewReader(b.String() + tiny.CpioHead("TRAILER!!!", 0, 0))
}

// nothings is a manifest with many entries of two bytes each.
func nothings(t *testing.T) string {
	text := `{"schema":1,"source":"initramfs","dropbear":false,"entries":[{}` + strings.Repeat(",{}", bombLimit) + `]}`
	return bombFile(t, "m.json", []byte(text))
}

// oneWord is a manifest with a long text.
func oneWord(t *testing.T) string {
	text := `{"schema":1,"source":"initramfs","tool":"` + strings.Repeat("x", bombLimit*2) + `"}`
	return bombFile(t, "m.json", []byte(text))
}
