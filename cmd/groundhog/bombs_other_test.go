package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// otherBombs are what costs memory or time by other means than zeros.
func otherBombs(t *testing.T) []bombCase {
	inspectAll := func(file string) [][]string {
		return judge.Cases([][]string{{"inspect", file}, {"diff", file, file}}, []string{"manifest", file}, []string{"inspect", "--list", file})
	}
	window := bombArchive(t, packedBy(t, "zst", bombSegmentPlain(bombLimit*7/8), "--ultra", "--long=27", "-q1c"))
	dictionary := bombArchive(t, packedBy(t, "xz", bombSegmentPlain(bombLimit*7/8), "--check=crc32", "--lzma2=dict=64MiB,mode=fast,mf=hc3,nice=4", "-c"))
	nothings, oneWord, archive := nothings(t), oneWord(t), bombArchive(t, nil)
	cases := []bombCase{
		{"a window of 128 MiB", inspectAll(window), 0, 2 * 128 << 20},
		{"a dictionary of 64 MiB", inspectAll(dictionary), 0, 64 << 20},
		{"incompressible", inspectAll(bombArchive(t, packedAs(t, "gz", randomSegment(bombLimit*7/8)))), 0, 0},
		{"empty files", inspectAll(bombArchive(t, packedAs(t, "gz", emptyFiles(bombLimit*7/8)))), tooLarge, 0},
		{"the most empty files", inspectAll(bombArchive(t, packedAs(t, "gz", emptyFiles(58000*116)))), 0, 0},
		{"segments", inspectAll(bombArchive(t, bytes.Repeat(packedAs(t, "gz", emptyFiles(0)), 10000))), tooLarge, 0},
		{"a manifest of nothings", [][]string{{"diff", nothings, nothings}, {"verify", archive, "--manifest", nothings}}, refusedAnyhow, 0},
		{"a manifest in one word", [][]string{{"diff", oneWord, oneWord}, {"verify", archive, "--manifest", oneWord}}, tooLarge, 0},
	}
	return append(append(cases, treeBombs(t)...), contentBombs(t)...)
}

// contentBombs are archives whose files are small, and much work to who looks into them.
func contentBombs(t *testing.T) (cases []bombCase) {
	root := t.TempDir()
	target := tiny.New("bookworm", true)
	if err := target.WriteRoot(root); err != nil {
		t.Fatal(err)
	}
	lines := func(n int, format string) *fstest.MapFile {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return tiny.Text(b.String())
	}
	links := fstest.MapFS{"evil/authorized_keys": tiny.Text(strings.Repeat(tiny.LoginECDSA, 4000)), "etc/passwd": lines(5000, "u%[1]d:*:0:0::/l/%[1]d:/bin/sh\n")}
	hard := fstest.MapFS{"etc/passwd": links["etc/passwd"]}
	long := []byte(strings.Repeat("# no key\n", 100000)) // once for all, as in the archive
	for i := range 5000 {
		links[fmt.Sprintf("l/%d/.ssh", i)] = tiny.Link("/evil")
		hard[fmt.Sprintf("l/%d/.ssh/authorized_keys", i)] = &fstest.MapFile{Data: long, Mode: 0o644, Sys: "hard"}
	}
	for _, c := range []struct {
		what  string
		files fstest.MapFS
		codes [2]int // of looking, and of patch
	}{
		{"60,000 accounts and their passwords", fstest.MapFS{"etc/passwd": lines(60000, "u%d:x:0:0::/x:\n"), "etc/shadow": lines(60000, "v%d:*:::::::\n")}, [2]int{0, refusedAnyhow}},
		{"more accounts than are looked at", fstest.MapFS{"etc/passwd": lines(800000, "u%d:x:0:0:\n")}, [2]int{0, refusedAnyhow}},
		{"5,000 homes with the same 4,000 keys", links, [2]int{0, refusedAnyhow}},
		{"5,000 homes with the same long file", hard, [2]int{0, refusedAnyhow}},
		{"keys and nothing but keys", fstest.MapFS{tiny.Home + "/.ssh/authorized_keys": tiny.Text(strings.Repeat(tiny.LoginEd25519, 100000))}, [2]int{0, 0}},
		{"a script of braces", fstest.MapFS{"scripts/functions": tiny.Text(strings.Repeat("$(", bombLimit/3))}, [2]int{0, refusedAnyhow}},
	} {
		target := tiny.New("bookworm", true)
		maps.Copy(target.Archive, c.files)
		b, err := target.Bytes(initrd.Gzip)
		if err != nil {
			t.Fatal(err)
		}
		file := bombFile(t, "initrd.img", b)
		keys := bombFile(t, "keys", []byte(tiny.LoginEd25519+"\n"))
		cases = append(cases, bombCase{c.what, [][]string{{"inspect", file}, {"diff", file, file, "--fail-on", "keys"}}, c.codes[0], 0},
			bombCase{c.what + ", patched", [][]string{{"patch", file, "--root", root, "--compression", "zstd", "--authorized-keys", keys}}, c.codes[1], 0})
	}
	return cases
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
