package image

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"groundhog/cmd/internal/flash/image/claim"
	"groundhog/fixtures/judge"
)

// withXZ has a shell script as the host's xz; "" for none.
func withXZ(t *testing.T, script string) {
	dir := t.TempDir()
	if script != "" {
		judge.Must(t, judge.WriteProgram(filepath.Join(dir, "xz"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	}
	t.Setenv("PATH", dir)
}

// Whatever the host's xz does with a file, and whether it is there at all, the image is the same, or the error is.
func TestHostXZ(t *testing.T) {
	cores(t, 2)
	host := judge.Tool(t, "xz")
	want := disk(5 << 20)
	one := packWith(t, []string{"xz", "-c", "-0", "-T1"}, want)
	files := map[string][]byte{
		"one block":        one,
		"several blocks":   packWith(t, []string{"xz", "-c", "-0", "-T2", "--block-size=1048576"}, want),
		"several streams":  slices.Concat(packWith(t, []string{"xz", "-c", "-0"}, want[:1<<20]), make([]byte, 8), packWith(t, []string{"xz", "-c", "-0"}, want[1<<20:])),
		"no checksum":      packWith(t, []string{"xz", "-c", "-0", "-T1", "--check=none"}, want),
		"another filter":   packWith(t, []string{"xz", "-c", "--x86", "--lzma2=preset=0"}, want),
		"a byte is other":  damaged(one, len(one)/2),
		"a check is other": damaged(one, len(one)-50),
		"its footer":       damaged(one, len(one)-3),
		"it was cut":       one[:len(one)-100],
		"text behind it":   append(bytes.Clone(one), "something else"...),
	}
	type outcome struct {
		content []byte
		sum     string
		err     string
	}
	read := func(stored []byte) (o outcome) {
		i, err := Open(t.Context(), old(t, filepath.Join(t.TempDir(), "image.xz"), stored), "", nil, Force(true))
		if err == nil {
			defer i.Close()
			o.content, err = whole(i)
			o.sum = i.Sum()
		}
		if err != nil {
			o.content, o.err = nil, filepath.Base(err.Error())
		}
		return o
	}
	withXZ(t, "")
	library := map[string]outcome{}
	for what, stored := range files {
		library[what] = read(stored)
		if bad := damagedNames[what]; bad != (library[what].err != "") || !bad && !bytes.Equal(library[what].content, want) {
			t.Errorf("%s: %d bytes, %s", what, len(library[what].content), library[what].err)
		}
	}
	for how, script := range map[string]string{
		"xz":               "exec " + host + ` "$@"`,
		"it fails at once": "exit 1",
		"it fails late":    host + ` "$@"; exit 1`,
		"it warns":         host + ` "$@"; exit 2`,
		"it reads half":    "head -c 1000 >/dev/null; exit 1",
		"it is killed":     host + ` "$@" | head -c 3000000; kill -9 $$`,
	} {
		t.Run(how, func(t *testing.T) {
			withXZ(t, "PATH=/usr/bin:/bin\n"+script)
			for what, stored := range files {
				if got := read(stored); !bytes.Equal(got.content, library[what].content) || got.sum != library[what].sum || got.err != library[what].err {
					t.Errorf("%s: %d bytes, %s; without it %d, %s", what, len(got.content), got.err, len(library[what].content), library[what].err)
				}
			}
		})
	}
}

var damagedNames = map[string]bool{"a byte is other": true, "a check is other": true, "its footer": true, "it was cut": true, "text behind it": true}

// damaged is b with another byte.
func damaged(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

// Where xz gives something else than the file has, and fails, there is no image.
func TestHostXZLies(t *testing.T) {
	stored := old(t, filepath.Join(t.TempDir(), "image.xz"), packWith(t, []string{"xz", "-c", "-0", "-T1"}, disk(3<<20)))
	host := judge.Tool(t, "xz")
	for _, script := range []string{host + ` "$@" | head -c 2500000 | tr x y; exit 1`, "head -c 2000000 /dev/zero; exit 1"} {
		withXZ(t, "PATH=/usr/bin:/bin\n"+script)
		i, err := Open(t.Context(), stored, "", nil, Force(true))
		if err == nil {
			_, err = whole(i)
			i.Close()
		}
		if !errors.Is(err, errHostXZ) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// What xz gives is used, and one that says nothing ends with the image.
func TestHostXZIsUsed(t *testing.T) {
	stored := old(t, filepath.Join(t.TempDir(), "image.xz"), packWith(t, []string{"xz", "-c", "-0", "-T1"}, disk(1<<20)))
	args := filepath.Join(t.TempDir(), "args")
	host := judge.Tool(t, "xz")
	withXZ(t, `echo "$* ${XZ_OPT-none}" >`+args+"; exec "+host+` "$@"`)
	t.Setenv("XZ_OPT", "-9")
	judge.Value(whole(open(t, stored, "", nil)))(t)
	if b, err := os.ReadFile(args); err != nil || !bytes.HasPrefix(b, []byte("-dc -T")) || !bytes.HasSuffix(b, []byte(" none\n")) {
		t.Errorf("%q, %v", b, err)
	}
	withXZ(t, "PATH=/usr/bin:/bin\nexec sleep 1000")
	before := runtime.NumGoroutine()
	ended := make(chan error, 1)
	file := judge.Value(os.Open(stored))(t)
	info := judge.Value(file.Stat())(t)
	streams, _ := claim.XZStreams(t.Context(), file, info.Size())
	r, _, err := decodeBy(file, decodeOptions{file: io.NewSectionReader(file, 0, info.Size()), xz: streams})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, err := r.Read(make([]byte, 1)); ended <- err }()
	judge.Must(t, r.Close())
	if err := <-ended; err == nil {
		t.Error("something came")
	}
	file.Close()
	judge.Until(t, "its goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}
