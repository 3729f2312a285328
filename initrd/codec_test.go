package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// TestCodec has a case for each thing that cavaliergopher/cpio loses, makes up
// or lets pass: what goes in must come out, through both of its directions.
func TestCodec(t *testing.T) {
	device := Entry{Name: "console", Mode: TypeChar | 0o600, Nlink: 1, Rdev: Device{5, 1}}
	one, two := hardlink(9, 2, "a", "on 8:1"), hardlink(9, 2, "b", "on 8:2")
	one.Dev, two.Dev = Device{8, 1}, Device{8, 2}
	sum := file("summed", "data")
	sum.Sum = true
	late := file("late", "")
	late.Mtime = 1<<32 - 1
	setuid := file("su", "su")
	setuid.Mode = TypeFile | 0o4755
	padded := file("name", "data")
	padded.namePad = 3
	for name, want := range map[string][]Entry{
		"device numbers":                   {device},
		"equal inodes on two devices":      {one, two},
		"a symlink's body":                 {symlink("link", "target")},
		"inode 0":                          {file("a", "a"), file("b", "b")},
		"links 0":                          {{Name: "a", Mode: TypeFile}},
		"no file type":                     {{Name: "a", Mode: 0o644, Nlink: 1}},
		"070701 after 070702":              {sum, file("plain", "data")},
		"the last second of 2106":          {late},
		"setuid is a file still":           {setuid},
		"a socket is no directory":         {{Name: "s", Mode: TypeSocket | 0o700, Nlink: 1}},
		"a name filled up with NULs":       {padded},
		"a file of more than one read":     {file("big", strings.Repeat("x", readAtOnce+5)), file("next", "")},
		"the longest name":                 {file(strings.Repeat("n", maxNameSize-1), "")},
		"the longest target":               {symlink("l", strings.Repeat("t", maxNameSize))},
		"data that looks like a trailer":   {file("f", string(record(Entry{Name: "TRAILER!!!"})))},
		"a name that begins like the last": {file("TRAILER!!!x", "")},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := newWriter(&b)
			for _, e := range want {
				before := bare(e)
				judge.Must(t, w.writeEntry(&e))
				if diff := cmp.Diff(before, bare(e), cmp.AllowUnexported(Entry{})); diff != "" {
					t.Errorf("writing changed the entry (-want +got):\n%s", diff)
				}
			}
			judge.Must(t, w.closeRun())
			if want[0].Sum { // then the trailer has a sum as well
				want = append(want[:len(want):len(want)], Entry{Name: trailerName, Nlink: 1, Sum: true})
			}
			plain := make([]byte, 0, b.Len())
			for _, e := range want {
				plain = append(plain, record(e)...)
			}
			if !want[0].Sum {
				plain = append(plain, record(Entry{Name: trailerName, Nlink: 1})...)
			}
			if !bytes.Equal(b.Bytes(), zeros(plain, 512)) {
				t.Fatal("the writer's bytes are not cpio(5)'s")
			}
			r := newReader(bytes.NewReader(b.Bytes()), 1<<30)
			for i := 0; ; i++ {
				got := judge.Value(r.nextEntry())(t)
				if got.IsTrailer() {
					break
				}
				if diff := cmp.Diff(bare(want[i]), bare(*got), cmp.AllowUnexported(Entry{})); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// What the codec would take, or die of, is refused.
func TestCodecRefuses(t *testing.T) {
	header := func(field int, digits string) []byte {
		b := run(file("name", "data"))
		copy(b[6+8*field:], digits)
		return b
	}
	cut := record(symlink("l", "target"))[:112] // name ends on a boundary
	noNUL := bytes.Replace(run(file("name", "")), []byte("name\x00"), []byte("nameX"), 1)
	trailer := record(Entry{Name: "TRAILER!!!", Mode: TypeFile, Data: []byte("body")})
	padded := record(Entry{Name: "TRAILER!!!", Mode: TypeFile, Data: []byte("body"), namePad: 4})
	sum := file("f", "data")
	sum.Sum = true
	wrong := bytes.Replace(run(sum), []byte("data"), []byte("dbta"), 1)
	short := bytes.Replace(run(file("f", strings.Repeat("x", 100))), []byte("00000064"), []byte("00000fff"), 1)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"no input":                   {nil, io.ErrUnexpectedEOF},
		"no trailer":                 {record(file("a", "")), io.ErrUnexpectedEOF},
		"half a header":              {run()[:60], io.ErrUnexpectedEOF},
		"a symlink without its body": {cut, io.ErrUnexpectedEOF},
		"a body that is not there":   {short, io.ErrUnexpectedEOF},
		"bad digits":                 {header(hMode, "0000zz00"), ErrFormat},
		"blanks for digits":          {header(hUID, "       0"), ErrFormat},
		"a negative size":            {header(hSize, "-0000001"), ErrFormat},
		"4 GiB":                      {header(hSize, "FFFFFFFF"), ErrTooLarge},
		"a name of 0 bytes":          {header(hNameSize, "00000000"), ErrFormat},
		"a name of 4 GiB":            {header(hNameSize, "FFFFFFFF"), ErrFormat},
		"a sum without 070702":       {header(hSum, "00000001"), ErrFormat},
		"a wrong sum":                {wrong, ErrFormat},
		"another magic":              {append([]byte("070703"), run()[6:]...), ErrFormat},
		"a name without a NUL":       {noNUL, ErrFormat},
		"a trailer with a body":      {trailer, ErrFormat},
		"a padded one with a body":   {padded, ErrFormat},
		"a symlink to nothing":       {record(symlink("l", "")), ErrFormat},
		"a target of 5000 bytes":     {run(symlink("l", strings.Repeat("x", 5000))), ErrFormat},
		"an absolute name":           {run(file("/etc/shadow", "")), ErrFormat},
		"a name that leads out":      {run(file("a/../../b", "")), ErrFormat},
		"a NUL inside a name":        {run(file("a\x00b", "")), ErrFormat},
		"an empty name":              {run(file("", "")), ErrFormat},
		"a link that leads out":      {run(symlink("l", "../.."), file("l/x", "")), ErrFormat},
		"links in a circle":          {run(symlink("a", "b"), symlink("b", "a"), file("a/x", "")), ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			if c.b != nil {
				_, err := Read(bytes.NewReader(c.b), Limits{})
				if !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("Read: %v, want %v", err, c.want)
				}
			}
			s := &Segment{}
			if err := s.readRun(bytes.NewReader(c.b), &budget{Limits: Limits{Unpacked: 1 << 30, Entries: 9}}); err == nil && !strings.Contains(name, "link") {
				t.Error("readRun took it")
			}
		})
	}
}

// The reader stops right behind the trailer, wherever the bytes come from.
func TestReaderStops(t *testing.T) {
	plain := record(file("a", "data"))
	plain = append(plain, record(Entry{Name: "TRAILER!!!", Nlink: 1})...)
	in := bytes.NewReader(append(bytes.Clone(plain), "more"...))
	s := &Segment{}
	if err := s.readRun(in, &budget{Limits: Limits{Unpacked: 1 << 20, Entries: 9}}); err != nil || in.Len() != 4 {
		t.Errorf("%v, %d bytes left, want 4", err, in.Len())
	}
}

// A write that fails anywhere is an error of WriteTo.
func TestWriteFails(t *testing.T) {
	for name, b := range fixtures(t) {
		for _, again := range []bool{false, true} {
			size := len(b)
			if img := read(t, b); again {
				size = len(recode(t, img))
			}
			for room := 0; room < size; room += 97 {
				img := read(t, b)
				if again {
					recode(t, img)
				}
				if _, err := img.WriteTo(&full{room}); !errors.Is(err, errFull) {
					t.Fatalf("%s: room for %d of %d bytes: %v", name, room, size, err)
				}
			}
		}
	}
	w := newWriter(io.Discard)
	for _, name := range []string{"", "a\x00b", strings.Repeat("n", maxNameSize)} {
		if err := w.writeEntry(&Entry{Name: name}); err == nil {
			t.Errorf("%.20q: written", name)
		}
	}
}

// An archive that could not be written can be written again, and is then the same; nothing is appended to what is no longer there.
func TestWriteAgain(t *testing.T) {
	for name, b := range fixtures(t) {
		if slices.ContainsFunc(read(t, b).Segments, func(s *Segment) bool { return CheckLevel(s.Compression, 0) != nil }) {
			continue // it can be read, and not written
		}
		edited := func() *Image {
			img := read(t, b)
			judge.Value(img.Put("new", File{Mode: TypeFile | 0o644, Data: []byte("content")}))(t)
			return img
		}
		want := write(t, edited())
		img := edited()
		if _, err := img.WriteTo(&full{0}); !errors.Is(err, errFull) {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := img.WriteAppended(io.Discard, None, 0); err == nil || !strings.Contains(err.Error(), "has lost its bytes") {
			t.Errorf("%s: appended: %v", name, err)
		}
		if !bytes.Equal(write(t, img), want) {
			t.Errorf("%s: the second time another archive was written", name)
		}
		if _, err := img.WriteAppended(io.Discard, None, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errFull = fmt.Errorf("no space left on device")

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n := f.room
		f.room = 0
		return n, errFull
	}
	f.room -= len(p)
	return len(p), nil
}
