package sums

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"groundhog/fixtures/judge"
)

var (
	a = strings.Repeat("ab", 32)
	b = strings.Repeat("cd", 32)
)

func utf16le(s string) string {
	out := "\xff\xfe"
	for _, u := range utf16.Encode([]rune(s)) {
		out += string([]byte{byte(u), byte(u >> 8)})
	}
	return out
}

// What a file of sums says of the image /srv/out/disk.img, or of the name that is given.
func TestOf(t *testing.T) {
	signed := "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + a + "  disk.img\n-----BEGIN PGP SIGNATURE-----\n\niQIz\n=abcd\n-----END PGP SIGNATURE-----\n"
	for what, tt := range map[string]struct {
		text string
		name string // /srv/out/disk.img
		want string
		err  bool
	}{
		"text mode":             {text: a + "  disk.img\n", want: a},
		"binary mode":           {text: a + " *disk.img\n", want: a},
		"no line's end":         {text: a + "  disk.img", want: a},
		"upper case":            {text: strings.ToUpper(a) + "  disk.img\n", want: a},
		"one blank":             {text: a + " disk.img\n", want: a},
		"a tab":                 {text: a + "\tdisk.img\n", want: a},
		"a blank in the name":   {text: a + "  my disk.img\n", name: "/srv/my disk.img", want: a},
		"blanks around it":      {text: a + "   disk .img\n", name: "/srv/ disk .img", want: a},
		"a blank behind it":     {text: a + "  disk.img \n", want: a},
		"a star in the name":    {text: a + " **.img\n", name: "/srv/*.img", want: a},
		"tagged":                {text: "SHA256 (disk.img) = " + a + "\n", want: a},
		"tagged, a blank":       {text: "SHA256 (my disk.img) = " + a + "\n", name: "/srv/my disk.img", want: a},
		"tagged, brackets":      {text: "SHA256 (a) = (b).img) = " + a + "\n", name: "/srv/a) = (b).img", want: a},
		"tagged by openssl":     {text: "SHA256(disk.img)= " + a + "\n", want: a},
		"tagged by openssl 3":   {text: "SHA2-256(disk.img)= " + a + "\n", want: a},
		"other algorithms":      {text: "MD5 (disk.img) = 0123\nSHA512 (disk.img) = " + a + a + "\nSHA256 (disk.img) = " + a + "\n", want: a},
		"other algorithms only": {text: "SHA512 (disk.img) = " + a + a + "\n"},
		"a BOM":                 {text: "\ufeff" + a + "  disk.img\n", want: a},
		"UTF-16":                {text: utf16le(a + "  disk.img\r\n"), want: a},
		"CRLF":                  {text: a + "  disk.img\r\n" + b + "  other.img\r\n", want: a},
		"./":                    {text: a + "  ./disk.img\n", want: a},
		"a directory":           {text: a + "  out/disk.img\n", want: a},
		"another directory":     {text: a + "  build/images/disk.img\n", want: a},
		"an absolute name":      {text: a + "  /srv/out/disk.img\n", want: a},
		"Windows' directory":    {text: a + " *C:\\out\\disk.img\n", want: a},
		"the nearest counts":    {text: b + "  other/disk.img\n" + a + "  out/disk.img\n", want: a},
		"the bare name counts":  {text: b + "  other/disk.img\n" + a + "  disk.img\n", want: a},
		"two directories":       {text: b + "  x/disk.img\n" + a + "  y/disk.img\n", err: true},
		"twice, two sums":       {text: b + "  disk.img\n" + a + "  disk.img\n", err: true},
		"twice, one sum":        {text: a + "  disk.img\n" + a + " *./disk.img\n", want: a},
		"escaped":               {text: `\` + a + `  disk\\1\n.img` + "\n", name: "/srv/disk\\1\n.img", want: a},
		"escaped, tagged":       {text: `\SHA256 (disk\n.img) = ` + a + "\n", name: "/srv/disk\n.img", want: a},
		"escaped, wrongly":      {text: `\` + a + `  disk\x.img` + "\n", err: true},
		"escaped, cut":          {text: `\` + a + `  disk.img\` + "\n", err: true},
		"comments":              {text: "# sums\n\n" + a + "  disk.img\n", want: a},
		"signed":                {text: signed, want: a},
		"signed, cut":           {text: signed[:len(signed)-10], err: true},
		"signed, no headers":    {text: "-----BEGIN PGP SIGNED MESSAGE-----\n" + a + "  disk.img\n", err: true},
		"others":                {text: b + "  disk.img.xz\n" + b + "  xdisk.img\n" + b + "  disk.img/x\n"},
		"nothing":               {},
		"prose":                 {text: "the sums are\n" + a + "  disk.img\n", err: true},
		"another length":        {text: a[1:] + "  disk.img\n", err: true},
		"SHA-512":               {text: a + a + "  disk.img\n", err: true},
		"tagged, cut":           {text: "SHA256 (disk.img) = " + a[1:] + "\n", err: true},
		"a web page":            {text: "<!doctype html>\n", err: true},
		"JSON":                  {text: `{"disk.img": "` + a + `"}`, err: true},
		"a disk":                {text: string(make([]byte, 512)), err: true},
		"half of UTF-16":        {text: utf16le(a)[:33], err: true},
	} {
		if tt.name == "" {
			tt.name = "/srv/out/disk.img"
		}
		all, err := Parse([]byte(tt.text))
		got := ""
		if err == nil {
			got, err = Of(all, tt.name)
		}
		if got != tt.want || (err != nil) != tt.err {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

// What sha256sum says is right is the sum that is found; what it writes, in whatever form, is understood.
func TestSha256sum(t *testing.T) {
	tool := judge.Tool(t, "sha256sum")
	dir := t.TempDir()
	for n, name := range []string{"disk.img", "my disk.img", " lead", "trail ", "back\\slash", "new\nline", "carriage\rreturn", "*star", "(a) = b", "ümlaut", "-", "#hash"} {
		judge.WriteFile(t, filepath.Join(dir, name), []byte{byte(n)})
		for _, args := range [][]string{{}, {"--tag"}, {"--binary"}, {"--text"}} {
			for _, in := range []string{"", "./", dir + "/"} {
				cmd := exec.Command(tool, append(args, "--", in+name)...)
				cmd.Dir = dir
				if in == "" && name == "-" {
					continue
				}
				out := judge.Output(t, cmd)
				all, err := Parse(out)
				if err != nil || len(all) != 1 {
					t.Errorf("%q: %v", out, err)
					continue
				}
				got, err := Of(all, filepath.Join(dir, name))
				if err != nil || !Is(got) || !bytes.Contains(out, []byte(got)) {
					t.Errorf("%q: %q, %v", out, got, err)
				}
			}
		}
	}
}

// A line is a sum and a name, or nothing of the file counts.
func FuzzParse(f *testing.F) {
	f.Add([]byte(a + "  disk.img\n"))
	f.Add([]byte("SHA256 (disk.img) = " + a + "\r\n"))
	f.Add([]byte(`\` + a + `  di\nsk.img` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := Parse(b)
		if err != nil {
			return
		}
		for _, s := range all {
			if !Is(s.SHA) {
				t.Errorf("%+v", s)
			}
		}
		if got, err := Of(all, "/x/disk.img"); errors.Is(err, nil) && got != "" && !Is(got) {
			t.Errorf("%q", got)
		}
	})
}
