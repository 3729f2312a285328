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
func otherBombs(root string) []bombCase {
	inspectAll := func(segment func(t *testing.T) []byte) func(t *testing.T) [][]string {
		return func(t *testing.T) [][]string {
			file := bombArchive(t, segment(t))
			return judge.Cases([][]string{{"inspect", file}, {"diff", file, file}}, []string{"manifest", file}, []string{"inspect", "--list", file})
		}
	}
	zipped := func(r func() io.Reader) func(t *testing.T) [][]string {
		return inspectAll(func(t *testing.T) []byte { return packedAs(t, bombTools["gz"], r()) })
	}
	manifests := func(file func(t *testing.T) string) func(t *testing.T) [][]string {
		return func(t *testing.T) [][]string {
			m := file(t)
			return [][]string{{"diff", m, m}, {"verify", bombArchive(t, nil), "--manifest", m}}
		}
	}
	cases := []bombCase{
		{"a window of 128 MiB", 0, 2 * 128 << 20, inspectAll(func(t *testing.T) []byte {
			return packedAs(t, []string{"zstd", "--ultra", "--long=27", "-q1c"}, bombSegmentPlain(bombLimit*7/8))
		})},
		{"a dictionary of 64 MiB", 0, 64 << 20, inspectAll(func(t *testing.T) []byte {
			return packedAs(t, []string{"xz", "--check=crc32", "--lzma2=dict=64MiB,mode=fast,mf=hc3,nice=4", "-c"}, bombSegmentPlain(bombLimit*7/8))
		})},
		{"incompressible", 0, 0, zipped(func() io.Reader { return randomSegment(bombLimit * 7 / 8) })},
		{"empty files", tooLarge, 0, zipped(func() io.Reader { return emptyFiles(bombLimit * 7 / 8) })},
		{"the most empty files", 0, 0, zipped(func() io.Reader { return emptyFiles(58000 * 116) })},
		{"segments", tooLarge, 0, inspectAll(func(t *testing.T) []byte { return bytes.Repeat(packedAs(t, bombTools["gz"], emptyFiles(0)), 10000) })},
		{"a manifest of nothings", refusedAnyhow, 0, manifests(nothings)},
		{"a manifest in one word", tooLarge, 0, manifests(oneWord)},
	}
	return append(append(cases, treeBombs()...), contentBombs(root)...)
}

// contentBombs are archives whose files are small, and much work to who looks into them.
func contentBombs(root string) (cases []bombCase) {
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
		made := func(t *testing.T) string {
			target := tiny.New("bookworm", true)
			maps.Copy(target.Archive, c.files)
			b := judge.Value(target.Bytes(initrd.Gzip))(t)
			return bombFile(t, "initrd.img", b)
		}
		cases = append(cases, bombCase{c.what, c.codes[0], 0, func(t *testing.T) [][]string {
			file := made(t)
			return [][]string{{"inspect", file}, {"diff", file, file, "--fail-on", "keys"}}
		}}, bombCase{c.what + ", patched", c.codes[1], 0, func(t *testing.T) [][]string {
			return [][]string{{"patch", made(t), "--root", root, "--compression", "zstd", "--authorized-keys", bombKeys(t)}}
		}})
	}
	return cases
}

// treeBombs are root trees: files without data, includes without end.
func treeBombs() []bombCase {
	tree := func(t *testing.T, change func(root string)) string {
		root := t.TempDir()
		judge.Must(t, tiny.New("bookworm", true).WriteRoot(root))
		change(root)
		return root
	}
	write := func(t *testing.T, name, text string, size int64) {
		judge.WriteTree(t, "", map[string]string{name: text})
		if size > 0 {
			judge.Must(t, os.Truncate(name, size))
		}
	}
	patch := func(change func(t *testing.T, root string)) func(t *testing.T) [][]string {
		return func(t *testing.T) [][]string {
			root := tree(t, func(root string) { change(t, root) })
			return [][]string{{"patch", bombArchive(t, nil), "--root", root, "--authorized-keys", bombKeys(t)}}
		}
	}
	return []bombCase{
		{"a file of 4 TiB without data", tooLarge, 0, func(t *testing.T) [][]string {
			sparse := tree(t, func(root string) { write(t, filepath.Join(root, "var/sparse"), "", 4<<40) })
			return [][]string{{"manifest", sparse}, {"diff", sparse, sparse}}
		}},
		{"300 files without data", tooLarge, 0, func(t *testing.T) [][]string {
			many := tree(t, func(root string) {
				for i := range 300 {
					write(t, filepath.Join(root, "var/sparse", fmt.Sprint(i)), "", bombLimit-1)
				}
			})
			return [][]string{{"manifest", many}, {"diff", many, many}}
		}},
		{"a program of 4 TiB without data", refusedAnyhow, 0, patch(func(t *testing.T, root string) { write(t, filepath.Join(root, "usr/bin/curl"), "", 4<<40) })},
		{"records of 4 TiB without data", refusedAnyhow, 0, func(t *testing.T) [][]string {
			records := tree(t, func(root string) { write(t, filepath.Join(root, "var/lib/dpkg/status"), "", 4<<40) })
			return [][]string{{"manifest", bombArchive(t, nil), "--root", records}, {"manifest", records}}
		}},
		{"a path on record many times, as links are to it", 0, 0, func(t *testing.T) [][]string {
			records := tree(t, func(root string) {
				at := filepath.Join(root, "var/lib/dpkg")
				write(t, filepath.Join(at, "status"), "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n", 0)
				write(t, filepath.Join(at, "info/tool.list"), strings.Repeat("/a\n", 3000), 0)
				write(t, filepath.Join(at, "alternatives/x"), "auto\n/b\n\n"+strings.Repeat("/a\n1\n", 3000)+"\n", 0)
				write(t, filepath.Join(root, "etc/alternatives/README"), "", 0)
				judge.Must(t, os.Symlink("/a", filepath.Join(root, "etc/alternatives/x")))
			})
			return [][]string{{"manifest", bombArchive(t, nil), "--root", records, "--foreign-root"}, {"manifest", records}}
		}},
		{"37,449 includes", refusedAnyhow, 0, patch(func(t *testing.T, root string) {
			write(t, filepath.Join(root, "etc/ld.so.conf"), strings.Repeat("include ld.so.conf.d/*\n", 37449), 0)
			for i := range 3000 {
				write(t, filepath.Join(root, "etc/ld.so.conf.d", fmt.Sprint(i)), "# nothing\n", 0)
			}
		})},
	}
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
