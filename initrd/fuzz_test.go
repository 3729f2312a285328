package initrd

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// small limits keep a fuzzer from spending its time on honest large input.
var small = Limits{Unpacked: 1 << 20, Segments: 16, Entries: 1 << 10}

// What can be read is written the same; encoded again it is the same tree.
func FuzzRead(f *testing.F) {
	for _, b := range fixtures(f) {
		f.Add(b)
	}
	f.Add(run(oddities()[:15]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := Read(bytes.NewReader(b), small)
		if err != nil {
			return
		}
		if !bytes.Equal(write(t, img), b) {
			t.Fatal("an unedited archive changed")
		}
		want := tree(img)
		again := read(t, recode(t, img))
		if diff := cmp.Diff(want, tree(again)); diff != "" {
			t.Fatalf("encoded again (-want +got):\n%s", diff)
		}
		whole := again // in a compression that can be written
		img = read(t, b)
		_, err = img.Put("bin/fuzz", File{Mode: TypeFile | 0o644, Data: []byte("put")})
		if err == nil {
			put(t, whole, "bin/fuzz", File{Mode: TypeFile | 0o644, Data: []byte("put")})
			if got, err := read(t, write(t, whole)).ReadFile("bin/fuzz"); string(got) != "put" {
				t.Fatalf("put, then read: %q, %v", got, err)
			}
			edited := tree(img)
			var out bytes.Buffer
			if _, err := img.WriteAppended(&out, Gzip, 0); err != nil {
				return // one of a file's hard links
			}
			if !bytes.HasPrefix(out.Bytes(), b) {
				t.Fatal("the input is not a prefix of what was appended to")
			}
			if diff := cmp.Diff(edited, tree(read(t, out.Bytes()))); diff != "" {
				t.Fatalf("appended (-edited +read):\n%s", diff)
			}
		}
	})
}

// A run that can be read is written record for record.
func FuzzCodec(f *testing.F) {
	for _, e := range oddities() {
		if len(e.Data) < 4096 {
			f.Add(run(e))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Segment{}
		if s.readRun(bytes.NewReader(b), &budget{Limits: Limits{Unpacked: 1 << 20, Entries: 100}}) != nil {
			return
		}
		var out bytes.Buffer
		w := newWriter(&out)
		for _, e := range s.Entries[:len(s.Entries)-1] {
			judge.Must(t, w.writeEntry(e))
		}
		judge.Must(t, w.closeRun())
		again := &Segment{}
		judge.Must(t, again.readRun(bytes.NewReader(out.Bytes()), &budget{Limits: Limits{Unpacked: 1 << 21, Entries: 100}}))
		for i, e := range s.Entries[:len(s.Entries)-1] {
			if diff := cmp.Diff(bare(*e), bare(*again.Entries[i]), cmp.AllowUnexported(Entry{})); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
	})
}

// The end that the framing gives is never beyond the input, is the same with
// anything behind it, and is where the decoder ends too.
func FuzzFrames(f *testing.F) {
	for _, b := range fixtures(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := sniffCompression(b)
		if !ok || m.end == nil {
			return
		}
		n, err := m.end(b)
		if err != nil {
			return
		}
		if n < len(m.magic) || n > len(b) {
			t.Fatalf("%s: ends at %d of %d", m.name, n, len(b))
		}
		if again, err := m.end(append(bytes.Clone(b[:n:n]), 0, 0, 0, 0, 0xff)); err != nil || again != n {
			t.Fatalf("%s: ends at %d, with something behind it at %d (%v)", m.name, n, again, err)
		}
		r, err := m.decode(bytes.NewReader(b[:n]))
		if err != nil {
			return
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20)); err != nil || m.name == Lz4 {
			return
		}
		short, err := m.decode(bytes.NewReader(b[:n-1]))
		if err != nil {
			return
		}
		defer short.Close()
		if n, err := io.Copy(io.Discard, io.LimitReader(short, 1<<20)); err == nil && n < 1<<20 {
			t.Fatalf("%s: whole without its last byte", m.name)
		}
	})
}
