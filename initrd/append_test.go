package initrd

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// layout is what the segments say of themselves.
func layout(img *Image) (all [][4]int64) {
	for _, s := range img.Segments {
		all = append(all, [4]int64{s.Offset, s.Size, s.Padding, s.Unpacked})
	}
	return append(all, [4]int64{img.Size()})
}

// After a write the segments lie where the file that was written has them, a
// second write gives the same bytes, and what is appended follows what was written.
func TestLayout(t *testing.T) {
	for name, b := range fixtures(t) {
		for _, c := range Writable {
			if name == "runs.img" && c == None {
				continue // plain, each run reads back as a segment of its own
			}
			img := read(t, b)
			judge.Must(t, img.Segments[0].Encode(c, 0))
			out := write(t, img)
			if diff := cmp.Diff(layout(read(t, out)), layout(img)); diff != "" {
				t.Fatalf("%s as %s (-read +written):\n%s", name, c, diff)
			}
			if !bytes.Equal(write(t, img), out) {
				t.Fatalf("%s as %s: the second write is another", name, c)
			}
			put(t, img, "conf/new", File{Mode: TypeFile | 0o644, Data: []byte("new")})
			out = write(t, img)
			put(t, img, "conf/newer", File{Mode: TypeFile | 0o644, Data: []byte("newer")})
			var appended bytes.Buffer
			if _, err := img.WriteAppended(&appended, c, 0); err != nil || !bytes.HasPrefix(appended.Bytes(), out) {
				t.Fatalf("%s: appended %s after a repack: %v", name, c, err)
			}
			again := read(t, appended.Bytes())
			if diff := cmp.Diff(layout(again), layout(img)); diff != "" {
				t.Fatalf("%s, appended %s (-read +written):\n%s", name, c, diff)
			}
			if diff := cmp.Diff(tree(again), tree(img)); diff != "" || len(img.Edits()) != 0 {
				t.Fatalf("%s, appended %s: %d edits (-read +written):\n%s", name, c, len(img.Edits()), diff)
			}
			if !bytes.Equal(write(t, img), appended.Bytes()) {
				t.Fatalf("%s, appended %s: written once more it is another", name, c)
			}
		}
	}
}

// An image that was appended to can be edited and appended to again.
func TestAppendTwice(t *testing.T) {
	img := read(t, join(run(usr()...), run(file("lost/file", ""))))
	var first, second bytes.Buffer
	put(t, img, "conf/a", File{Mode: TypeFile | 0o644, Data: []byte("1")})
	judge.Value(img.WriteAppended(&first, Zstd, 0))(t)
	put(t, img, "conf/a", File{Data: []byte("2")})
	judge.Value(img.WriteAppended(&second, Gzip, 0))(t)
	if !bytes.HasPrefix(second.Bytes(), first.Bytes()) || len(img.Segments) != 4 || len(img.Ignored()) != 1 {
		t.Errorf("%d segments, ignored %v", len(img.Segments), img.Ignored())
	}
	if b, err := read(t, second.Bytes()).ReadFile("conf/a"); string(b) != "2" {
		t.Errorf("%q, %v", b, err)
	}
}

// Appended, new contents for all names of a file would end up as one.
func TestAppendEveryHardLink(t *testing.T) {
	img := read(t, run(usr()...))
	for _, name := range []string{"a", "b", "c"} {
		put(t, img, "usr/bin/"+name, File{Data: []byte("own " + name)})
	}
	if _, err := img.WriteAppended(&bytes.Buffer{}, None, 0); err == nil {
		t.Error("three contents for one file were appended")
	}
}

// Appended, the input is a prefix, the kernel finds what follows, and the tree
// is the one that a repack gives.
func TestAppended(t *testing.T) {
	for name, b := range fixtures(t) {
		for _, pad := range []int{0, 1, 3, 4} {
			for _, c := range Writable {
				in := append(bytes.Clone(b), make([]byte, pad)...)
				judge.Value(Read(bytes.NewReader(in), Limits{}))(t)
				img := read(t, in)
				put(t, img, "conf/initramfs.conf", File{Data: []byte("DEVICE=eth1\n")})
				put(t, img, "bin/new/tool", File{Mode: TypeFile | 0o755, Data: []byte("tool")})
				var out bytes.Buffer
				n, err := img.WriteAppended(&out, c, 0)
				if err != nil || n != int64(out.Len()) || !bytes.HasPrefix(out.Bytes(), in) {
					t.Fatalf("%s, %s: %v", name, c, err)
				}
				again := read(t, out.Bytes())
				if got := again.Segments[len(again.Segments)-1]; got.Compression != c || c == None && got.Offset%4 != 0 {
					t.Errorf("%s: %s at %d", name, got.Compression, got.Offset)
				}
				if diff := cmp.Diff(tree(img), tree(again)); diff != "" {
					t.Errorf("%s, %s (-edited +appended):\n%s", name, c, diff)
				}
			}
		}
	}
}

// After an edited segment the next plain one is where the kernel looks for it,
// and behind lz4 there are the zeros that end it.
func TestGaps(t *testing.T) {
	last := run(dir("."), file("last", "plain"))
	for _, c := range Writable {
		for _, next := range Writable {
			for grow := 1; grow < 5; grow++ {
				in := pack(t, c, run(dir("."), file("f", "")))
				in = join(zeros(append(in, 0, 0, 0, 0), 4), pack(t, next, last))
				img := read(t, in)
				put(t, img, "f", File{Data: []byte("grow")[:grow]})
				again := read(t, write(t, img))
				if len(again.Segments) != 2 || again.Lookup("last") == nil || again.Segments[1].Compression != next {
					t.Errorf("%s, %s: %d segments", c, next, len(again.Segments))
				}
				if got := again.Segments[0]; c == Lz4 && next != Lz4 && got.Padding < 4 {
					t.Errorf("%d zeros between lz4 and %s", got.Padding, next)
				}
			}
		}
	}
}

// However an edited archive is written, the image afterwards is the one that
// reading the file gives, and may be edited and written on.
func TestWrittenIsRead(t *testing.T) {
	for name, b := range fixtures(t) {
		if CheckLevel(read(t, b).Segments[0].Compression, 0) != nil {
			continue // a compression that is read only
		}
		for way, write := range map[string]func(*Image, *bytes.Buffer) error{
			"whole":    func(img *Image, w *bytes.Buffer) error { _, err := img.WriteTo(w); return err },
			"appended": func(img *Image, w *bytes.Buffer) error { _, err := img.WriteAppended(w, Gzip, 0); return err },
		} {
			img := judge.Value(ReadHashed(bytes.NewReader(b), Limits{}))(t)
			for i, then := range []string{"first", "", "second"} {
				if then != "" {
					put(t, img, "conf/written", File{Mode: TypeFile | 0o644, Data: []byte(then)})
				}
				var out bytes.Buffer
				if err := write(img, &out); err != nil {
					t.Fatalf("%s, %s, time %d: %v", name, way, i, err)
				}
				again := read(t, out.Bytes())
				if diff := cmp.Diff(tree(again), tree(img)); diff != "" || len(img.Edits()) != 0 {
					t.Errorf("%s, %s, time %d (-read +written):\n%s", name, way, i, diff)
				}
				if img.FileSum() != again.FileSum() || img.Size() != again.Size() {
					t.Errorf("%s, %s, time %d: another file", name, way, i)
				}
				for n, s := range img.Segments {
					a := again.Segments[n]
					if s.Edited() || s.Offset != a.Offset || s.Size != a.Size || s.Padding != a.Padding || s.Unpacked != a.Unpacked || img.SegmentSum(s) != again.SegmentSum(a) {
						t.Errorf("%s, %s, time %d: segment %d is %+v, read %+v", name, way, i, n, s, a)
					}
				}
			}
		}
	}
}
