package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// What hostile input may cost: memory by --max-size, whatever it claims or would
// unpack to, and time by the same. Each bomb is fed to a process of its own, which
// says at its end how much memory it ever had (VmHWM of proc_pid_status(5): unlike
// ru_maxrss it does not begin with that of the process it was forked from).

// bombLimit is the --max-size of all bombs; small, so that what does not depend on
// it would show.
const bombLimit = 16 << 20

// What may be in memory, in bytes: the file as it came, what it unpacks to, and what
// is written of it anew, each within the limit; and what a process has anyway, with
// the tables of 64 Ki entries. Two sides cost twice that.
const (
	bombFactor = 3
	bombBase   = 72 << 20
)

// bombTime is when a process is ended that should have ended long before.
const bombTime = 4 * time.Minute

// peakFile is the environment variable that names the file for the peak.
const peakFile = "GROUNDHOG_TEST_PEAK"

// measuredMain is main, and then notes the process's peak.
func measuredMain() {
	debug.SetGCPercent(20) // as main does
	code := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		err = os.WriteFile(os.Getenv(peakFile), status, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 99
	}
	os.Exit(code)
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// measured runs groundhog in a process of its own and returns its exit code, its
// peak in bytes, its time on the processors and what it said on standard error.
func measured(t *testing.T, args ...string) (code int, peak int64, cpu time.Duration, said string) {
	t.Helper()
	self := judge.Value(os.Executable())(t)
	ctx, stop := context.WithTimeout(t.Context(), bombTime)
	defer stop()
	file := filepath.Join(t.TempDir(), "peak")
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "groundhog-measured"
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), peakFile+"="+file, "GOMEMLIMIT=off", "GOGC=")
	cmd.Stderr = &stderr
	cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("groundhog %q had not ended after %v", args, bombTime)
	}
	status, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("groundhog %q ended without its report: %v\n%s", args, cmd.ProcessState, stderr.String())
	}
	m := peakLine.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %q", status)
	}
	kib := judge.Value(strconv.ParseInt(string(m[1]), 10, 64))(t)
	return cmd.ProcessState.ExitCode(), kib << 10, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), stderr.String()
}

// bombTools are the commands that pack a bomb, by the ending of the format's name.
var bombTools = map[string][]string{"gz": {"gzip", "-1c"}, "zst": {"zstd", "-q1c"}, "xz": {"xz", "-0c", "--check=crc32"},
	"lzma": {"xz", "-0c", "--format=lzma"}, "bz2": {"bzip2", "-1c"}, "lz4": {"lz4", "-ql1c"}}

// packedAs is what r comes to by that command.
func packedAs(t *testing.T, args []string, r io.Reader) []byte {
	t.Helper()
	cmd := exec.Command(judge.Tool(t, args[0]), args[1:]...)
	cmd.Stdin = r
	return judge.Output(t, cmd)
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// bombSegmentPlain is a segment with a file of size zeros.
func bombSegmentPlain(size int64) io.Reader {
	return io.MultiReader(strings.NewReader(tiny.CpioHead("zeros", 0o100644, size)), io.LimitReader(zeros{}, size), strings.NewReader(tiny.CpioHead("TRAILER!!!", 0, 0)))
}

// bombSegment is the same, packed.
func bombSegment(t *testing.T, format string, size int64) []byte {
	t.Helper()
	return packedAs(t, bombTools[format], bombSegmentPlain(size))
}

// bombArchive is a small target with a segment behind it.
func bombArchive(t *testing.T, segment []byte) string {
	t.Helper()
	b := judge.Value(tiny.New("bookworm", true).Bytes(initrd.Gzip))(t)
	b = append(b, make([]byte, -len(b)&3)...)
	return bombFile(t, "initrd.img", append(b, segment...))
}

func bombFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	judge.WriteFile(t, name, b)
	return name
}

// bombDeb is a package with a file of size zeros.
func bombDeb(t *testing.T, format string, size int64) string {
	t.Helper()
	head := debTar(t, "./usr/zeros", "")
	head = head[:512]
	copy(head[124:136], fmt.Sprintf("%011o\x00", size))
	copy(head[148:156], "        ")
	sum := 0
	for _, c := range head {
		sum += int(c)
	}
	copy(head[148:156], fmt.Sprintf("%06o\x00 ", sum))
	data := packedAs(t, bombTools[format], io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, size+1024)))
	return bombPackage(t, format, data)
}

// bombPackage is a package with that data.tar, packed.
func bombPackage(t *testing.T, format string, data []byte) string {
	t.Helper()
	b := []byte("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", debTar(t, "./control", helloControl)}, {"data.tar." + format, data}} {
		b = fmt.Appendf(b, "%-16s%-12s%-6s%-6s%-8s%-10d`\n", m.name, "0", "0", "0", "100644", len(m.data))
		b = append(append(b, m.data...), make([]byte, len(m.data)&1)...)
	}
	return bombFile(t, "hello.deb", b)
}

// A bombCase is an input and the command lines that it is fed to.
type bombCase struct {
	name string
	code int   // of all of them; tooLarge: refused for its size, refused: for any cause
	base int64 // bytes beside bombBase: a decoder's window
	args func(t *testing.T) [][]string
}

const (
	tooLarge      = -1
	refusedAnyhow = -2
)

// A bomb of each sort; TestBombsAll has the others.
func TestBombs(t *testing.T) {
	few := map[string]bool{"initramfs zst that fits": true, "initramfs xz too large": true, "package gz that fits": true, "package zst too large": true,
		"a window of 128 MiB": true, "empty files": true, "segments": true, "a manifest of nothings": true, "a manifest in one word": true,
		"a file of 4 TiB without data": true, "300 files without data": true, "60,000 accounts and their passwords": true,
		"a script of braces, patched": true}
	if fed := feedBombs(t, func(name string) bool { return few[name] }); fed != len(few) {
		t.Errorf("%d bombs, want %d", fed, len(few))
	}
}

// feedBombs feeds those that are wanted, one after the other: to make one is dear, too.
func feedBombs(t *testing.T, wanted func(name string) bool) (fed int) {
	judge.Unraced(t)
	root := t.TempDir()
	judge.Must(t, tiny.New("bookworm", true).WriteRoot(root))
	for _, c := range slices.Concat(archiveBombs(root), packageBombs(root), otherBombs(root)) {
		if !wanted(c.name) {
			continue
		}
		fed++
		t.Run(c.name, func(t *testing.T) {
			for _, args := range c.args(t) {
				c.run(t, args)
			}
		})
	}
	return fed
}

// bombKeys is a file with a key of who may log in.
func bombKeys(t *testing.T) string { return bombFile(t, "keys", []byte(tiny.LoginEd25519+"\n")) }

func (c bombCase) run(t *testing.T, args []string) {
	code, peak, cpu, said := measured(t, append(args, "--max-size="+strconv.Itoa(bombLimit))...)
	t.Logf("%-9s %4d MiB, %5.1f s, exit code %d", args[0], peak>>20, cpu.Seconds(), code)
	sides := int64(1)
	if args[0] == "diff" {
		sides = 2
	}
	if most := sides * (bombFactor*bombLimit + bombBase + c.base); peak > most {
		t.Errorf("%s: a peak of %d MiB, more than %d", args[0], peak>>20, most>>20)
	}
	switch {
	case c.code >= 0 && code != c.code, c.code < 0 && code == 0,
		c.code == tooLarge && (!strings.Contains(said, "over the limit") || !strings.Contains(said, "--max-size raises")):
		t.Errorf("%s: exit code %d: %s", args[0], code, said)
	}
}

// archiveBombs are zeros in each compression, just below the limit and far above.
func archiveBombs(root string) []bombCase {
	var cases []bombCase
	verbs := func(t *testing.T, format, file, m string) [][]string {
		patch := []string{"patch", file, "--root", root, "--compression", "zstd", "--authorized-keys", bombKeys(t)}
		rest := [][]string{{"manifest", file}, {"diff", file, file}, {"verify", file, "--manifest", m}, append(slices.Clone(patch), "--append")}
		if format == "zst" { // the paths through the verbs are the same in each format
			return append(rest, []string{"inspect", file}, patch)
		}
		return judge.Cases([][]string{{"inspect", file}, patch}, rest...)
	}
	for _, format := range []string{"gz", "zst", "xz", "lzma", "bz2", "lz4"} {
		fits := func(t *testing.T) (file, m string) {
			file, m = bombArchive(t, bombSegment(t, format, bombLimit*7/8)), bombFile(t, "m.json", nil)
			if code, _, errs := here("manifest", file, "-o", m); code != 0 {
				t.Fatalf("%s: %s", format, errs)
			}
			return file, m
		}
		cases = append(cases, bombCase{"initramfs " + format + " that fits", 0, 0, func(t *testing.T) [][]string {
			file, m := fits(t)
			return verbs(t, format, file, m)
		}}, bombCase{"initramfs " + format + " too large", tooLarge, 0, func(t *testing.T) [][]string {
			_, m := fits(t)
			return verbs(t, format, bombArchive(t, bombSegment(t, format, bombLimit*3)), m)
		}})
	}
	return cases
}

// bombHardLinks is a package with a file that has many names: to read it under each of them would take hours.
func bombHardLinks(t *testing.T) string {
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for i := range 7000 {
		h := &tar.Header{Typeflag: tar.TypeLink, Name: fmt.Sprintf("./usr/%05d", i), Linkname: "./usr/00000", Mode: 0o644}
		if i == 0 {
			h.Typeflag, h.Linkname, h.Size = tar.TypeReg, "", bombLimit/2
		}
		judge.Must(t, w.WriteHeader(h))
		judge.Value(io.CopyN(w, zeros{}, h.Size))(t)
	}
	judge.Must(t, w.Close())
	return bombPackage(t, "gz", packedAs(t, bombTools["gz"], &data))
}

// packageBombs are the same as packages.
func packageBombs(root string) []bombCase {
	cases := []bombCase{{"7,000 names of one file", 0, 0, func(t *testing.T) [][]string {
		file := bombHardLinks(t)
		return [][]string{{"manifest", file}, {"diff", file, file}}
	}}}
	for _, format := range []string{"gz", "zst", "xz", "lzma", "bz2"} {
		for _, c := range []struct {
			what string
			size int64
			code int
		}{{"that fits", bombLimit * 7 / 8, 0}, {"too large", bombLimit * 3, tooLarge}} {
			cases = append(cases, bombCase{"package " + format + " " + c.what, c.code, 0, func(t *testing.T) [][]string {
				file := bombDeb(t, format, c.size)
				verbs := [][]string{{"manifest", file}, {"patch", bombArchive(t, nil), "--root", root, "--deb", file, "--authorized-keys", bombKeys(t)}}
				return judge.Cases(verbs, []string{"diff", file, file})
			}})
		}
	}
	return cases
}
