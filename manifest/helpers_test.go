package manifest_test

import (
	"bytes"
	"testing"

	"groundhog/initrd"
	"groundhog/manifest"
)

// dir, file, link, node and hard are entries of small archives.
func dir(name string) initrd.Entry {
	return initrd.Entry{Name: name, Mode: initrd.TypeDir | 0o755, Nlink: 2}
}

func file(name, data string) initrd.Entry {
	return initrd.Entry{Name: name, Mode: initrd.TypeFile | 0o644, Nlink: 1, Mtime: 1700000000, Data: []byte(data)}
}

func link(name, target string) initrd.Entry {
	return initrd.Entry{Name: name, Mode: initrd.TypeLink | 0o777, Nlink: 1, Data: []byte(target)}
}

func node(name string, major, minor uint32) initrd.Entry {
	return initrd.Entry{Name: name, Mode: initrd.TypeChar | 0o600, Nlink: 1, Rdev: initrd.Device{Major: major, Minor: minor}}
}

func hard(name, data string, ino, nlink uint32) initrd.Entry {
	e := file(name, data)
	e.Ino, e.Nlink, e.Mode = ino, nlink, initrd.TypeFile|0o755
	return e
}

func archive(t testing.TB, entries ...initrd.Entry) *initrd.Image {
	t.Helper()
	img, err := initrd.New(initrd.Gzip, entries...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func of(t testing.TB, img *initrd.Image) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Of(img)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func encode(t testing.TB, m *manifest.Manifest) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := manifest.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bytesOf is an archive's file.
func bytesOf(t testing.TB, img *initrd.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := img.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
