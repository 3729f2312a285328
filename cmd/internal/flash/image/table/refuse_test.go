package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

// What cannot be grown is refused, and says why; nothing is changed then.
func TestGrowRefuses(t *testing.T) {
	sfdisk := func(script string) []byte { b, _ := beginning(t, made(t, 8*mib, script)); return b }
	guid, box := sfdisk(gptScript), sfdisk("label: dos\nsize=1MiB,type=83\nstart=2MiB,type=5\nstart=3MiB,size=1MiB,type=83\n")
	hybrid := bytes.Clone(guid)
	copy(hybrid[mbrEntries+16:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 0, 0x20, 0, 0, 0, 0x10})
	fat := make([]byte, mib)
	copy(fat[mbrEntries:], "Non-system disk, press any key to reboot")
	copy(fat[510:], "\x55\xaa")
	over := bytes.Clone(box)
	binary.LittleEndian.PutUint32(over[mbrEntries+12:], 8192)
	past := bytes.Clone(box)
	binary.LittleEndian.PutUint32(past[mbrEntries+16+8:], math.MaxUint32)
	for _, tt := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "no partition table", make([]byte, mib)},
		{"short", "no partition table", make([]byte, 100)},
		{"boot sector", "no partition table", fat},
		{"past the last block", "no partition table", past},
		{"empty GPT", "is empty", sfdisk("label: gpt\n")},
		{"swap last", "0657FD6D", sfdisk("label: gpt\nsize=1MiB,type=linux\nsize=1MiB,type=swap\n")},
		{"swap last, MBR", "0x82", sfdisk("label: dos\nsize=1MiB,type=83\nsize=1MiB,type=82\n")},
		{"logical", "extended", box},
		{"overlap", "overlap", over},
		{"hybrid", "hybrid", hybrid},
		{"damaged header", "checksum", changed(guid, func(b []byte) { b[512+60] ^= 1 })},
		{"damaged entries", "checksum", changed(guid, func(b []byte) { b[1024+60] ^= 1 })},
		{"many entries", "longer", resum(guid, func(b []byte) { binary.LittleEndian.PutUint32(b[512+80:], 1<<31) })},
		{"no entries", "entries", resum(guid, func(b []byte) { binary.LittleEndian.PutUint32(b[512+80:], 0) })},
		{"entries of 0 bytes", "entries", resum(guid, func(b []byte) { b[512+84] = 0 })},
		{"entries elsewhere", "checksum", resum(guid, func(b []byte) { b[512+72] = 3 })},
		{"entries in the header", "odds", resum(guid, func(b []byte) { b[512+72] = 1 })},
		{"entries behind the beginning", "longer", resum(guid, func(b []byte) { b[512+74] = 1 })},
		{"entries nowhere", "longer", resum(guid, func(b []byte) { b[512+79] = 0xff })},
		{"a header of 0 bytes", "odds", resum(guid, func(b []byte) { b[512+12] = 0 })},
		{"a header longer than its block", "odds", resum(guid, func(b []byte) { b[512+13] = 3 })},
		{"backup nowhere", "odds", resum(guid, func(b []byte) { binary.LittleEndian.PutUint64(b[512+32:], math.MaxUint64) })},
		{"backwards", "ends before", resum(guid, func(b []byte) { b[1024+32+4] = 1 })},
	} {
		b := bytes.Clone(tt.b)
		out, tail, g, err := Grow(b, 8*mib, 64*mib, 512)
		if err == nil || !strings.Contains(err.Error(), tt.want) || out != nil || tail != nil || g != (Growth{}) {
			t.Errorf("%s: %+v, %v, want %q", tt.name, g, err, tt.want)
		}
		if errors.Is(err, ErrNone) != strings.Contains(tt.want, "no partition") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !bytes.Equal(b, tt.b) {
			t.Errorf("%s: what was given changed", tt.name)
		}
	}
}

// An image that is as large as the disk keeps its GPT, and says where its backup is in the way.
func TestGrowNoRoom(t *testing.T) {
	full, _ := beginning(t, made(t, 8*mib, "label: gpt\nsize=2MiB,type=uefi\ntype=linux\n"))
	half, _ := beginning(t, made(t, 8*mib, gptScript))
	for disk := int64(8 * mib); disk < 8*mib+33*512; disk += 512 {
		out, tail, g, err := Grow(full, 8*mib, disk, 512)
		if err != nil || tail != nil || g.By != 0 || g.N != 2 || !bytes.Equal(out, full) {
			t.Fatalf("%d: %+v, %d extents, %v", disk, g, len(tail), err)
		}
		if _, _, _, err := Grow(half, 8*mib, disk, 512); err == nil || !strings.Contains(err.Error(), "as large as the disk") {
			t.Fatalf("%d: %v", disk, err)
		}
	}
	// The image's size is not known yet: its table tells where it ends.
	if out, tail, err := Relocate(half, 1, 8*mib, 512); err != nil || tail != nil || !bytes.Equal(out, half) {
		t.Errorf("%d extents, %v", len(tail), err)
	}
	// The backup moves, there is not a MiB more for the partition.
	full, _ = beginning(t, made(t, 8*mib+40*512, "label: gpt\ntype=linux\n"))
	out, tail, g, err := Grow(full, 8*mib+40*512, 8*mib+80*512, 512)
	if err != nil || len(tail) != 2 || g.By != 0 || bytes.Equal(out, full) {
		t.Errorf("%+v, %d extents, %v", g, len(tail), err)
	}
}

// A hybrid MBR's partition that lies where the backup would be, on the disk, is not overwritten.
func TestRelocateHybrid(t *testing.T) {
	b, _ := beginning(t, made(t, 8*mib, gptScript))
	copy(b[mbrEntries+16:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 0, 0x20, 0, 0, 0, 0x7f})
	for end, fits := range map[int64]bool{20 * mib: true, (0x2000 + 0x7f00) * 512: false, (0x2000+0x7f00)*512 + 33*512: true} {
		out, tail, err := Relocate(b, 8*mib, end, 512)
		if fits != (err == nil) || fits != (len(tail) == 2) || err != nil && (out != nil || !strings.Contains(err.Error(), "partition 2 of its MBR")) {
			t.Errorf("a disk of %d bytes: %d extents, %v", end, len(tail), err)
		}
	}
}

// An MBR stands for itself where a GPT's header is left of an earlier table.
func TestGrowStaleGPT(t *testing.T) {
	b, _ := beginning(t, made(t, 8*mib, gptScript))
	m, _ := beginning(t, made(t, 8*mib, mbrScript))
	copy(b, m[:512])
	if _, tail, g, err := Grow(b, 8*mib, 64*mib, 512); err != nil || g.Type != "0x83" || tail != nil {
		t.Errorf("%+v, %v", g, err)
	}
}

// sfdisk knows the roots of all architectures, too.
func TestLinuxTypes(t *testing.T) {
	lines := regexp.MustCompile(`(?m)^(\S{36})  Linux (filesystem|home|server data|variable data|root \(.*)$`).FindAllStringSubmatch(run(t, "", "sfdisk", "--label", "gpt", "--list-types"), -1)
	known := 1 // PA-RISC's is younger
	for _, m := range lines {
		known++
		if !linuxTypes[gpt.Type(strings.ToUpper(m[1]))] {
			t.Errorf("not known: %s", m[0])
		}
	}
	if known < 20 || known < len(linuxTypes) {
		t.Errorf("%d of %d types are sfdisk's", known, len(linuxTypes))
	}
}

func TestPartitionPath(t *testing.T) {
	for want, disk := range map[string]string{
		"/dev/vda2": "/dev/vda", "/dev/mmcblk0p2": "/dev/mmcblk0", "/dev/nvme0n1p2": "/dev/nvme0n1", "/dev/loop7p2": "/dev/loop7", "2": "",
	} {
		if got := PartitionPath(disk, 2); got != want {
			t.Errorf("%q: %s", disk, got)
		}
	}
}

func changed(b []byte, change func([]byte)) []byte {
	b = bytes.Clone(b)
	change(b)
	return b
}

// resum changes a GPT and makes its checksums right again.
func resum(b []byte, change func([]byte)) []byte {
	b = changed(b, change)
	header := b[512 : 512+92]
	if n := int64(binary.LittleEndian.Uint32(header[80:])) * int64(binary.LittleEndian.Uint32(header[84:])); n >= 0 && n <= int64(len(b))-1024 {
		binary.LittleEndian.PutUint32(header[88:], crc32.ChecksumIEEE(b[1024:1024+n]))
	}
	binary.LittleEndian.PutUint32(header[16:], 0)
	binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header))
	return b
}

// Whatever the table says, what is written lies on the disk and behind the image, what is changed is a field of the
// table, and a second time changes nothing.
func FuzzGrow(f *testing.F) {
	for _, script := range []string{gptScript, mbrScript} {
		b, _ := beginning(f, made(f, 8*mib, script))
		f.Add(b[:34*512], uint32(8192), uint32(100_000))
	}
	f.Fuzz(func(t *testing.T, b []byte, image, more uint32) {
		imageSize := max(int64(image)*512, int64(len(b)))
		diskSize := imageSize + int64(more)*512
		if len(b) > 34*512 {
			b = resum(b, func([]byte) {})
		}
		out, tail, g, err := Grow(b, imageSize, diskSize, 512)
		if err != nil {
			return
		}
		if len(out) != len(b) || !bytes.Equal(out[:mbrEntries], b[:min(len(b), mbrEntries)]) || g.By < 0 || g.By > 0 && g.Start+g.Size > diskSize {
			t.Fatalf("%+v on %d bytes", g, diskSize)
		}
		differ := 0
		for i := range out {
			if out[i] != b[i] {
				differ++
			}
		}
		if differ > 4+4+8+8+4+8 {
			t.Errorf("%d bytes changed", differ)
		}
		for _, e := range tail {
			if e.Off < imageSize || e.Off+int64(len(e.Data)) > diskSize {
				t.Errorf("%d bytes at %d of %d", len(e.Data), e.Off, diskSize)
			}
		}
		again, tail, same, err := Grow(out, diskSize, diskSize, 512)
		if err != nil || len(tail) != 0 || same.Partition != g.Partition || !bytes.Equal(again, out) {
			t.Errorf("again: %+v, then %+v, %v", g, same, err)
		}
	})
}
