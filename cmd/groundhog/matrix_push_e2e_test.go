//go:build e2e

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/loader"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/powercut"
)

// bootFile is what the boot loader loads.
const bootFile = "/boot/initrd.img-6.1.0-56-amd64"

// statesBetween is how many combinations of blocks are told apart between two flushes, at most.
const statesBetween = 256

// A rooted is a shell on a system below a directory.
type rooted string

func (root rooted) Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error) {
	cmd := exec.CommandContext(ctx, "dash", append([]string{"-c", program, "groundhog"}, args...)...)
	cmd.Env = append(os.Environ(), "groundhog_root="+string(root))
	return devicetest.Here(cmd, stdin)
}

// bootLoads is what is pushed, over what is there.
func bootLoads(seed uint64) []byte { return judge.Noise(seed, 3*4096-7) }

func (root rooted) push(ctx context.Context, archive []byte) error {
	sum := sha256.Sum256(archive)
	job := loader.Job{Boot: loader.Boot{Way: loader.Replace, File: bootFile}, Size: int64(len(archive)), SHA256: hex.EncodeToString(sum[:])}
	return job.Run(ctx, root, bytes.NewReader(archive))
}

// A bootCut is a push or a restore whose every write is known, and what the same command makes of it afterwards.
type bootCut struct {
	place  *powercut.Place
	root   *rootMutex
	log    *powercut.Log
	states int
	allow  [][]byte // what a boot loader may find
	again  func(ctx context.Context, root rooted) error
	fresh  []byte // what it finds then
}

// rootMutex is where a system is mounted, for one at a time: what push keeps on a device names files by their whole path.
type rootMutex struct {
	sync.Mutex
	rooted
}

// traceBoots writes down a push, and the restore behind it.
func traceBoots(t *testing.T) (push, restore *bootCut) {
	t.Helper()
	archive := bootLoads(1)
	p := powercut.NewPlace(t, bootFile, bootLoads(0))
	root := &rootMutex{rooted: rooted(t.TempDir())}
	pushes := func(ctx context.Context, root rooted) error { return root.push(ctx, archive) }
	restores := func(ctx context.Context, root rooted) error {
		_, err := loader.Restore(ctx, root)
		if errors.Is(err, loader.ErrRefused) { // it is there already
			err = nil
		}
		return err
	}
	all := [][]byte{p.Original, archive}
	push = &bootCut{place: p, root: root, allow: all, again: pushes, fresh: archive}
	restore = &bootCut{place: p, root: root, allow: all, again: restores, fresh: p.Original}
	for _, c := range []*bootCut{push, restore} {
		c.log = powercut.Trace(t, p.Image, string(root.rooted), func() {
			judge.Must(t, c.again(t.Context(), root.rooted))
		})
		c.log.Each(statesBetween, p.InJournal, func([]byte) bool { c.states++; return true })
		p.Write(c.log.End())
		judge.Value(p.Kernel())(t)
		judge.Must(t, os.Rename(p.State, p.Image))
	}
	return push, restore
}

// bootPower is a state that a power cut may leave of a push or a restore: what a boot loader finds is one of the two files, whole, with
// a replay of the journal and without; and the same command brings it to its end.
func bootPower(of func(m *matrix) *bootCut) func(*trial) {
	return func(r *trial) {
		r.elsewhere = true
		c := of(r.m)
		n := r.rng.IntN(c.states)
		r.note("%s: state %d of %d", r, n, c.states)
		dir := filepath.Join(r.m.memory, r.kind.name+"-"+hex.EncodeToString([]byte{byte(r.seed >> 8), byte(r.seed)}))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			r.t.Error(err)
			return
		}
		defer os.RemoveAll(dir)
		p := *c.place
		p.State = filepath.Join(dir, "state")
		c.log.Each(statesBetween, p.InJournal, func(disk []byte) bool {
			if n--; n >= 0 {
				return true
			}
			p.Write(disk)
			return false
		})
		r.happened.Store(true)
		one := func(reader string, got []byte, err error) {
			for _, b := range c.allow {
				if err == nil && bytes.Equal(got, b) {
					return
				}
			}
			r.problem(wrongVerdict, "%s finds %d bytes, neither of the two files (%v)", reader, len(got), err)
		}
		got, err := p.GRUB()
		one("GRUB", got, err)
		got, err = p.Kernel()
		one("the kernel", got, err)
		c.root.Lock()
		defer c.root.Unlock()
		root := c.root.rooted
		unmount := powercut.Mount(r.t, p.State, string(root))
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		err = c.again(ctx, root)
		got, _ = os.ReadFile(filepath.Join(string(root), bootFile))
		unmount()
		if err != nil || !bytes.Equal(got, c.fresh) {
			r.problem(notTakenUp, "the same command again: %v; %d bytes are there", err, len(got))
		}
		if got, err := p.GRUB(); err != nil || !bytes.Equal(got, c.fresh) {
			r.problem(wrongVerdict, "done, and GRUB finds %d bytes (%v)", len(got), err)
		}
	}
}
