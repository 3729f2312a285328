//go:build e2e

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/image/index"
	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
	"groundhog/fixtures/waiting/faulty"
)

// A trial is one run of the matrix: a flash that a fault befalls, and the same flash again.
type trial struct {
	kind faultKind
	seed uint64
	rng  *rand.Rand

	t *testing.T
	m *matrix
	p *place

	disk   int          // that is written to
	img    *picture     // what is written
	form   string       // of the image: raw, zstd, gzip, xz or pipe
	file   string       // where it is
	feed   io.Reader    // what standard input is; nil: the file, through a pipe
	args   []string     // more of the command line
	before []byte       // the disk
	boots  int          // of the device, before
	client atomic.Int64 // its process

	elsewhere bool // nothing was flashed
	own       bool // the file is this run's alone

	happened atomic.Bool
	problems []string // what, and about it
	log      bytes.Buffer
	took     time.Duration
}

func newTrial(k faultKind, seed uint64) *trial {
	return &trial{kind: k, seed: seed, rng: rand.New(rand.NewPCG(seed, 1))}
}

func (r *trial) String() string { return fmt.Sprintf("%s/%d", r.kind.name, r.seed) }

// verdicts are what is wrong with the run, at most one of them; none if it is right.
func (r *trial) verdicts() []string {
	for _, what := range []string{wrongVerdict, hangsForever, unsaidVerdict, notTakenUp} {
		if slices.ContainsFunc(r.problems, func(p string) bool { return strings.HasPrefix(p, what+": ") }) {
			return []string{what}
		}
	}
	return nil
}

func (r *trial) problem(what, format string, args ...any) {
	text := fmt.Sprintf(what+": "+format, args...)
	r.problems = append(r.problems, text)
	r.note("!! %s", text)
}

func (r *trial) note(format string, args ...any) { fmt.Fprintf(&r.log, format+"\n", args...) }

// run does it all.
func (r *trial) run() {
	began := time.Now()
	r.begin()
	r.kind.try(r)
	if !r.elsewhere {
		r.mend()
		r.again()
	}
	r.took = time.Since(began)
	if r.own {
		os.Remove(r.file)
	}
	if len(r.problems) > 0 {
		r.t.Errorf("%s\n%s", r, r.log.String())
	}
	r.before, r.log = nil, bytes.Buffer{} // a thousand runs of this size are more than a machine has room for
}

// begin chooses what is written where. The kind may choose something else.
func (r *trial) begin() {
	r.boots = r.p.Boots()
	disk := r.rng.IntN(2)
	r.img = r.m.pictures[r.rng.IntN(len(r.m.pictures))]
	forms := []string{"raw", "raw", "raw", "zstd", "gzip", "xz", "pipe"}
	r.form = forms[r.rng.IntN(len(forms))]
	r.useDisk(disk)
	if r.rng.IntN(3) == 0 { // what is known of images is forgotten
		os.RemoveAll(r.p.cache)
	}
}

// useDisk has a disk written to, with an image that is not on it.
func (r *trial) useDisk(n int) {
	r.disk = n
	r.before = r.raw()
	for r.img.on(r.before) {
		r.img = r.m.pictures[r.rng.IntN(len(r.m.pictures))]
	}
	r.file = r.img.files[r.form]
}

// settle waits until the image's file is old enough for its state to tell of every further write.
func (r *trial) settle() {
	f, err := os.Open(r.file)
	if err == nil {
		_, _, err = index.Settle(r.t.Context(), f)
		f.Close()
	}
	if err != nil {
		r.t.Error(err)
	}
}

// rest waits until the device is through with what it was told before its client was gone.
func (r *trial) rest() {
	judge.Until(r.t, r.String()+": nobody writes on the device", func() bool {
		for _, program := range []string{"groundhog-writer", "dd"} {
			if all, err := r.p.Processes(program); err == nil && len(all) > 0 {
				return false
			}
		}
		return true
	})
}

// raw is what the disk holds, from outside.
func (r *trial) raw() []byte {
	b, err := os.ReadFile(r.p.Disk(r.disk))
	if err != nil {
		r.t.Error(err)
	}
	return b
}

// chance is so many in a hundred.
func (r *trial) chance(percent int) bool { return r.rng.IntN(100) < percent }

// ended is how a command went.
type ended struct {
	code     int
	verdicts []saidVerdict
	out, err string
	took     time.Duration
	hung     bool
}

// saidVerdict is a line of --json that is one.
type saidVerdict struct {
	Event, Host, Verdict, Text, Hint string
	State                            reflash.State
	Data                             struct{ Image, Content string }
}

// impatient are the bounds of a flash that something befalls.
var impatient = []string{"--patience", "4s", "--connect-timeout", "3s", "--login-timeout", "10s", "--command-timeout", "15s"}

// patient are those of the same flash afterwards.
var patient = []string{"--patience", "90s"}

// trialBound is far beyond all bounds, on a machine that has much else to do.
const trialBound = 3 * time.Minute

func (r *trial) commandLine(bounds []string, hosts ...string) []string {
	args := slices.Concat([]string{"flash", "--json", "--ssh-config", "none", "--identity", r.m.login.Key, "--known-hosts", r.m.login.KnownHosts,
		"--target", "serial:" + diskSerials[r.disk]}, bounds, r.args)
	if len(hosts) == 0 {
		hosts = []string{r.p.target()}
	}
	name := r.file
	if r.form == "pipe" {
		name = "-"
	}
	return append(append(args, hosts...), name)
}

// flash runs the command to its end.
func (r *trial) flash(bounds []string, hosts ...string) ended {
	e, wait := r.start(r.commandLine(bounds, hosts...))
	wait()
	return *e
}

// start starts groundhog; wait waits for its end.
func (r *trial) start(args []string) (e *ended, wait func()) {
	e = &ended{code: -1}
	cmd := exec.Command("groundhog", args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+r.p.cache, "XDG_STATE_HOME="+r.p.cache+".state", "TMPDIR="+r.m.memory, "LC_ALL=C")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = 10 * time.Second
	if r.form == "pipe" {
		f, err := os.Open(r.file)
		if err != nil {
			r.problem(wrongVerdict, "%v", err)
			return e, func() {}
		}
		defer f.Close()
		in, feed, err := os.Pipe()
		if err != nil {
			r.problem(wrongVerdict, "%v", err)
			return e, func() {}
		}
		cmd.Stdin = in
		var from io.Reader = bytes.NewReader(must(io.ReadAll(f)))
		if r.feed != nil {
			from = r.feed
		}
		go func() { io.Copy(feed, from); feed.Close() }()
		defer in.Close()
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		r.problem(wrongVerdict, "%v", err)
		return e, func() {}
	}
	r.client.Store(int64(cmd.Process.Pid))
	return e, func() {
		late := time.AfterFunc(trialBound, func() {
			e.hung = true
			cmd.Process.Signal(syscall.SIGQUIT) // it says where it waits
			time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		})
		cmd.Wait()
		late.Stop()
		r.client.Store(0)
		e.code, e.took, e.out, e.err = cmd.ProcessState.ExitCode(), time.Since(began), out.String(), said.String()
		for line := range strings.Lines(e.out) {
			var v saidVerdict
			if json.Unmarshal([]byte(line), &v) == nil && v.Event == reflash.EventVerdict {
				e.verdicts = append(e.verdicts, v)
			}
		}
		r.note("groundhog %s: exit %d after %s\n%s%s", strings.Join(args, " "), e.code, e.took.Round(time.Millisecond), e.out, e.err)
	}
}

// somewhere is a byte of the line at which something may happen: anywhere, or where a connection begins.
func (r *trial) somewhere() (link.Way, int64) {
	switch n := r.rng.IntN(10); {
	case n < 5:
		return link.There, r.rng.Int64N(r.p.sent)
	case n < 7:
		return link.There, r.rng.Int64N(60_000)
	}
	return link.Back, r.rng.Int64N(r.p.returned)
}

// at has something happen at a byte of the line.
func (r *trial) at(do func()) {
	way, n := r.somewhere()
	r.note("%s disk %d, %s of %s; at byte %d of way %d", r, r.disk, r.form, r.img.name, n, way)
	r.p.Link().At(way, n, func() {
		r.happened.Store(true)
		do()
	})
}

// A truth is what is known of the device besides its disk when a run ends.
type truth struct {
	on      bool
	reached bool // it could have been asked
	boots   int
	writing bool // it holds the disk for half written
	raw     []byte

	stuck       bool     // its writer is, and may or may not write yet
	others      bool     // another flash was at work
	interrupted bool     // we were told to stop
	killed      bool     // we were
	images      [][]byte // what may be called the image; nil: img
}

// look finds the truth out.
func (r *trial) look() truth {
	w := truth{on: r.p.Ended() == "", boots: r.p.Boots()}
	w.reached = w.on
	w.writing = r.isWriting()
	w.raw = r.raw()
	w.writing = w.writing || r.isWriting() // a writer whose client was killed may be at its last words
	return w
}

// isWriting reports whether the device holds the disk for half written.
func (r *trial) isWriting() bool {
	name, err := r.p.Inside("/run/groundhog/writing")
	if err != nil {
		return false
	}
	b, _ := os.ReadFile(name)
	return strings.Contains(string(b), " "+diskPaths[r.disk]+"\n")
}

// codeOf is the exit code that each verdict has.
var codeOf = map[string]int{"done": 0, "refused": 1, "different": 1, "trouble": 2, "unreachable": 3, "interrupted": 130}

// judge holds what was said against the truth.
func (r *trial) judge(e ended, w truth) {
	if e.hung {
		r.problem(hangsForever, "not over after %s", trialBound)
		return
	}
	images := w.images
	if images == nil {
		images = [][]byte{r.img.bytes}
	}
	holds, begins := false, false
	for _, b := range images {
		holds = holds || len(w.raw) >= len(b) && bytes.Equal(w.raw[:len(b)], b)
		begins = begins || len(w.raw) >= 1<<20 && len(b) >= 1<<20 && bytes.Equal(w.raw[:1<<20], b[:1<<20]) && !bytes.Equal(r.before[:1<<20], b[:1<<20])
	}
	same := bytes.Equal(w.raw, r.before)
	r.note("-- the disk has the image: %v, is as it was: %v; writing: %v; on: %v, reached: %v, boots %d and then %d", holds, same, w.writing, w.on, w.reached, r.boots, w.boots)
	if begins && !holds {
		r.problem(wrongVerdict, "the disk begins as the image does, and has not all of it")
	}
	if !holds && !same && w.on && w.boots == r.boots && !w.writing && !w.others {
		r.problem(wrongVerdict, "the disk is neither old nor new, and nothing keeps the device from booting")
	}
	if len(e.verdicts) == 0 && w.killed && e.code == -1 {
		return // nobody was left to say anything
	}
	if len(e.verdicts) != 1 {
		r.problem(unsaidVerdict, "%d verdicts", len(e.verdicts))
		return
	}
	r.judgeVerdict(e.verdicts[0], e.code, w, holds, same)
}

func (r *trial) judgeVerdict(v saidVerdict, code int, w truth, holds, same bool) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			r.problem(wrongVerdict, v.Verdict+", "+string(v.State)+": "+format, args...)
		}
	}
	want, known := codeOf[v.Verdict]
	wrong(!known || want != code && !((w.killed || w.interrupted) && code == -1), "exit %d", code) // a signal behind the verdict ends it, too
	wrong(v.Text == "", "no words")
	wrong(v.Verdict == "trouble" && v.Hint == "", "no hint")
	wrong(v.Verdict == "done" && v.State != reflash.Verified && v.State != reflash.Starting, "done, and not verified")
	wrong(v.Verdict == "interrupted" && !w.interrupted, "nobody interrupted it")
	wrong((v.Verdict == "refused" || v.Verdict == "unreachable") && !same && !w.others, "something was written")
	switch v.State {
	case reflash.Verified, reflash.Starting: // it starts where the power came and went behind the last byte, before the disk was looked at
		wrong(!holds, "the disk has not the image")
		wrong(v.State == reflash.Starting && w.boots == r.boots, "it still waits")
		image := r.imageOn(w)
		if sums := r.sumsOf(image); v.Verdict == "done" && v.Data.Image != "" && !slices.Contains(sums, v.Data.Image) {
			wrong(true, "it names image %s, and what the disk holds is stored as %s", v.Data.Image, sums)
		}
		if content := contentOf(image); v.Verdict == "done" && v.Data.Content != content {
			wrong(true, "it names content %s, the disk holds %s", v.Data.Content, content)
		}
	case reflash.Untouched:
		wrong(!same && !w.others, "the disk is another one")
	case reflash.Busy:
		wrong(!w.others, "nobody else was at work")
	case reflash.Waiting:
		wrong(!w.on || w.boots != r.boots, "the device is off, or has booted again")
		wrong(w.on && w.boots == r.boots && !w.writing && !w.stuck, "the device does not hold its disk for half written")
	case reflash.Rebooted:
		wrong(w.boots == r.boots, "it has not")
	case reflash.Unknown:
		wrong(w.on && w.reached && w.boots == r.boots, "the device could have been asked")
	case reflash.Replaced:
		wrong(!w.others, "nobody else was at work")
	default:
		wrong(true, "no state of a flash")
	}
}

// imageOn is the image that the disk has, as long as what is written is.
func (r *trial) imageOn(w truth) []byte {
	for _, b := range w.images {
		if len(w.raw) >= len(b) && bytes.Equal(w.raw[:len(b)], b) {
			return b
		}
	}
	return w.raw[:min(len(r.img.bytes), len(w.raw))]
}

// sumsOf is what sha256sum has of the files that an image is stored in, in this trial's form.
func (r *trial) sumsOf(image []byte) (sums []string) {
	var stored [][]byte
	if r.form == "raw" || r.form == "pipe" {
		stored = append(stored, image)
	}
	for _, p := range r.m.pictures {
		if bytes.Equal(p.bytes, image) {
			stored = append(stored, must(os.ReadFile(p.files[r.form])))
		}
	}
	if r.own {
		stored = append(stored, must(os.ReadFile(r.file)))
	}
	for _, b := range stored {
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(b)))
	}
	return sums
}

// contentOf is what a verdict calls the content of an image.
func contentOf(image []byte) string {
	var all []chunk.Chunk
	for n := 0; n < len(image); n += chunk.Size {
		all = append(all, chunk.Of(int64(n/chunk.Size), image[n:min(len(image), n+chunk.Size)]))
	}
	sum := chunk.SumOfAll(all)
	return hex.EncodeToString(sum[:])
}

// mend takes the fault away.
func (r *trial) mend() {
	l := r.p.Link()
	l.Calm()
	l.Shape(link.Shape{})
	l.Heal()
	r.p.Signal("groundhog-writer", unix.SIGCONT)
	k := r.p.Faulty(1)
	if err := errors.Join(k.Set(faulty.Rules{Volatile: true}), k.On()); err != nil {
		r.t.Error(err)
	}
	if r.p.Ended() != "" {
		if err := r.p.powerOn(r.t.Context()); err != nil {
			r.problem(notTakenUp, "switching it on: %v", err)
		}
	}
	r.boots = r.p.Boots()
}

// again is the same flash, without a fault.
func (r *trial) again() {
	for began := time.Now(); ; {
		r.before, r.boots = r.raw(), r.p.Boots()
		sent, returned := r.p.Link().Sent(), r.p.Link().Returned()
		e := r.flash(patient)
		w := r.look()
		r.judge(e, w)
		if e.code == 0 {
			r.p.sent, r.p.returned = max(r.p.sent, r.p.Link().Sent()-sent), max(r.p.returned, r.p.Link().Returned()-returned)
			return
		}
		if len(r.problems) > 0 || time.Since(began) > trialBound {
			r.problem(notTakenUp, "exit %d", e.code)
			r.p.restart(r.t)
			return
		}
	}
}

// A picture is an image, in the forms that it may come in.
type picture struct {
	name  string
	bytes []byte
	files map[string]string
}

func (p *picture) on(raw []byte) bool {
	return len(raw) >= len(p.bytes) && bytes.Equal(raw[:len(p.bytes)], p.bytes)
}

func newPicture(t *testing.T, dir, name string, b []byte) *picture {
	file := filepath.Join(dir, name+".img")
	judge.WriteFile(t, file, b)
	p := &picture{name, b, map[string]string{"raw": file, "pipe": file}}
	for form, tool := range map[string][]string{"zstd": {"zstd", "-q"}, "gzip": {"gzip", "-1"}, "xz": {"xz", "-0"}} {
		p.files[form] = packed(t, file, tool...)
	}
	return p
}

// newPictures are images of some MiB of which no two share a first MiB: noise, text, zeros, and one with the same blocks elsewhere.
func newPictures(t *testing.T, dir string) (all []*picture) {
	make1 := func(seed byte, size int) []byte {
		b := make([]byte, size)
		rand.NewChaCha8([32]byte{seed}).Read(b)
		clear(b[446:510]) // of the table
		b[510], b[511] = 0x55, 0xaa
		copy(b[1<<20:2<<20], bytes.Repeat([]byte(fmt.Sprintf("groundhog %d ", seed)), 1<<20))
		clear(b[2<<20 : 3<<20])
		return b
	}
	for seed := range byte(3) {
		all = append(all, newPicture(t, dir, fmt.Sprintf("picture%d", seed), make1(seed+1, 4<<20+int(seed)*20480+512)))
	}
	moved := make1(9, 4<<20+8192)
	copy(moved[3<<20+4096:], all[0].bytes[3<<20:4<<20])
	copy(moved[1<<20+8192:2<<20], all[1].bytes[3<<20:])
	return append(all, newPicture(t, dir, "moved", moved))
}
