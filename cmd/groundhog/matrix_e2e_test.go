//go:build e2e

package main

import (
	"bytes"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

var (
	matrixSeed = flag.Uint64("matrix.seed", 0, "where the fault matrix' runs get their seeds from; 0: another one each time")
	matrixFor  = flag.Duration("matrix.for", 0, "begin no run of the fault matrix after so long; 0: all of them")
	matrixRun  = flag.String("matrix.run", "", "run these of the fault matrix alone, KIND or KIND/SEED, with commas between them")
)

// A faultKind is a fault that befalls a flash, and how often it is tried: in each run of the tests, and where nothing is left out.
type faultKind struct {
	name      string
	few, many int
	try       func(r *trial)
}

// What a run of the matrix may be: right, or one of these.
const (
	wrongVerdict  = "wrong"  // what it said is not so
	hangsForever  = "hang"   // it did not end within its bounds
	unsaidVerdict = "unsaid" // it ended without a word on the device
	notTakenUp    = "stuck"  // the same command did not bring it to its end afterwards
)

// tally is how the runs of a kind went.
type tally struct {
	runs, happened int
	bad            map[string]int
	took           time.Duration
}

// matrixDevices is how many devices are at work at once. Most of the faults are waited for.
const matrixDevices = 10

// Whatever befalls a flash, and when: what it says is so, it ends within its bounds, and the same command afterwards ends verified.
// The disk is held against the image from outside. A run is done again by its name:
//
//	go test -tags e2e -run TestFaultMatrix ./cmd/groundhog -v -matrix.run 'link reset/5577006791947779410'
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(3 << 30)) // whole disks are read and dropped again and again
	todo := matrixTrials(t)
	m := newMatrix(t, min(matrixDevices, len(todo)))
	began := time.Now()
	var mu sync.Mutex
	all := map[string]*tally{}
	queue := make(chan *trial)
	go func() {
		defer close(queue)
		for _, r := range todo {
			if *matrixFor > 0 && time.Since(began) > *matrixFor {
				return
			}
			queue <- r
		}
	}()
	var workers sync.WaitGroup
	for _, p := range m.places {
		workers.Go(func() {
			for r := range queue {
				r.m, r.p, r.t = m, p, t
				r.run()
				mu.Lock()
				n := all[r.kind.name]
				if n == nil {
					n = &tally{bad: map[string]int{}}
					all[r.kind.name] = n
				}
				n.add(r)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	m.close()
	t.Logf("%d runs were to be done, on %d devices: %s, %s of processor\n%s", len(todo), len(m.places), time.Since(began).Round(time.Second), processorTime(), matrixTable(all))
}

func (n *tally) add(r *trial) {
	n.runs++
	if r.happened.Load() {
		n.happened++
	}
	for _, what := range r.verdicts() {
		n.bad[what]++
	}
	n.took += r.took
}

// processorTime is what this test and all that it has started and waited for have used.
func processorTime() time.Duration {
	var all time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return all.Round(time.Second)
}

// matrixTrials are the runs to be done, the kinds in turns: those that wait are beside those that work.
func matrixTrials(t *testing.T) (todo []*trial) {
	base := *matrixSeed
	if base == 0 {
		base = rand.Uint64()
	}
	t.Logf("-matrix.seed %d", base)
	var wanted []string
	if *matrixRun != "" {
		wanted = strings.Split(*matrixRun, ",")
	}
	type placed struct {
		at float64
		r  *trial
	}
	var all []placed
	for _, k := range faultKinds() {
		times := judge.Times(k.few, k.many)
		seeds := rand.New(rand.NewPCG(base, sumOfName(k.name)))
		for _, w := range wanted {
			name, seed, one := strings.Cut(w, "/")
			if name == k.name && one {
				n := judge.Value(strconv.ParseUint(seed, 10, 64))(t)
				todo = append(todo, newTrial(k, n))
			}
		}
		if wanted != nil && !slices.Contains(wanted, k.name) {
			continue
		}
		for i := range times {
			all = append(all, placed{(float64(i) + 0.5) / float64(times), newTrial(k, seeds.Uint64())})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	for _, p := range all {
		todo = append(todo, p.r)
	}
	if len(todo) == 0 {
		t.Fatalf("-matrix.run %q: no such kind", *matrixRun)
	}
	return todo
}

func sumOfName(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// matrixTable is what is printed at the end.
func matrixTable(all map[string]*tally) string {
	var b bytes.Buffer
	line := func(name string, n *tally) {
		bad := 0
		for _, c := range n.bad {
			bad += c
		}
		fmt.Fprintf(&b, "%-32s %5d %8d %6d %6d %6d %6d %6d %7.1f\n", name, n.runs, n.happened, n.runs-bad,
			n.bad[wrongVerdict], n.bad[hangsForever], n.bad[unsaidVerdict], n.bad[notTakenUp], n.took.Seconds()/float64(max(n.runs, 1)))
	}
	fmt.Fprintf(&b, "%-32s %5s %8s %6s %6s %6s %6s %6s %7s\n", "kind", "runs", "happened", "right", "wrong", "hangs", "unsaid", "stuck", "s a run")
	sum := &tally{bad: map[string]int{}}
	for _, k := range faultKinds() {
		n := all[k.name]
		if n == nil {
			continue
		}
		line(k.name, n)
		sum.runs, sum.happened, sum.took = sum.runs+n.runs, sum.happened+n.happened, sum.took+n.took
		for what, c := range n.bad {
			sum.bad[what] += c
		}
	}
	line("all", sum)
	return b.String()
}
