//go:build e2e

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/powercut"
	"groundhog/fixtures/waiting"
	"groundhog/fixtures/waiting/faulty"
)

// The disks of each device: one that never fails, and one with a cache that a power cut empties, which may.
var (
	diskSerials = [2]string{"GH-SOUND", "GH-FAULTY"}
	diskPaths   = [2]string{"/dev/vda", "/dev/vdb"}
)

// matrixDisk is a disk's size in bytes.
const matrixDisk = 16 << 20

// A matrix is what its runs share.
type matrix struct {
	t        *testing.T
	memory   string // a directory in memory
	onDisk   string // and one that is not: what is known of images there is kept
	tree     string // of the archive
	login    fixtures.Login
	pictures []*picture
	places   []*place
	spare    chan [2]*place // for fleets
	web      imageServer

	pushed, restored *bootCut
}

// A place is a device and what is known of it.
type place struct {
	*waiting.Device
	m        *matrix
	cache    string // what groundhog keeps of images
	sent     int64  // bytes of a flash, towards the device
	returned int64
}

func newMatrix(t *testing.T, devices int) *matrix {
	t.Helper()
	waiting.Need(t)
	tgt := target(t, "bookworm", "amd64")
	dir := t.TempDir()
	m := &matrix{t: t, memory: powercut.Memory(t), onDisk: dir, tree: filepath.Join(dir, "tree"), spare: make(chan [2]*place, 1)}
	archive, key := filepath.Join(dir, "reflash.img"), filepath.Join(dir, "key")
	makeKey(t, key)
	code, out := online(t, "patch", tgt.Plain, "--root", tgt.Root, "--authorized-keys", key+".pub", "--host-key", "new", "--wait", "3h", "-o", archive)
	if code != 0 {
		t.Fatal(out)
	}
	m.login = fixtures.Login{Key: key, KnownHosts: archive + ".known_hosts"}
	judge.Must(t, waiting.Unpack(t.Context(), archive, m.tree))
	m.pictures = newPictures(t, dir)
	m.serve(t)
	m.pushed, m.restored = traceBoots(t)
	for i := range devices {
		m.places = append(m.places, m.newPlace(i))
	}
	m.spare <- [2]*place{m.newPlace(devices), m.newPlace(devices + 1)}
	return m
}

func (m *matrix) newPlace(i int) *place {
	dir := filepath.Join(m.memory, strconv.Itoa(i))
	p := &place{m: m, cache: filepath.Join(dir, "cache"), sent: 2 << 20, returned: 20_000}
	disks := []waiting.Disk{{Serial: diskSerials[0]}, {Serial: diskSerials[1], Rules: &faulty.Rules{Volatile: true}}}
	for n := range disks {
		disks[n].Raw = filepath.Join(dir, diskSerials[n], "raw") // in a directory of its own: see package faulty
		err := os.MkdirAll(filepath.Dir(disks[n].Raw), 0o755)
		if err = errors.Join(err, os.WriteFile(disks[n].Raw, nil, 0o600)); err == nil {
			err = os.Truncate(disks[n].Raw, matrixDisk)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	d, err := waiting.New(m.tree, m.t.TempDir(), waiting.Options{Disks: disks})
	if err != nil {
		m.t.Fatal(err)
	}
	p.Device = d
	m.t.Cleanup(d.Close)
	judge.Must(m.t, p.powerOn(m.t.Context()))
	return p
}

// close lets go of all devices.
func (m *matrix) close() {
	for _, p := range m.places {
		p.Close()
	}
	for _, p := range <-m.spare {
		p.Close()
	}
}

func (p *place) target() string { return "root@" + p.Addr() }

// powerOn switches the device on, if it is off, and waits until it lets us in.
func (p *place) powerOn(ctx context.Context) error {
	if p.Ended() != "" || p.Boots() == 0 {
		if err := p.PowerOn(ctx); err != nil && p.Ended() != "" {
			return err
		}
	}
	return p.WaitLogin(ctx, p.m.login)
}

// restart is for a device that nobody knows what became of.
func (p *place) restart(t *testing.T) {
	p.PowerOff()
	if err := errors.Join(p.Faulty(1).On(), p.powerOn(t.Context())); err != nil {
		t.Error(err)
	}
}
