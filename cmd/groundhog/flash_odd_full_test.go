//go:build full

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
	"groundhog/fixtures/waiting"
)

// through is what a tool makes of its standard input.
func through(t *testing.T, in []byte, tool ...string) []byte {
	t.Helper()
	cmd := exec.Command(judge.Tool(t, tool[0]), tool[1:]...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v: %s", tool, err, said.String())
	}
	return out.Bytes()
}

// outcome holds a run's end against the disk: a success where it is the image, else no word of one; and what is refused, with 1, has
// changed nothing.
func (s *spare) outcome(what string, code, want int, out string, plain []byte, before string) {
	s.t.Helper()
	if code != want || (code == 0) != strings.Contains(out, "verified: ") {
		s.t.Errorf("%s: exit %d, want %d", what, code, want)
	}
	disk := []byte(string(judge.ReadFile(s.t, s.Disk(0))))
	if code == 0 && !bytes.HasPrefix(disk, plain) {
		s.t.Errorf("%s: verified, and the disk does not hold the image", what)
	}
	if code == exitNo && sha256Of(s.t, s.Disk(0)) != before {
		s.t.Errorf("%s: refused, and the disk is another than before", what)
	}
}

// An image comes as whatever its tools make of it, as several pieces, or as none: each is what the tool says it is, or refused by name.
func TestFlashOddInputs(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 16}}})
	dir := t.TempDir()
	a, b := []byte(string(judge.ReadFile(t, noiseImage(t, 51, 12)))), []byte(string(judge.ReadFile(t, noiseImage(t, 52, 12))))
	zst := func(p []byte, more ...string) []byte {
		return through(t, p, append([]string{"zstd", "-q", "-c"}, more...)...)
	}
	skip := func(n int) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{0x5a, 0x2a, 0x4d, 0x18}, uint32(n)), make([]byte, n)...)
	}
	half := len(a) / 2
	dict := filepath.Join(dir, "dict")
	judge.WriteFile(t, dict, string(a[:100_000]))
	xz := func(p []byte) []byte { return through(t, p, "xz", "-0", "-c") }
	gz := func(p []byte) []byte { return through(t, p, "gzip", "-1", "-c") }
	join := func(all ...[]byte) []byte { return bytes.Join(all, nil) }
	for i, c := range []struct {
		what string
		file func(p []byte) []byte
		want int
		text string
		less int // the image is so many bytes shorter
	}{
		{"zst, no content size", func(p []byte) []byte { return zst(p) }, 0, "", 0},
		{"zst, two frames", func(p []byte) []byte { return join(zst(p[:half]), zst(p[half:])) }, 0, "", 0},
		{"zst, skippable frames", func(p []byte) []byte {
			return join(skip(0), skip(70_000), zst(p[:half]), skip(3), zst(p[half:]), skip(1<<20))
		}, 0, "", 0},
		{"zst, a frame with nothing", func(p []byte) []byte { return join(zst(nil), zst(p), zst(nil)) }, 0, "", 0},
		{"zst, a dictionary that has no number", func(p []byte) []byte { return zst(p, "-D", dict) }, exitNo, "zstd: ", 0},
		{"zst, --long=31", func(p []byte) []byte { return zst(p, "--ultra", "--long=31") }, exitNo, "window of more than 128 MiB", 0},
		{"zst, --long=27", func(p []byte) []byte { return zst(p, "--long=27") }, 0, "", 0},
		{"zst and garbage", func(p []byte) []byte { return join(zst(p), []byte("garbage")) }, exitNo, "zstd: ", 0},
		{"xz, two streams and padding", func(p []byte) []byte { return join(xz(p[:half]), make([]byte, 8), xz(p[half:]), make([]byte, 4)) }, 0, "", 0},
		{"xz, padding that is none", func(p []byte) []byte { return join(xz(p[:half]), make([]byte, 6), xz(p[half:])) }, exitNo, "xz: ", 0},
		{"gz, two members", func(p []byte) []byte { return join(gz(p[:half]), gz(p[half:])) }, 0, "", 0},
		{"gz and zeros", func(p []byte) []byte { return join(gz(p), make([]byte, 512)) }, 0, "", 0},
		{"empty", func(p []byte) []byte { return nil }, exitNo, "empty", 0},
		{"not a multiple of 512", func(p []byte) []byte { return p }, 0, "", 100},
		{"zst, not a multiple of 512", func(p []byte) []byte { return zst(p) }, 0, "", 100},
		{"not a multiple of 4096", func(p []byte) []byte { return p }, 0, "", 512},
		{"zst, not a multiple of 4096", func(p []byte) []byte { return zst(p) }, 0, "", 1536},
	} {
		plain := a
		if i%2 == 1 {
			plain = b
		}
		plain = plain[:len(plain)-c.less]
		name := filepath.Join(dir, "image")
		judge.WriteFile(t, name, string(c.file(plain)))
		before := sha256Of(t, s.Disk(0))
		code, out := s.flash(goodDisk, name)
		s.outcome(c.what, code, c.want, out, plain, before)
		if !strings.Contains(out, c.text) {
			t.Errorf("%s: it does not say %q", c.what, c.text)
		}
	}
	zeros := filepath.Join(dir, "zeros")
	command(t, "truncate", "-s", "12M", zeros)
	before := sha256Of(t, s.Disk(0))
	code, out := s.flash(goodDisk, zeros)
	s.outcome("zeros", code, exitNo, out, nil, before)
	code, out = s.flash(goodDisk, zeros, "--force")
	s.outcome("zeros, forced", code, 0, out, make([]byte, 12<<20), before)
	before = sha256Of(t, s.Disk(0))
	fifo := filepath.Join(dir, "fifo")
	command(t, "mkfifo", fifo)
	for _, what := range []string{dir, "/dev/null", "/dev/zero", fifo} {
		for _, more := range [][]string{nil, {"--force"}} {
			code, out = s.flash(goodDisk, what, more...)
			s.outcome(what, code, exitTrouble, out, nil, before)
			if !strings.Contains(out, "neither a file nor a disk") || sha256Of(t, s.Disk(0)) != before {
				t.Errorf("%s: it is not refused by name", what)
			}
		}
	}
}

// A disk is as large as the image, larger by one block or a part of one, or smaller by a byte, with sectors of either size.
func TestFlashOddSizes(t *testing.T) {
	t.Parallel()
	img, other := noiseImage(t, 53, 12), noiseImage(t, 54, 12)
	const size = 12 << 20
	var s *spare
	for _, sector := range []int{512, 4096} {
		for _, c := range []struct {
			size int64
			want int
		}{{size, 0}, {size + int64(sector), 0}, {size + 1, 0}, {size - 1, exitNo}, {size - int64(sector), exitNo}} {
			raw := filepath.Join(t.TempDir(), "raw")
			command(t, "truncate", "-s", fmt.Sprint(c.size), raw)
			o := waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, Raw: raw, Sector: sector}}}
			if s == nil {
				s = startSpare(t, o)
			} else {
				s = spareOf(t, s.archive, s.login.Key, o)
			}
			if got := s.says("cat /sys/block/vda/queue/logical_block_size || blockdev --getss /dev/vda"); got != fmt.Sprint(sector) {
				t.Errorf("sectors of %s bytes, want %d", got, sector)
			}
			before := sha256Of(t, raw)
			code, out := s.flash(goodDisk, img)
			s.outcome(fmt.Sprintf("%d bytes in sectors of %d", c.size, sector), code, c.want, out, []byte(string(judge.ReadFile(t, img))), before)
			if c.size == size { // what does not fill its last block
				for i, less := range []int{100, 512, 4096 + 512} {
					short := filepath.Join(t.TempDir(), "short")
					judge.WriteFile(t, short, string(judge.ReadFile(t, []string{other, img}[i%2]))[:size-less])
					code, out := s.flash(goodDisk, short)
					s.outcome(fmt.Sprintf("%d bytes fewer in sectors of %d", less, sector), code, 0, out, []byte(string(judge.ReadFile(t, short))), "")
				}
			}
			s.PowerOff()
		}
	}
}

// Our side is killed at any moment of the next build's flash, and the build after it comes next.
func TestFlashThirdBuild(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 16}}})
	builds := []string{movedImage(t, 0), movedImage(t, 1), movedImage(t, 2), movedImage(t, 3)}
	code, out := s.flash(goodDisk, builds[0])
	s.verified("the first", code, out, builds[0])
	s.Link().Shape(link.Shape{Rate: 1 << 20})
	const kills = 16
	killed := 0
	for i := range kills {
		cmd := exec.Command("groundhog", s.args(goodDisk, builds[(2*i+1)%4])...)
		judge.Must(t, cmd.Start())
		over := make(chan struct{})
		go func() { cmd.Wait(); close(over) }()
		s.sent(over, 5_000+int64(rand.IntN(1_000_000)))
		cmd.Process.Kill()
		<-over
		third := builds[(2*i+2)%4]
		if !cmd.ProcessState.Exited() {
			killed++
		}
		code, out := s.flash(goodDisk, third)
		for code != 0 && strings.Contains(out, "another flash is at work") && s.ctx.Err() == nil { // the killed one's writer has not noticed yet
			code, out = s.flash(goodDisk, third)
		}
		s.verified("the third build", code, out, third)
	}
	if t.Logf("killed at work: %d of %d", killed, kills); killed < kills/2 {
		t.Errorf("of %d flashes %d were killed at work", kills, killed)
	}
}

// movedImage is the n-th build of an image: what it has in common with the others lies elsewhere, by whole blocks, in another order.
func movedImage(t *testing.T, n int) string {
	t.Helper()
	b := []byte(string(judge.ReadFile(t, noiseImage(t, 61, 12))))
	const run = 40 << 10
	head, body := b[:4096], b[4096:4096+run*300]
	out := bytes.Clone(head)
	for _, i := range rand.New(rand.NewPCG(uint64(n), 1)).Perm(300) {
		out = append(out, body[i*run:(i+1)*run]...)
	}
	fresh := make([]byte, 1<<20-4096+12345&^511)
	rand.NewChaCha8([32]byte{99, byte(n)}).Read(fresh)
	name := filepath.Join(t.TempDir(), fmt.Sprintf("build%d.img", n))
	judge.WriteFile(t, name, string(append(out, fresh...)))
	return name
}

// What is kept of an image is of another one with the same name, size and time, or cannot be kept.
func TestFlashOddCache(t *testing.T) {
	t.Parallel()
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: 16}}})
	a, b := noiseImage(t, 91, 12), noiseImage(t, 92, 12)
	dir := t.TempDir()
	img, cache := filepath.Join(dir, "image"), filepath.Join(dir, "cache")
	flash := func(before, what, plain string) {
		t.Helper()
		script := before + "\nexec groundhog \"$@\""
		cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh"}, s.args(goodDisk, img)...)...)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
		out, _ := cmd.CombinedOutput()
		t.Logf("%s: %s", what, out)
		s.verified(what, cmd.ProcessState.ExitCode(), string(out), plain)
	}
	old := time.Now().Add(-time.Hour)
	put := func(from string) {
		t.Helper()
		judge.WriteFile(t, img, string(judge.ReadFile(t, from)))
		judge.Must(t, os.Chtimes(img, old, old))
	}
	put(a)
	flash("", "first", a)
	put(b)
	flash("", "another one with the same size and time, written in place", b)
	judge.Must(t, os.Remove(img))
	put(a)
	flash("", "another one with the same size and time, by another inode", a)
	flash("mkdir -p "+cache+"; mount -t tmpfs -o ro none "+cache, "the cache cannot be written to", a)
	put(b)
	flash("mkdir -p "+cache+"; mount -t tmpfs -o ro none "+cache, "the cache cannot be written to", b)
	put(a)
	flash("mkdir -p "+cache+"; mount -t tmpfs -o size=4k none "+cache+"; dd if=/dev/zero of="+cache+"/full bs=4k 2>/dev/null", "the cache is full", a)
	put(b)
	flash("rm -rf "+cache+"; : >"+cache, "the cache is a file", b)
	os.Remove(cache)
	put(a)
	s.Link().Shape(link.Shape{Rate: 3 << 20})
	over := make(chan struct{})
	go func() { s.sent(over, 2<<20); os.RemoveAll(cache) }()
	flash("", "the cache goes meanwhile", a)
	close(over)
	put(b)
	flash("", "kept again", b)
	flash("for f in "+cache+"/groundhog/*.index; do head -c 100 /dev/urandom >$f; done", "what is kept is damaged", b)
}
