package patches

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/manifest"
)

var releases = []string{"buster", "bullseye", "bookworm", "trixie"}

// read is the target's archive as an image.
func read(t testing.TB, tgt *tiny.Target) *initrd.Image {
	t.Helper()
	b := judge.Value(tgt.Bytes(initrd.None))(t)
	return reread(t, b)
}

func reread(t testing.TB, b []byte) *initrd.Image {
	t.Helper()
	return judge.Value(initrd.Read(bytes.NewReader(b), initrd.Limits{}))(t)
}

func write(t testing.TB, img *initrd.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := img.WriteTo(&b)
	judge.Must(t, err)
	return b.Bytes()
}

// defaults are options that take nothing random: the archive's or the root
// tree's keys stay, and where there are none these are given.
func defaults(tgt *tiny.Target) Options {
	o := Defaults()
	if tgt.Archive["usr/sbin/dropbear"] == nil {
		o.HostKeys = tiny.HostKeys[:1]
	}
	return o
}

// apply patches img; a nil root is none.
func apply(img *initrd.Image, root fs.FS, o Options) (*Report, error) {
	var layers []string
	if root != nil {
		layers = []string{"the tree"}
	}
	return Apply(img, root, layers, o, "groundhog test", "0123")
}

// patch patches the target's archive, which must work, and returns the
// archive as it would be read from the file.
func patch(t testing.TB, tgt *tiny.Target, change func(*Options)) (*initrd.Image, *Report) {
	t.Helper()
	o := defaults(tgt)
	if change != nil {
		change(&o)
	}
	img := read(t, tgt)
	r := judge.Value(apply(img, tgt.Root, o))(t)
	return reread(t, write(t, img)), r
}

// refused is the one line of error that patching must end with.
func refused(t testing.TB, tgt *tiny.Target, change func(*Options)) error {
	t.Helper()
	o := defaults(tgt)
	if change != nil {
		change(&o)
	}
	_, err := apply(read(t, tgt), tgt.Root, o)
	if err == nil {
		t.Fatal("no error")
	}
	if bytes.ContainsAny([]byte(err.Error()), "\n\r") {
		t.Errorf("more than a line: %q", err)
	}
	return err
}

func text(t testing.TB, img *initrd.Image, name string) string {
	t.Helper()
	b := judge.Value(img.ReadFile(name))(t)
	return string(b)
}

// snapshot is the archive as the kernel unpacks it: mode and content by path.
func snapshot(img *initrd.Image) map[string]string {
	all := map[string]string{}
	for name, e := range img.Tree() {
		all[name] = e.ModeString() + " " + string(img.Content(e))
		if e.IsLink() {
			all[name] += string(e.Data)
		}
	}
	return all
}

// ours are the paths that every change of anything changes: settings, with the
// build id, and the record.
func ours(name string) bool {
	return name == confPath || name == manifest.RecordPath
}

func readHost(t testing.TB, path string) []byte {
	t.Helper()
	return judge.ReadFile(t, path)
}

// output is what a program prints.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return string(judge.Output(t, cmd))
}

// treeOf is the archive as a root tree.
func treeOf(img *initrd.Image) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, e := range img.Tree() {
		f := &fstest.MapFile{Mode: fs.FileMode(e.Perm()), Data: img.Content(e)}
		switch {
		case e.IsDir():
			f.Mode |= fs.ModeDir
		case e.IsLink():
			f.Mode, f.Data = fs.ModeSymlink|0o777, e.Data
		}
		tree[name] = f
	}
	return tree
}
