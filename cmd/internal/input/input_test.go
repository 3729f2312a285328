package input

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/output"
	"groundhog/cmd/internal/screen"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/manifest"
)

func noScreen() *screen.Screen { return nil }

// Standard input is read by the first who names it; where it is not for files, its name is a file's.
func TestStdin(t *testing.T) {
	t.Chdir(t.TempDir())
	judge.WriteFile(t, output.Stdio, "a file")
	in := Of(strings.NewReader("standard input"), noScreen)
	if b, about, err := in.Small("key", output.Stdio); string(b) != "standard input" || err != nil || about.Name != output.Stdio || about.Role != "key" || about.Size != 14 {
		t.Errorf("%q, %+v, %v", b, about, err)
	}
	if _, _, err := in.Small("key", output.Stdio); err == nil || !strings.Contains(err.Error(), "named twice") {
		t.Errorf("once more: %v", err)
	}
	for _, in := range []*Files{Named(), Beside()} {
		if b, _, err := in.Small("key", output.Stdio); string(b) != "a file" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// What has no end, or is too large, is refused by its name; a pipe nobody named is not waited for, and gives a manifest no name.
func TestOdd(t *testing.T) {
	dir := t.TempDir()
	fifo, large := filepath.Join(dir, "fifo"), filepath.Join(dir, "large")
	judge.Must(t, unix.Mkfifo(fifo, 0o600))
	judge.WriteFile(t, large, "")
	judge.Must(t, os.Truncate(large, maxSmall+1))
	_, directory := Named().Archive(dir, 1<<20)
	_, device := Named().Source("/dev/zero", nil, 1<<20)
	_, pipe := Beside().ManifestText(fifo, 1<<20)
	_, _, small := Named().Small("key", large)
	_, signers := Named().AllowedSigners(large)
	for want, err := range map[string]error{dir + ": a directory": directory, "/dev/zero: a device": device, fifo + ": a FIFO": pipe, large + ": more than 16777216 bytes": small,
		large + ": larger than 16777216 bytes": signers} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if Name(fifo) != output.Stdio || ManifestName(fifo) != "" || ManifestName(large) != "large" {
		t.Errorf("%q, %q, %q", Name(fifo), ManifestName(fifo), ManifestName(large))
	}
}

// A source is told by its content, wherever it comes from: the archive and its own manifest are the same.
func TestSource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "initrd.img")
	archive := judge.Value(tiny.New("bookworm", true).Bytes(initrd.None))(t)
	judge.WriteFile(t, file, archive)
	made, err := Named().Source(file, nil, 32<<20)
	if err != nil || made.Image == nil || made.Manifest.Archive.Name != "initrd.img" {
		t.Fatalf("%+v, %v", made, err)
	}
	var text bytes.Buffer
	judge.Must(t, manifest.Encode(&text, made.Manifest))
	for about, from := range map[string]io.Reader{"archive": bytes.NewReader(archive), "manifest": bytes.NewReader(text.Bytes())} {
		got, err := Of(from, noScreen).Source(output.Stdio, nil, 32<<20)
		if err != nil || got.Manifest.Archive.SHA256 != made.Manifest.Archive.SHA256 || (got.Image == nil) != (about == "manifest") {
			t.Errorf("%s: %+v, %v", about, got, err)
		}
	}
	if _, err := Named().Source(file, nil, 64); err == nil {
		t.Error("more than was allowed")
	}
	if a, err := Named().SkimArchive(file, 32<<20, ForManifest); err != nil || debian.Read(a.Image).Release != "bookworm" {
		t.Errorf("%+v, %v", a, err)
	}
}

// Later layers lie on top, whichever of the two flags they came by.
func TestLayers(t *testing.T) {
	var ls Layers
	for _, err := range []error{ls.Flag(false).Set("root"), ls.Flag(true).Set("debs"), ls.Flag(false).Set("top")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ls.Flag(true).Set("") == nil || len(ls) != 3 || ls[0] != (Layer{"root", false}) || ls[1] != (Layer{"debs", true}) || ls[2] != (Layer{"top", false}) {
		t.Errorf("%+v", ls)
	}
	none := Layers{}.OpenAhead(1 << 20)
	defer none.Close()
	if tree, err := none.Tree(); tree != nil || err != nil {
		t.Errorf("%v, %v", tree, err)
	}
	missing := Layers{{filepath.Join(t.TempDir(), "none"), false}}.OpenAhead(1<<20, "usr/bin/curl")
	defer missing.Close()
	if _, err := missing.Tree(); err == nil || strings.Count(err.Error(), "opening the root tree: ") != 1 || strings.Contains(err.Error(), "opening root tree") {
		t.Error(err)
	}
}
