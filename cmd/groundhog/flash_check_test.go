package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// A check names the first byte of the disk that differs, wherever in a chunk it is, and however many differ.
func TestCheckNamesTheFirstByte(t *testing.T) {
	d := newDesk(t)
	if code, said := d.told("push", "--reboot"); code != exitDone {
		t.Fatalf("%d: %s", code, said)
	}
	if code, said := d.told("flash"); code != exitDone {
		t.Fatalf("%d: %s", code, said)
	}
	if code, said := d.told("flash", "--check"); code != exitDone || !strings.Contains(said, "is equal to") {
		t.Fatalf("an equal one: %d: %s", code, said)
	}
	f := judge.Value(os.OpenFile(d.DiskFile(), os.O_RDWR, 0))(t)
	defer f.Close()
	spoil := func(at int64) (was, is byte) {
		t.Helper()
		b := make([]byte, 1)
		judge.Value(f.ReadAt(b, at))(t)
		was = b[0]
		b[0] ^= 0x5a
		judge.Value(f.WriteAt(b, at))(t)
		return was, b[0]
	}
	// The later ones are spoilt first: each is before all that differed until then.
	for i, at := range []int64{3<<20 - 1, 2<<20 + 4097, 2 << 20, 1<<20 + 13, 1 << 19, 0} {
		was, is := spoil(at)
		code, said := d.told("flash", "--check")
		if want := fmt.Sprintf("the first byte that differs is %d: %#02x, not %#02x", at, is, was); code != exitNo || !strings.Contains(said, want) {
			t.Errorf("%d spoilt: %d: %s, want %q", i+1, code, said, want)
		}
	}
}
