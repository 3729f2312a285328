//go:build e2e

package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/reflash"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
	"groundhog/fixtures/waiting/faulty"
)

// faultKinds is the matrix.
func faultKinds() []faultKind {
	return []faultKind{
		{"link reset", 8, 60, atByte(func(r *trial) { r.p.Link().Reset() })},
		{"link end", 5, 40, atByte(func(r *trial) { r.p.Link().Finish() })},
		{"link silent", 3, 25, atByte(func(r *trial) { r.p.Link().Cut() })},
		{"link silent for a while", 3, 25, atByte(func(r *trial) {
			r.p.Link().Cut()
			time.AfterFunc(time.Duration(r.rng.IntN(3000))*time.Millisecond, r.p.Link().Heal)
		})},
		{"link silent one way", 4, 25, atByte(func(r *trial) { r.p.Link().CutWay(link.Way(r.rng.IntN(2))) })},
		{"link flips a bit", 7, 50, flipped},
		{"link slow", 3, 20, throttled},
		{"client KILL", 7, 50, signalled(unix.SIGKILL)},
		{"client TERM", 5, 40, signalled(unix.SIGTERM)},
		{"client INT", 5, 40, signalled(unix.SIGINT)},
		{"client HUP", 2, 15, signalled(unix.SIGHUP)},
		{"client STOP", 3, 20, atByte(func(r *trial) {
			pid := int(r.client.Load())
			unix.Kill(pid, unix.SIGSTOP)
			time.AfterFunc(time.Duration(500+r.rng.IntN(5000))*time.Millisecond, func() { unix.Kill(pid, unix.SIGCONT) })
		})},
		{"writer KILL", 6, 50, atByte(func(r *trial) { r.p.Signal("groundhog-writer", unix.SIGKILL) })},
		{"writer TERM", 2, 15, atByte(func(r *trial) { r.p.Signal("groundhog-writer", unix.SIGTERM) })},
		{"writer STOP", 3, 15, atByte(func(r *trial) { r.p.Signal("groundhog-writer", unix.SIGSTOP) })},
		{"session KILL", 5, 40, atByte(killSessions)},
		{"writer and then the power", 3, 30, writerThenPower},
		{"power", 7, 60, powerCut(false)},
		{"power off and on", 3, 25, powerCut(true)},
		{"disk EIO", 5, 40, diskFails(faulty.Error)},
		{"disk drops", 4, 30, diskFails(faulty.Drop)},
		{"disk tears", 4, 30, diskFails(faulty.Tear)},
		{"disk strays", 4, 30, diskFails(faulty.Stray)},
		{"disk flips", 4, 30, diskFails(faulty.Corrupt)},
		{"disk stalls", 3, 15, diskFails(faulty.Stall)},
		{"disk shrinks", 3, 15, shrinks},
		{"image changed", 4, 25, imageChanges(func(r *trial, f *os.File, size int64) error {
			_, err := f.WriteAt([]byte("groundhog was here"), r.rng.Int64N(size-20))
			return err
		})},
		{"image cut", 3, 15, imageChanges(func(r *trial, f *os.File, size int64) error { return f.Truncate(r.rng.Int64N(size)) })},
		{"image grows", 2, 10, imageChanges(func(r *trial, f *os.File, size int64) error {
			_, err := f.WriteAt(make([]byte, 512*(1+r.rng.IntN(4000))), size)
			return err
		})},
		{"image replaced", 3, 15, imageChanges(func(r *trial, f *os.File, _ int64) error {
			other := r.m.pictures[r.rng.IntN(len(r.m.pictures))].files[r.form]
			b, err := os.ReadFile(other)
			if err == nil {
				err = os.WriteFile(f.Name()+".new", b, 0o600)
			}
			if err == nil {
				err = os.Rename(f.Name()+".new", f.Name())
			}
			return err
		})},
		{"image on a pipe that stalls", 2, 10, pipeStalls},
		{"image from a server", 5, 30, fromServer},
		{"index forged", 4, 20, forgedIndex},
		{"run full", 3, 20, runFull},
		{"memory", 3, 20, noMemory},
		{"processor", 2, 10, slowProcessor},
		{"garbage from the device", 4, 25, wrapped(`"$real" "$@" | { head -c N; head -c 4096 /dev/urandom; cat; }`)},
		{"garbage to the device", 3, 20, wrapped(`{ head -c N; head -c 4096 /dev/urandom; cat; } | "$real" "$@"`)},
		{"writer of another version", 2, 10, wrapped(`cat ${0%/*}/hello; exec sleep 60`)},
		{"two clients", 4, 30, twoClients},
		{"taken over", 3, 20, takenOver},
		{"fleet with a bad member", 3, 20, fleetWithBad},
		{"curl", 5, 40, byCurl},
		{"push and the power", 3, 40, bootPower(func(m *matrix) *bootCut { return m.pushed })},
		{"restore and the power", 3, 40, bootPower(func(m *matrix) *bootCut { return m.restored })},
	}
}

// atByte has something happen at a byte of the line.
func atByte(do func(r *trial)) func(*trial) {
	return func(r *trial) {
		r.at(func() { do(r) })
		r.judge(r.flash(impatient), r.look1())
	}
}

// look1 is look, where the link may be silent, too.
func (r *trial) look1() truth {
	w := r.look()
	w.reached = w.on && !strings.HasPrefix(r.kind.name, "link")
	w.stuck = r.kind.name == "writer STOP"
	return w
}

func flipped(r *trial) {
	way, n := r.somewhere()
	r.note("%s disk %d, %s of %s; a bit at byte %d of way %d", r, r.disk, r.form, r.img.name, n, way)
	r.p.Link().FlipWay(way, n)
	r.happened.Store(true)
	r.judge(r.flash(impatient), r.look())
}

func throttled(r *trial) {
	r.note("%s disk %d, %s of %s", r, r.disk, r.form, r.img.name)
	r.p.Link().Shape(link.Shape{Rate: 300_000 + r.rng.Int64N(3<<20), Delay: time.Duration(r.rng.IntN(60)) * time.Millisecond})
	r.happened.Store(true)
	e := r.flash(patient)
	r.judge(e, r.look())
	if e.code != 0 {
		r.problem(wrongVerdict, "a slow link is no reason: exit %d", e.code)
	}
}

func signalled(sig unix.Signal) func(*trial) {
	return func(r *trial) {
		r.at(func() { unix.Kill(int(r.client.Load()), sig) })
		e := r.flash(impatient)
		r.rest()
		w := r.look()
		w.killed, w.interrupted = sig == unix.SIGKILL, sig != unix.SIGKILL
		r.judge(e, w)
	}
}

func killSessions(r *trial) {
	all, _ := r.p.Sessions()
	for _, pid := range all {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// cutsPower is the disk's power and the device's.
func (r *trial) cutsPower(keep float64) {
	if err := r.p.Faulty(1).Cut(keep, r.seed); err != nil {
		r.t.Error(err)
	}
	r.p.PowerOff()
}

func powerCut(again bool) func(*trial) {
	return func(r *trial) {
		keep := float64(r.rng.IntN(3)) / 2 // of what was not flushed none, a half, all is kept
		pause := time.Duration(r.rng.IntN(1500)) * time.Millisecond
		on := make(chan error, 1)
		r.at(func() {
			r.cutsPower(keep)
			if !again {
				on <- nil
				return
			}
			time.AfterFunc(pause, func() {
				err := r.p.Faulty(1).On()
				if err == nil {
					err = r.p.powerOn(r.t.Context())
				}
				on <- err
			})
		})
		e := r.flash(impatient)
		if r.happened.Load() {
			if err := <-on; err != nil {
				r.problem(notTakenUp, "switching it on: %v", err)
			}
		}
		w := r.look()
		w.reached = w.on && !again
		r.judge(e, w)
	}
}

// writerThenPower kills the writer, and cuts the power when the flash is over.
func writerThenPower(r *trial) {
	r.useDisk(1)
	r.at(func() { r.p.Signal("groundhog-writer", unix.SIGKILL) })
	e := r.flash(impatient)
	boots := r.p.Boots()
	w := r.look()
	r.cutsPower(0)
	w.raw = r.raw()
	w.boots = boots
	r.judge(e, w)
}

func diskFails(kind string) func(*trial) {
	return func(r *trial) {
		r.useDisk(1)
		from := r.rng.Int64N(int64(len(r.img.bytes)))
		f := faulty.Fault{Kind: kind, From: from, To: from + 1 + r.rng.Int64N(1<<20), Skip: r.rng.IntN(3), Times: r.rng.IntN(4),
			Read: kind != faulty.Drop && kind != faulty.Tear && r.chance(30)}
		rules := faulty.Rules{Volatile: r.chance(70), Faults: []faulty.Fault{f}}
		r.note("%s %s of %s; %+v", r, r.form, r.img.name, rules)
		k := r.p.Faulty(1)
		before, err := k.Counts()
		if err == nil {
			err = k.Set(rules)
		}
		if err != nil {
			r.t.Error(err)
		}
		e := r.flash(impatient)
		after, err := k.Counts()
		if err != nil {
			r.t.Error(err)
		}
		r.happened.Store(after.Happened > before.Happened)
		w := r.look()
		w.reached, w.stuck = kind != faulty.Stall, kind == faulty.Stall
		r.judge(e, w)
	}
}

func shrinks(r *trial) {
	r.useDisk(0)
	size := r.rng.Int64N(matrixDisk/4096) * 4096
	r.at(func() {
		if err := r.p.Shrink(0, size); err != nil {
			r.t.Error(err)
		}
	})
	e := r.flash(impatient)
	w := r.look()
	if !r.happened.Load() || size >= int64(len(r.img.bytes)) {
		w.raw = append(w.raw, make([]byte, matrixDisk-len(w.raw))...)
	}
	if r.happened.Load() && len(w.raw) == int(size) && bytes.Equal(w.raw, r.before[:size]) {
		w.raw = r.before // it is as this run found it, as far as it is there
	}
	r.judge(e, w)
	if err := r.p.Shrink(0, matrixDisk); err != nil {
		r.t.Error(err)
	}
}

// imageChanges is of a file of the run's own, which something happens to while it is sent.
func imageChanges(do func(r *trial, f *os.File, size int64) error) func(*trial) {
	return func(r *trial) {
		if r.form == "pipe" {
			r.form = "raw"
		}
		stored, err := os.ReadFile(r.img.files[r.form])
		if err != nil {
			r.t.Error(err)
			return
		}
		dir := []string{r.m.memory, r.m.onDisk}[r.rng.IntN(2)]
		r.file = filepath.Join(dir, fmt.Sprintf("own-%d.img", r.seed))
		put := func() {
			if err := os.WriteFile(r.file, stored, 0o600); err != nil {
				r.t.Error(err)
			}
		}
		put()
		r.own = true
		if r.chance(50) {
			r.settle() // its index is kept
		}
		var after []byte
		r.at(func() {
			f, err := os.OpenFile(r.file, os.O_RDWR, 0)
			if err == nil {
				err = do(r, f, int64(len(stored)))
				f.Close()
			}
			if err == nil {
				after, err = os.ReadFile(r.file)
			}
			if err != nil {
				r.t.Error(err)
			}
		})
		e := r.flash(impatient)
		w := r.look()
		w.images = [][]byte{r.img.bytes}
		if r.form == "raw" && after != nil {
			w.images = append(w.images, after)
		}
		for _, p := range r.m.pictures {
			if p.on(w.raw) && bytes.Equal(after, must(os.ReadFile(p.files[r.form]))) {
				w.images = append(w.images, p.bytes)
			}
		}
		r.judge(e, w)
		put()
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// forgedIndex spoils what is kept of images.
func forgedIndex(r *trial) {
	r.form = []string{"raw", "zstd"}[r.rng.IntN(2)]
	r.file = r.img.files[r.form]
	_ = r.flash(patient, "root@127.0.0.1:1") // nobody is there: what the image is gets known
	e := r.flash(slices.Concat(patient, []string{"--check"}))
	r.note("checked: %d", e.code)
	all, _ := filepath.Glob(filepath.Join(r.p.cache, "groundhog", "*.index"))
	for _, name := range all {
		b := must(os.ReadFile(name))
		if len(b) == 0 {
			continue
		}
		switch r.rng.IntN(4) {
		case 0:
			b[r.rng.IntN(len(b))] ^= 1 << r.rng.IntN(8)
		case 1:
			b = b[:r.rng.IntN(len(b))]
		case 2:
			b = must(os.ReadFile(all[r.rng.IntN(len(all))]))
		case 3:
			at := r.rng.IntN(len(b))
			clear(b[at:min(len(b), at+64)])
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			r.t.Error(err)
		}
		r.happened.Store(true)
	}
	e = r.flash(patient)
	r.judge(e, r.look())
	if e.code != 0 {
		r.problem(wrongVerdict, "an index that is not ours is no reason: exit %d", e.code)
	}
}

// pipeStalls is an image on standard input, which says nothing more from some byte on.
func pipeStalls(r *trial) {
	r.form, r.file = "pipe", r.img.files["pipe"]
	n := r.rng.IntN(len(r.img.bytes))
	r.note("%s disk %d, %s; after %d bytes", r, r.disk, r.img.name, n)
	silent, end := io.Pipe()
	r.feed = io.MultiReader(bytes.NewReader(r.img.bytes[:n]), silent)
	r.happened.Store(true)
	e := r.flash(impatient)
	end.Close()
	r.feed = nil
	r.judge(e, r.look())
}

// An imageServer gives images over HTTP, some of them with a fault.
type imageServer struct {
	addr   string
	mu     sync.Mutex
	faults map[string]func(http.ResponseWriter, []byte) // by path
}

func (m *matrix) serve(t *testing.T) {
	m.web.faults = map[string]func(http.ResponseWriter, []byte){}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := os.ReadFile(filepath.Join(m.onDisk, filepath.Base(q.URL.Path)))
		if err != nil {
			http.NotFound(w, q)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		m.web.mu.Lock()
		spoil := m.web.faults[q.URL.Path]
		m.web.mu.Unlock()
		if spoil != nil {
			spoil(w, b)
			return
		}
		w.Write(b)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.CloseClientConnections)
	m.web.addr = s.URL
}

func (s *imageServer) set(path string, spoil func(http.ResponseWriter, []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[path] = spoil
}

// fromServer is an image that a server gives, or not all of it.
func fromServer(r *trial) {
	if r.form == "pipe" {
		r.form = "raw"
	}
	path := fmt.Sprintf("/%d/%s", r.seed, filepath.Base(r.img.files[r.form]))
	r.file = r.m.web.addr + path
	what, part, bit := r.rng.IntN(5), r.rng.Float64(), r.rng.IntN(8)
	over := make(chan struct{})
	r.note("%s disk %d, %s of %s; %d at %.3f", r, r.disk, r.form, r.img.name, what, part)
	r.m.web.set(path, func(w http.ResponseWriter, b []byte) {
		n := int(part * float64(len(b)))
		switch what {
		case 0: // it breaks off
			w.Write(b[:n])
			panic(http.ErrAbortHandler)
		case 1: // it says nothing more
			w.Write(b[:n])
			w.(http.Flusher).Flush()
			<-over
		case 2: // it says nothing at all
			<-over
		case 3: // another length
			w.Header().Set("Content-Length", fmt.Sprint(n))
			w.Write(b[:n])
		case 4: // a bit is another one
			b[n] ^= 1 << bit
			w.Write(b)
		}
	})
	r.happened.Store(true)
	e := r.flash(impatient)
	close(over)
	r.m.web.set(path, nil)
	w := r.look()
	if n := int(part * float64(len(r.img.bytes))); r.form == "raw" && what > 2 { // nobody can know
		other := bytes.Clone(r.img.bytes)
		other[n] ^= 1 << bit
		if what == 3 {
			other = other[:n]
		}
		w.images = [][]byte{r.img.bytes, other}
	}
	r.judge(e, w)
}

// remountRun sets the size of the device's /run.
func (r *trial) remountRun(size string) {
	pid, err := r.p.Inside("/")
	if err != nil {
		return
	}
	pid = strings.Split(pid, "/")[2]
	if out, err := exec.Command("nsenter", "-t", pid, "-m", "-r", "/bin/mount", "-o", "remount,size="+size, "/run").CombinedOutput(); err != nil {
		r.note("remounting /run: %v: %s", err, out)
	}
}

func runFull(r *trial) {
	name, err := r.p.Inside("/run")
	var st unix.Statfs_t
	if err == nil {
		err = unix.Statfs(name, &st)
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	used := (st.Blocks - st.Bfree) * uint64(st.Bsize)
	room := used + uint64(r.rng.IntN(8))*4096
	r.at(func() {})
	r.p.Link().Calm()
	r.remountRun(fmt.Sprint(max(room, 4096)))
	r.happened.Store(true)
	e := r.flash(impatient)
	w := r.look()
	w.reached = false // what the device would say may find no room either
	r.judge(e, w)
	r.remountRun("50%")
}

// noMemory lets what runs on the device have so much memory and no more.
func noMemory(r *trial) {
	all, err := r.p.Processes("dropbear")
	if err != nil {
		r.t.Error(err)
		return
	}
	limit := uint64(4<<20) << r.rng.IntN(8)
	limit += r.rng.Uint64N(limit)
	set := func(n uint64) {
		for pid := range all {
			if err := unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}, nil); err != nil && err != unix.ESRCH {
				r.t.Error(err)
			}
		}
	}
	r.note("%s disk %d, %s of %s; %d bytes", r, r.disk, r.form, r.img.name, limit)
	set(limit)
	r.happened.Store(true)
	e := r.flash(impatient)
	w := r.look()
	w.reached = false
	r.judge(e, w)
	set(unix.RLIM_INFINITY)
}

// slowProcessor lets the writer run a tenth of the time.
func slowProcessor(r *trial) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for stopped := false; ; stopped = !stopped {
			pause := 5 * time.Millisecond
			if stopped {
				pause = 45 * time.Millisecond
				r.p.Signal("groundhog-writer", unix.SIGSTOP)
			} else {
				r.p.Signal("groundhog-writer", unix.SIGCONT)
			}
			select {
			case <-time.After(pause):
			case <-over:
				return
			}
		}
	}()
	r.note("%s disk %d, %s of %s", r, r.disk, r.form, r.img.name)
	r.happened.Store(true)
	e := r.flash(patient)
	close(over)
	<-done
	r.p.Signal("groundhog-writer", unix.SIGCONT)
	r.judge(e, r.look())
	if e.code != 0 {
		r.problem(wrongVerdict, "a slow processor is no reason: exit %d", e.code)
	}
}

// wrapped puts a script in the writer's place, for `serve`; N in it is a number of bytes.
func wrapped(script string) func(*trial) {
	return func(r *trial) {
		writer, err := r.p.Inside("/sbin/groundhog-writer")
		if err != nil {
			r.t.Error(err)
			return
		}
		real := must(os.ReadFile(writer))
		n := r.rng.Int64N(2 << 20)
		if strings.HasPrefix(script, `"$real"`) {
			n = r.rng.Int64N(8000)
		}
		text := "#!/bin/sh\nreal=${0%/*}/groundhog-real\n[ \"$1\" = serve ] || exec \"$real\" \"$@\"\n" + strings.ReplaceAll(script, "N", fmt.Sprint(n)) + "\n"
		var hello bytes.Buffer
		w := wire.NewWriter(&hello)
		if err := wire.SayHello(w, "groundhog-writer"); err != nil {
			r.t.Error(err)
		}
		future := laterVersion(hello.Bytes())
		put := func(name string, b []byte) {
			aside := filepath.Join(filepath.Dir(writer), "."+name)
			if err := judge.WriteProgram(aside, b, 0o755); err != nil {
				r.t.Error(err)
			}
			if err := os.Rename(aside, filepath.Join(filepath.Dir(writer), name)); err != nil {
				r.t.Error(err)
			}
		}
		put("groundhog-real", real)
		put("hello", future)
		put("groundhog-writer", []byte(text))
		r.note("%s disk %d, %s of %s: %s", r, r.disk, r.form, r.img.name, text)
		r.happened.Store(true)
		e := r.flash(impatient)
		w1 := r.look()
		put("groundhog-writer", real)
		r.judge(e, w1)
		r.p.Signal("groundhog-real", unix.SIGKILL)
	}
}

// laterVersion is a hello of a version that is none yet.
func laterVersion(hello []byte) []byte {
	preamble := hello[:16]
	var out bytes.Buffer
	out.Write(preamble)
	if err := wire.NewWriter(&out).Write(wire.Hello, []byte{0, 99}, []byte("groundhog-writer, protocol 99")); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// other is the same trial with another image, for a second client.
func (r *trial) other() *trial {
	o := newTrial(r.kind, r.seed+1)
	o.t, o.m, o.p, o.disk, o.before, o.boots, o.form = r.t, r.m, r.p, r.disk, r.before, r.boots, "raw"
	for o.img = r.img; o.img == r.img || o.img.on(r.before); {
		o.img = r.m.pictures[r.rng.IntN(len(r.m.pictures))]
	}
	o.file = o.img.files["raw"]
	return o
}

// twoClients flash one disk at once.
func twoClients(r *trial) {
	o := r.other()
	began := make(chan struct{})
	r.at(func() { close(began) })
	var second ended
	var over sync.WaitGroup
	end := make(chan struct{})
	over.Go(func() {
		select {
		case <-began:
			second = o.flash(impatient)
		case <-end:
		}
	})
	first := r.flash(impatient)
	close(end)
	over.Wait()
	r.judgeBoth(o, first, second)
}

// judgeBoth holds what two clients said against the disk.
func (r *trial) judgeBoth(o *trial, first, second ended) {
	w := r.look()
	w.others = true
	r.log.Write(o.log.Bytes())
	says := func(e ended, state reflash.State) bool { return len(e.verdicts) == 1 && e.verdicts[0].State == state }
	mine, theirs := r.img.on(w.raw), o.img.on(w.raw)
	switch {
	case first.hung || second.hung:
		r.problem(hangsForever, "not over after %s", trialBound)
	case len(first.verdicts) != 1 || len(second.verdicts) != 1 && second.err+second.out != "":
		r.problem(unsaidVerdict, "%d and %d verdicts", len(first.verdicts), len(second.verdicts))
	case says(first, reflash.Verified) && !says(second, reflash.Verified) && !mine,
		says(second, reflash.Verified) && !says(first, reflash.Verified) && !theirs,
		says(first, reflash.Verified) && says(second, reflash.Verified) && !mine && !theirs:
		r.problem(wrongVerdict, "verified, and the disk has another image")
	case (says(first, reflash.Waiting) || says(second, reflash.Waiting)) && !w.writing && !mine && !theirs:
		r.problem(wrongVerdict, "waiting, and it does not")
	case (says(first, reflash.Replaced) || says(first, reflash.Busy)) && !theirs && !w.writing && !mine:
		r.problem(wrongVerdict, "nobody replaced it")
	}
}

// takenOver is a client that stands still while its connection is lost and another one flashes: it does not write over that unasked.
func takenOver(r *trial) {
	o := r.other()
	stopped := make(chan struct{})
	r.at(func() {
		unix.Kill(int(r.client.Load()), unix.SIGSTOP)
		killSessions(r)
		r.p.Link().Reset()
		close(stopped)
	})
	var second ended
	var over sync.WaitGroup
	end := make(chan struct{})
	over.Go(func() {
		select {
		case <-stopped:
			second = o.flash(patient)
			unix.Kill(int(r.client.Load()), unix.SIGCONT)
		case <-end:
		}
	})
	first := r.flash(patient)
	close(end)
	over.Wait()
	r.judgeBoth(o, first, second)
}

// fleetWithBad are four devices, one of which nobody answers for and one of which something befalls.
func fleetWithBad(r *trial) {
	pair := <-r.m.spare
	defer func() { r.m.spare <- pair }()
	for r.img.on(r.before) || r.img.on(must(os.ReadFile(pair[0].Disk(r.disk)))) || r.img.on(must(os.ReadFile(pair[1].Disk(r.disk)))) {
		r.img = r.m.pictures[r.rng.IntN(len(r.m.pictures))]
	}
	r.file = r.img.files[r.form]
	switch r.rng.IntN(3) {
	case 0:
		r.at(func() { r.p.Link().Cut() })
	case 1:
		r.at(func() { r.cutsPower(0.5) })
	case 2:
		r.at(func() { r.p.Signal("groundhog-writer", unix.SIGKILL); r.p.Link().Reset() })
	}
	const nobody = "root@127.0.0.1:1"
	e := r.flash(impatient, r.p.target(), pair[0].target(), nobody, pair[1].target())
	all := e.verdicts
	if len(all) != 4 {
		r.problem(unsaidVerdict, "%d verdicts of four", len(all))
		return
	}
	for _, v := range all {
		switch v.Host {
		case r.p.target():
			w := r.look()
			w.reached = false
			own := e
			own.verdicts, own.code = []saidVerdict{v}, codeOf[v.Verdict]
			r.judge(own, w)
		case nobody:
			if v.Verdict != "unreachable" || v.State != reflash.Untouched {
				r.problem(wrongVerdict, "of a device that is not there: %+v", v)
			}
		default:
			p := pair[0]
			if v.Host == pair[1].target() {
				p = pair[1]
			}
			if holds := r.img.on(must(os.ReadFile(p.Disk(r.disk)))); v.State != reflash.Verified || !holds {
				r.problem(wrongVerdict, "of a good device: %+v, and it has the image: %v", v, holds)
			}
		}
	}
}

// byCurl is the way without the writer.
func byCurl(r *trial) {
	r.args = []string{"--via", "curl"}
	way, n := link.There, r.rng.Int64N(int64(len(r.img.bytes)))
	if r.chance(40) {
		way, n = link.Back, r.rng.Int64N(20_000)
	}
	what := r.rng.IntN(5)
	r.note("%s disk %d, %s of %s; %d at byte %d of way %d", r, r.disk, r.form, r.img.name, what, n, way)
	r.p.Link().At(way, n, func() {
		r.happened.Store(true)
		switch what {
		case 0:
			r.p.Link().Reset()
		case 1:
			r.p.Link().Finish()
		case 2:
			unix.Kill(int(r.client.Load()), unix.SIGKILL)
		case 3:
			unix.Kill(int(r.client.Load()), unix.SIGTERM)
		case 4:
			r.p.Signal("curl", unix.SIGKILL)
		}
	})
	e := r.flash(impatient)
	r.rest()
	w := r.look()
	w.reached = false
	w.killed, w.interrupted = what == 2, what == 3
	r.judge(e, w)
	r.args = nil
}
