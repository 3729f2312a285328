package table

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// sfdisk, which made the table, finds nothing to complain of on the larger disk, and the same partitions.
func TestRelocate(t *testing.T) {
	dir := t.TempDir()
	img, large := filepath.Join(dir, "img"), filepath.Join(dir, "large")
	const size, larger = 8 << 20, 20<<20 + 512*7
	judge.WriteFile(t, img, make([]byte, size))
	sfdisk := judge.Tool(t, "sfdisk")
	c := exec.Command(sfdisk, "-q", img)
	c.Stdin = strings.NewReader("label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\nsize=2048,type=uefi,name=\"EFI é\",attrs=\"RequiredPartition GUID:63\"\nsize=4096,start=6144,type=linux\n")
	judge.Run(t, c)
	b := judge.ReadFile(t, img)
	copy(b, "boot code")
	first, extents, err := Relocate(bytes.Clone(b[:chunk.Size]), size, larger, 512)
	if err != nil || len(extents) != 2 {
		t.Fatalf("%d extents, %v", len(extents), err)
	}
	disk := make([]byte, larger)
	copy(disk, b)
	copy(disk, first)
	for _, e := range extents {
		copy(disk[e.Off:], e.Data)
	}
	judge.WriteFile(t, large, disk)
	if out, err := exec.Command(sfdisk, "--verify", large).CombinedOutput(); err != nil || !strings.Contains(string(out), "No errors") || strings.Contains(string(out), "mismatch") {
		t.Errorf("%v: %s", err, out)
	}
	dump := func(name string) string {
		out := judge.Output(t, exec.Command(sfdisk, "--dump", name))
		_, parts, _ := strings.Cut(strings.ReplaceAll(string(out), name, "disk"), "\n\n")
		return parts
	}
	if got, want := dump(large), dump(img); got != want {
		t.Errorf("partitions:\n%s\nwere\n%s", got, want)
	}
	if string(first[:9]) != "boot code" {
		t.Error("the boot code is lost")
	}
	// No GPT, no room, a damaged one: nothing changes.
	for name, b := range map[string][]byte{"none": make([]byte, chunk.Size), "short": b[:512]} {
		if out, extents, err := Relocate(b, size, larger, 512); err != nil || extents != nil || !bytes.Equal(out, b) {
			t.Errorf("%s: %d extents, %v", name, len(extents), err)
		}
	}
	if _, extents, err := Relocate(b[:chunk.Size], size, size, 512); extents != nil || err != nil {
		t.Errorf("the same size: %v", err)
	}
	b[600] ^= 1
	if _, extents, err := Relocate(b[:chunk.Size], size, larger, 512); err == nil || extents != nil {
		t.Error("a damaged header is taken")
	}
}
