package direct

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/chacha20poly1305"

	"groundhog/fixtures/judge"
)

// sealed is the records of a line, each by itself: the empty one, and one for each part.
func sealed(t testing.TB, k Key, parts ...[]byte) (records [][]byte) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, k)
	cut := func() {
		records = append(records, bytes.Clone(b.Bytes()))
		b.Reset()
	}
	judge.Must(t, w.Show())
	cut()
	for _, p := range parts {
		if n, err := w.Write(p); err != nil || n != len(p) {
			t.Fatalf("%d of %d bytes, %v", n, len(p), err)
		}
		cut()
	}
	return records
}

// opened is what comes out of a line, up to its end.
func opened(r io.Reader, k Key) ([]byte, error) {
	line := NewReader(r, k)
	if err := line.Seen(); err != nil {
		return nil, err
	}
	return io.ReadAll(line)
}

func TestRoundTrip(t *testing.T) {
	k := NewKey()
	for _, sizes := range [][]int{{}, {1}, {MaxRecord}, {MaxRecord + 1}, {3, 5*MaxRecord + 17, 0, 1, MaxRecord - 1}} {
		var parts [][]byte
		for i, n := range sizes {
			parts = append(parts, judge.Noise(uint64(i), n))
		}
		all := bytes.Join(sealed(t, k, parts...), nil)
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(all), "by halves": iotest.HalfReader(bytes.NewReader(all)), "byte by byte": iotest.OneByteReader(bytes.NewReader(all))} {
			if got, err := opened(r, k); err != nil || !bytes.Equal(got, bytes.Join(parts, nil)) {
				t.Errorf("%v, %s: %d bytes, %v", sizes, name, len(got), err)
			}
		}
	}
}

// A record is what RFC 8439 makes of its bytes: whoever has the RFC can read the line.
func TestIsRFC8439(t *testing.T) {
	k := NewKey()
	aead := judge.Value(chacha20poly1305.New(k[:]))(t)
	for i, r := range sealed(t, k, []byte("one"), []byte("two!")) {
		nonce := make([]byte, 12)
		nonce[11] = byte(i)
		plain, err := aead.Open(nil, nonce, r[4:], r[:4])
		if want := []string{"", "one", "two!"}[i]; err != nil || string(plain) != want || !bytes.Equal(r[:4], []byte{0, 0, 0, byte(len(want))}) {
			t.Errorf("record %d: %q, %v", i, plain, err)
		}
	}
}

// Whatever was done to a line, what comes out of it is a beginning of what went in, and its end is no proper one but between two records.
func TestChanged(t *testing.T) {
	k := NewKey()
	parts := [][]byte{[]byte("first "), bytes.Repeat([]byte("x"), 100), []byte(" last")}
	records := sealed(t, k, parts...)
	all, plain := bytes.Join(records, nil), bytes.Join(parts, nil)
	check := func(what string, line []byte, proper bool) {
		t.Helper()
		got, err := opened(bytes.NewReader(line), k)
		if !bytes.HasPrefix(plain, got) || (err == nil) != proper && !(err == io.EOF && len(line) == 0) || err != nil && !errors.Is(err, ErrSealed) && !errors.Is(err, io.ErrUnexpectedEOF) && len(line) > 0 {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	ends := map[int]bool{}
	n := 0
	for _, r := range records {
		n += len(r)
		ends[n] = true
	}
	for n := range all {
		check(fmt.Sprintf("cut at %d", n), all[:n], ends[n])
	}
	for bit := range 8 * len(all) {
		line := bytes.Clone(all)
		line[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprintf("bit %d", bit), line, false)
	}
	for i := range records {
		check(fmt.Sprintf("without record %d", i), bytes.Join(slices.Delete(slices.Clone(records), i, i+1), nil), i == len(records)-1)
		check(fmt.Sprintf("record %d twice", i), bytes.Join(slices.Insert(slices.Clone(records), i, records[i]), nil), false)
	}
	swapped := slices.Clone(records)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	check("swapped", bytes.Join(swapped, nil), false)
	if got, err := opened(bytes.NewReader(all), NewKey()); !errors.Is(err, ErrSealed) || len(got) > 0 {
		t.Errorf("with another key: %q, %v", got, err)
	}
}

// Behind an error nothing comes any more, however much there is.
func TestNothingBehindAnError(t *testing.T) {
	k := NewKey()
	records := sealed(t, k, []byte("one"), []byte("two"))
	line := NewReader(bytes.NewReader(bytes.Join([][]byte{records[0], records[2], records[1], records[2]}, nil)), k)
	judge.Must(t, line.Seen())
	for range 3 {
		if n, err := line.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrSealed) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

// A key is not printed, whatever is printed of what holds it.
func TestKeyIsNotPrinted(t *testing.T) {
	k := Key(bytes.Repeat([]byte{0xab}, len(Key{})))
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		if got := fmt.Sprintf(format, struct{ K Key }{k}) + fmt.Sprintf(format, k); strings.Contains(strings.ToLower(got), "ab") || strings.Contains(got, "171") {
			t.Errorf("%s: %s", format, got)
		}
	}
}

func FuzzLine(f *testing.F) {
	k := Key{1, 2, 3}
	f.Add(bytes.Join(sealed(f, k, []byte("one"), []byte("two")), nil), uint8(7))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		// as it comes: nothing is believed
		if got, err := opened(bytes.NewReader(b), k); len(got) > 0 && err != nil && !errors.Is(err, ErrSealed) && err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		// as what is sent, in pieces
		var line bytes.Buffer
		w := NewWriter(&line, k)
		judge.Must(t, w.Show())
		for part := range slices.Chunk(b, int(step)+1) {
			judge.Value(w.Write(part))(t)
		}
		if got, err := opened(&line, k); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d of %d bytes, %v", len(got), len(b), err)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	k, data := NewKey(), judge.Noise(1, 1<<20)
	b.SetBytes(int64(len(data)))
	pr, pw := io.Pipe()
	go func() {
		w := NewWriter(pw, k)
		for w.Show(); ; {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	}()
	defer pr.Close()
	r := NewReader(pr, k)
	judge.Must(b, r.Seen())
	for b.Loop() {
		judge.Value(io.CopyN(io.Discard, r, int64(len(data))))(b)
	}
}
