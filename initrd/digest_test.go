package initrd

import (
	"bytes"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// Whoever hashes, and whatever was edited since, the sum is that of the
// content as it is now.
func TestSum(t *testing.T) {
	file := judge.ReadFile(t, "../fixtures/archives/zstd.img")
	for name, read := range map[string]func() (*Image, error){
		"Read":       func() (*Image, error) { return Read(bytes.NewReader(file), Limits{}) },
		"ReadHashed": func() (*Image, error) { return ReadHashed(bytes.NewReader(file), Limits{}) },
	} {
		img := judge.Value(read())(t)
		if img.FileSum() != sha256.Sum256(file) {
			t.Errorf("%s: the file's sum is wrong", name)
		}
		files := 0
		check := func() {
			for path, e := range img.Tree() {
				if !e.IsFile() {
					continue
				}
				files++
				if img.Sum(e) != sha256.Sum256(img.Content(e)) {
					t.Errorf("%s: %s: not the sum of its content", name, path)
				}
				judge.Value(img.Put(path, File{Data: append([]byte("new "), img.Content(e)...)}))(t)
			}
		}
		check()
		check()
		if files < 4 {
			t.Errorf("%s: only %d files were looked at", name, files)
		}
	}
}

// After an append the image is the archive that was written, zeros between
// its segments included, and so is its sum.
func TestSumOfAppended(t *testing.T) {
	for _, fixture := range []string{"early.img", "split.img", "lz4.img", "zstd.img"} {
		file := judge.ReadFile(t, "../fixtures/archives/"+fixture)
		img := judge.Value(ReadHashed(bytes.NewReader(file), Limits{}))(t)
		judge.Value(img.Put("new", File{Mode: TypeFile | 0o644, Data: []byte("x")}))(t)
		var out bytes.Buffer
		judge.Value(img.WriteAppended(&out, None, 0))(t)
		if img.FileSum() != sha256.Sum256(out.Bytes()) {
			t.Errorf("%s: the sum is that of another file", fixture)
		}
		for i, s := range img.Segments {
			if img.SegmentSum(s) != sha256.Sum256(out.Bytes()[s.Offset:s.Offset+s.Size]) {
				t.Errorf("%s: segment %d: the sum is that of other bytes", fixture, i)
			}
		}
	}
}

// After a repack, and one more behind it, the sums are those of the archive that was written, and what both begin with was not hashed again.
func TestSumOfRepacked(t *testing.T) {
	for _, fixture := range []string{"early.img", "split.img", "lz4.img", "zstd.img"} {
		in := judge.ReadFile(t, "../fixtures/archives/"+fixture)
		img := judge.Value(ReadHashed(bytes.NewReader(in), Limits{}))(t)
		for i := range slices.Backward(img.Segments) { // in turn, the last first
			s := img.Segments[i]
			at := s.Offset
			s.Entries[len(s.Entries)-1].Mtime++
			judge.Must(t, s.Encode(s.Compression, 0))
			var out bytes.Buffer
			judge.Value(img.WriteTo(&out))(t)
			if _, known := img.digests.furthest(); i > 0 && (known == 0 || known > at) {
				t.Errorf("%s: segment %d from %d on was written anew, and the sum is known up to %d", fixture, i, at, known)
			}
			if img.FileSum() != sha256.Sum256(out.Bytes()) {
				t.Errorf("%s: the sum is that of another file", fixture)
			}
			for i, s := range img.Segments {
				if img.SegmentSum(s) != sha256.Sum256(out.Bytes()[s.Offset:s.Offset+s.Size]) {
					t.Errorf("%s: segment %d: the sum is that of other bytes", fixture, i)
				}
			}
		}
	}
}

// An archive that is refused leaves nobody waiting for its sums.
func TestSumOfRefused(t *testing.T) {
	if _, err := ReadHashed(bytes.NewReader([]byte("070701")), Limits{}); err == nil {
		t.Fatal("ReadHashed took it")
	}
}

// What was let go has the right sum and size, comes back when asked for, and
// makes no difference to what is written.
func TestSkim(t *testing.T) {
	fixtures, err := filepath.Glob("../fixtures/archives/*.[ic][mp]*")
	if err != nil || len(fixtures) < 8 {
		t.Fatal(fixtures, err)
	}
	gone := 0
	defer func() {
		if gone < len(fixtures) {
			t.Errorf("only %d contents were let go", gone)
		}
	}()
	for _, fixture := range fixtures {
		file := judge.ReadFile(t, fixture)
		whole := judge.Value(Read(bytes.NewReader(file), Limits{}))(t)
		skim := func() *Image {
			return judge.Value(Skim(bytes.NewReader(file), Limits{}, func(name string, _ int64) bool { return strings.HasPrefix(name, "etc") }))(t)
		}
		img := skim()
		for path, e := range whole.Tree() {
			if !e.IsFile() {
				continue
			}
			s := img.Lookup(path)
			if s.away != nil {
				gone++
			}
			if img.ContentSize(s) != int64(len(whole.Content(e))) || img.Sum(s) != sha256.Sum256(whole.Content(e)) {
				t.Errorf("%s: %s: size or sum is wrong", fixture, path)
			}
		}
		for path, e := range whole.Tree() {
			if s := img.Lookup(path); e.IsFile() && !bytes.Equal(img.Content(s), whole.Content(e)) {
				t.Errorf("%s: %s: the content did not come back", fixture, path)
			}
		}
		for name, write := range map[string]func(*Image, *bytes.Buffer) error{
			"repacked": func(i *Image, b *bytes.Buffer) error { _, err := i.WriteTo(b); return err },
			"appended": func(i *Image, b *bytes.Buffer) error { _, err := i.WriteAppended(b, None, 0); return err },
		} {
			var want, got bytes.Buffer
			again := judge.Value(Read(bytes.NewReader(file), Limits{}))(t)
			for _, side := range []struct {
				img *Image
				out *bytes.Buffer
			}{{again, &want}, {skim(), &got}} {
				judge.Value(side.img.Put("new", File{Mode: TypeFile | 0o644, Data: []byte("x")}))(t)
				for _, s := range side.img.Segments {
					if name == "repacked" && s.Edited() {
						judge.Must(t, s.Encode(None, 0))
					}
				}
				judge.Must(t, write(side.img, side.out))
			}
			if !bytes.Equal(want.Bytes(), got.Bytes()) {
				t.Errorf("%s: %s, a skimmed archive gives other bytes", fixture, name)
			}
		}
	}
}

// A busybox has hundreds of names; for the sum of each all of it was hashed again.
func TestSumOfLinks(t *testing.T) {
	file := judge.ReadFile(t, "../fixtures/archives/zstd.img")
	img := judge.Value(ReadHashed(bytes.NewReader(file), Limits{}))(t)
	known := func() (n int) {
		img.digests.sums.Range(func(any, any) bool { n++; return true })
		return n
	}
	before, data := known(), bytes.Repeat([]byte("box "), 1000)
	judge.Must(t, img.PutLinks([]string{"box", "ls", "mv"}, File{Mode: TypeFile | 0o755, Data: data}))
	for _, name := range []string{"box", "ls", "mv"} {
		if img.Sum(img.Lookup(name)) != sha256.Sum256(data) {
			t.Errorf("%s: not the sum of its content", name)
		}
	}
	if n := known() - before; n != 1 {
		t.Errorf("%d sums are kept for one content", n)
	}
}
