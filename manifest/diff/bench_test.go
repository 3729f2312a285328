package diff_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// large is a manifest of n entries as they are in a root tree, each from a
// package; every tenth is of another build than the rest.
func large(n, build int) *manifest.Manifest {
	m := &manifest.Manifest{Schema: 1, Source: manifest.Root, Architecture: "amd64"}
	for i := range 500 {
		m.Packages = append(m.Packages, manifest.Package{Name: fmt.Sprint("package", i), Version: fmt.Sprint(build), Architecture: "amd64"})
	}
	for i := range n {
		content := fmt.Sprint(i)
		if i%10 == 0 {
			content = fmt.Sprint(i, build)
		}
		sum := sha256.Sum256([]byte(content))
		m.Entries = append(m.Entries, manifest.Entry{Path: fmt.Sprintf("usr/lib/modules/6.1.0-56-amd64/kernel/drivers/d%03d/file%06d.ko", i/200, i),
			Type: manifest.File, Mode: 0o644, Size: int64(i), Mtime: int64(build), SHA256: hex.EncodeToString(sum[:]),
			Origin: &manifest.Origin{Kind: manifest.FromPackage, Name: fmt.Sprint("package", i/200), Architecture: "amd64"}})
	}
	return m
}

// BenchmarkDiffFiles100k is what `groundhog diff` does to two manifests of 100,000
// entries: decode both, compare, write the report.
func BenchmarkDiffFiles100k(b *testing.B) {
	old, now := encode(b, large(100_000, 1)), encode(b, large(100_000, 2))
	b.Logf("%d bytes of JSON on each side", len(old))
	b.ReportAllocs()
	var peak uint64
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		b.StartTimer()
		var both [2]*manifest.Manifest
		done := make(chan error, 2)
		for i, text := range [][]byte{old, now} {
			go func() {
				var err error
				both[i], err = manifest.Decode(bytes.NewReader(text), manifest.Limits{})
				done <- err
			}()
		}
		for range both {
			judge.Must(b, <-done)
		}
		c := diff.Of(both[0], both[1], false)
		if c.Total.Changed != 10_000 {
			b.Fatal(c.Total)
		}
		judge.Must(b, c.WriteText(new(bytes.Buffer), false))
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		peak = max(peak, mem.HeapInuse)
	}
	b.ReportMetric(float64(peak)/1e6, "MB-heap")
}

// BenchmarkDiff100k is the comparison alone, of two manifests in memory. The
// limit of both is 300 ms and 300 MB.
func BenchmarkDiff100k(b *testing.B) {
	old, now := large(100_000, 1), large(100_000, 2)
	b.ReportAllocs()
	for b.Loop() {
		diff.Of(old, now, false)
	}
}
