package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// sfdisk, which made the table, names the same partitions.
func TestPartitions(t *testing.T) {
	for name, script := range map[string]string{
		"gpt":  gptScript + "9: start=7MiB,size=34,type=swap\n",
		"mbr":  mbrScript,
		"box":  "label: dos\nsize=1MiB,type=83\nstart=2MiB,type=5\nstart=3MiB,size=1MiB,type=83\nstart=5MiB,size=1MiB,type=82\nstart=7MiB,type=b\n",
		"late": "label: dos\n3: start=2MiB,type=f\n5: start=3MiB,size=1MiB,type=83\n",
	} {
		image := made(t, 9*mib, script)
		f := judge.Value(os.Open(image))(t)
		defer f.Close()
		got := judge.Value(Partitions(f))(t)
		var want []string
		said := dump(t, image)
		for _, p := range said["partitions"].([]any) {
			p := p.(map[string]any)
			kind := p["type"].(string)
			if said["label"] == "dos" {
				kind = fmt.Sprintf("0x%02s", kind)
			}
			want = append(want, fmt.Sprintf("%s %.0f %.0f %s", strings.TrimPrefix(p["node"].(string), "disk"), p["start"], p["size"], kind))
		}
		var have []string
		for _, p := range got {
			have = append(have, fmt.Sprintf("%d %d %d %s", p.N, p.Start/512, p.Size/512, p.Type))
		}
		if strings.Join(have, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
}

// What stands in a box of logical partitions besides the two entries that count is passed over, as the kernel and libblkid do.
func TestPartitionsGarbage(t *testing.T) {
	image := made(t, 9*mib, "label: dos\nsize=1MiB,type=83\nstart=2MiB,type=5\nstart=3MiB,size=1MiB,type=83\nstart=5MiB,size=1MiB,type=82\nstart=7MiB,type=b\n")
	f := judge.Value(os.OpenFile(image, os.O_RDWR, 0))(t)
	defer f.Close()
	want := judge.Value(Partitions(f))(t)
	if len(want) != 5 {
		t.Fatalf("%+v", want)
	}
	for n, garbage := range []string{
		"", // a boot flag alone
		"\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33\x33",
		"\x41\x00\x00\x00\xee\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x70",
	} {
		at := int64(2 * mib)
		for _, p := range want[2:] { // the next box is in the second entry
			b := make([]byte, 512)
			judge.Value(f.ReadAt(b, at))(t)
			b[mbrEntries] = 0x41
			if n > 0 {
				copy(b[mbrEntries+32:], garbage)
			}
			judge.Value(f.WriteAt(b, at))(t)
			at = 2*mib + int64(binary.LittleEndian.Uint32(b[mbrEntries+16+8:]))*512
			if at > p.Start+p.Size+mib {
				t.Fatalf("a box at %d", at)
			}
		}
		got := judge.Value(Partitions(f))(t)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%x: %+v, want %+v", garbage, got, want)
		}
		if said := strings.Fields(run(t, "", "partx", "-b", "-g", "-o", "START", image)); len(said) != len(want) || said[4] != fmt.Sprint(want[4].Start/512) {
			t.Errorf("%x: partx: %q", garbage, said)
		}
	}
}

// An entry of a GPT that is none does not hide the others, as little as from the kernel and libblkid.
func TestPartitionsDamagedEntry(t *testing.T) {
	image := made(t, 9*mib, gptScript)
	b := judge.ReadFile(t, image)
	want := judge.Value(Partitions(bytes.NewReader(b)))(t)
	for n := range want {
		for about, spoil := range map[string]func(entry []byte){
			"backwards": func(e []byte) { copy(e[32:40], "\xff\xff\x00\x00\x00\x00\x00\x00") },
			"nowhere":   func(e []byte) { copy(e[32:48], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") },
		} {
			bad := resum(b, func(b []byte) { spoil(b[1024+entryLen*n:]) })
			got, err := Partitions(bytes.NewReader(bad))
			left := slices.DeleteFunc(slices.Clone(want), func(p Partition) bool { return p.N == n+1 })
			if err != nil || !slices.Equal(got, left) {
				t.Errorf("%d %s: %+v, %v; want %+v", n+1, about, got, err, left)
			}
			if about == "nowhere" {
				judge.WriteFile(t, image, bad)
				if said := strings.Fields(run(t, "", "partx", "-b", "-g", "-o", "NR", image)); !slices.ContainsFunc(left, func(p Partition) bool { return slices.Contains(said, fmt.Sprint(p.N)) }) {
					t.Errorf("%d %s: partx: %q", n+1, about, said)
				}
			}
			if _, _, _, err := Grow(bad[:mib], 9*mib, 64*mib, 512); err == nil || !strings.Contains(err.Error(), "ends before it begins") {
				t.Errorf("%d %s: to be grown: %v", n+1, about, err)
			}
		}
	}
	bad := resum(b, func(b []byte) {
		for n := range want {
			b[1024+entryLen*n+39] = 0xff
		}
	})
	if all, err := Partitions(bytes.NewReader(bad)); err == nil || all != nil {
		t.Errorf("no good one: %+v, %v", all, err)
	}
}

func TestPartitionsNone(t *testing.T) {
	for _, n := range []int{0, 10, 511, 512, 5000, 2 * mib} {
		if all, err := Partitions(bytes.NewReader(make([]byte, n))); !errors.Is(err, ErrNone) || all != nil {
			t.Errorf("%d bytes: %v, %v", n, all, err)
		}
	}
}

// Whatever is read ends, a ring of boxes too, and what comes is a place on a disk.
func FuzzPartitions(f *testing.F) {
	for _, script := range []string{gptScript, mbrScript, "label: dos\nsize=1,type=83,start=1\nstart=2,type=5\nstart=3,size=1,type=83\nstart=5,size=1,type=82\n"} {
		b, _ := beginning(f, made(f, 8*mib, script))
		f.Add(b[:34*512])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 34*512 {
			b = resum(b, func([]byte) {})
		}
		all, err := Partitions(bytes.NewReader(b))
		for _, p := range all {
			if err != nil || p.N < 1 || p.Start <= 0 || p.Size <= 0 || p.Start+p.Size < 0 {
				t.Errorf("%+v, %v", p, err)
			}
		}
	})
}
