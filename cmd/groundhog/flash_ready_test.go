package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
)

// What is wrong with an image that is here, or with what it is to be written to, is said while the old system still boots;
// what is not is written, and the verdict says what it was checked against.
func TestFlashReady(t *testing.T) {
	b := bootable.Partitioned(3 << 20)
	z := judge.Gzip(b)
	flipped := bytes.Clone(z)
	flipped[len(z)-6] ^= 1 // of the checksum
	large := bootable.Partitioned(3 << 20)
	copy(large[446+12:], "\x00\x00\x02\x00") // 64 MiB, on a disk of 24
	btrfs := bytes.Clone(b)
	copy(btrfs[1<<20+1080:], "\x00\x00")
	copy(btrfs[1<<20+65536+64:], "_BHRfS_M")
	for what, c := range map[string]struct {
		stored []byte
		args   []string
		want   string // of what is said; a refusal but for "verified"
	}{
		"raw":                   {b, nil, "not checked against anything"},
		"gzip":                  {z, nil, "verified"},
		"gzip, padded":          {append(bytes.Clone(z), make([]byte, 512)...), nil, "verified"},
		"gzip, a trailer":       {append(bytes.Clone(z), "trailer"...), nil, "something else is behind its end"},
		"gzip, a trailer meant": {append(bytes.Clone(z), "trailer"...), []string{"--force"}, "verified"},
		"gzip, cut":             {z[:len(z)-3], nil, "unexpected EOF"},
		"gzip, damaged":         {flipped, nil, "gzip: "},
		"cut":                   {b[:2<<20], nil, "it was cut"},
		"cut, meant":            {b[:2<<20], []string{"--force"}, "verified"},
		"of a larger card":      {large, nil, "it was cut"},
		"a text":                {[]byte("hello\n"), nil, "a text"},
		"a text, meant":         {[]byte("hello\n"), []string{"--force"}, "verified"},
		"grown, btrfs":          {btrfs, []string{"--grow"}, "only ext2, ext3 and ext4"},
	} {
		t.Run(what, func(t *testing.T) {
			d := newDesk(t)
			d.Wait("b1")
			d.On("command -v", func(*devicetest.Command) int { return 0 })
			before := bytes.Repeat([]byte{0xee}, devicetest.DiskSize)
			judge.WriteFile(t, d.DiskFile(), before)
			judge.WriteFile(t, d.image, c.stored)
			var out, errs bytes.Buffer
			code := run(append(d.args("flash"), c.args...), nil, &out, &errs)
			disk := judge.ReadFile(t, d.DiskFile())
			said := out.String() + errs.String()
			refused := c.want != "verified" && what != "raw"
			if !strings.Contains(said, c.want) || refused != (code != 0) {
				t.Errorf("exit %d, want %q: %s", code, c.want, said)
			}
			if refused && !bytes.Equal(disk, before) {
				t.Error("something was written")
			}
			if !refused && bytes.Equal(disk, before) {
				t.Error("nothing was written")
			}
		})
	}
}

// A verdict names what the image was held against.
func TestFlashChecked(t *testing.T) {
	d := newDesk(t)
	d.Wait("b1")
	b := bootable.Partitioned(3 << 20)
	judge.WriteFile(t, d.image, b)
	sum := fmt.Sprintf("%x", sha256.Sum256(b))
	sums := filepath.Join(filepath.Dir(d.image), "SHA256SUMS")
	for _, c := range []struct{ text, want string }{{"", ""}, {sum + "  disk.img\n", sums}, {"SHA256 (disk.img) = " + sum + "\n", sums}} {
		judge.WriteFile(t, sums, c.text)
		var out, errs bytes.Buffer
		code := run(append(d.args("flash"), "--json"), nil, &out, &errs)
		if want := fmt.Sprintf(`"checked_against":%q`, c.want); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("exit %d, want %s: %s%s", code, want, out.String(), errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run(append(d.args("flash"), "--sha256", sum), nil, &out, &errs); code != 0 || !strings.Contains(out.String(), "checked against --sha256") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	judge.WriteFile(t, sums, strings.Repeat("00", 32)+"  images/disk.img\n")
	if code := run(d.args("flash"), nil, &out, &errs); code == 0 || !strings.Contains(errs.String(), "checksum is another") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
