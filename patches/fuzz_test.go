package patches

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// FuzzApply: an archive that anybody made is patched or refused in one line; what
// was patched is an archive, says in its settings nothing but plain words, and a
// second time changes nothing.
func FuzzApply(f *testing.F) {
	for _, release := range releases {
		b := judge.Value(tiny.New(release, true).Bytes(initrd.None))(f)
		f.Add(b, "eth0", "keep")
	}
	b := judge.Value(tiny.New("bookworm", false).Bytes(initrd.None))(f)
	f.Add(b, "eth0; reboot", "02:00:5e:10:00:01")
	tgt := tiny.New("bookworm", true)
	f.Fuzz(func(t *testing.T, b []byte, device, mac string) {
		img, err := initrd.Read(bytes.NewReader(b), initrd.Limits{Unpacked: 4 << 20, Entries: 2000})
		if err != nil {
			return
		}
		o := defaults(tgt)
		o.Device, o.MAC, o.Modules, o.Board = device, mac, nil, "generic"
		if _, err := apply(img, tgt.Root, o); err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		again := reread(t, write(t, img))
		checkPlainSettings(t, again)
		report, err := apply(again, tgt.Root, o)
		if err != nil {
			t.Fatalf("its own archive is refused: %v", err)
		}
		if report.Changed() {
			t.Fatalf("changed again: %+v", again.Edits())
		}
	})
}

// checkPlainSettings looks at every value that our scripts are told.
func checkPlainSettings(t *testing.T, img *initrd.Image) {
	t.Helper()
	b := judge.Value(fs.ReadFile(treeOf(img), confPath))(t)
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ours := strings.HasPrefix(name, "GROUNDHOG_"); ok && ours && !confValue.MatchString(value) {
			t.Fatalf("%q", line)
		}
	}
}
