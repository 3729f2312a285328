package manifest_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/handmade"
	"groundhog/manifest"
)

// closedTo is a tree of which some files and directories may not be read.
type closedTo struct {
	fstest.MapFS
	names string
}

func (c closedTo) Open(name string) (fs.File, error) {
	if strings.Contains(c.names, " "+name+" ") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return c.MapFS.Open(name)
}

func (c closedTo) ReadDir(name string) ([]fs.DirEntry, error) {
	if strings.Contains(c.names, " "+name+" ") {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrPermission}
	}
	return c.MapFS.ReadDir(name)
}

// All that may not be read is named at once: files and directories.
func TestUnreadableTreeNamesAll(t *testing.T) {
	tree := closedTo{fstest.MapFS{"etc/shadow": {Data: []byte("x")}, "etc/gshadow": {Data: []byte("y")}, "etc/passwd": {},
		"root/secret": {}}, " etc/shadow etc/gshadow root "}
	_, err := manifest.OfTree(tree)
	var u *manifest.Unreadable
	if !errors.As(err, &u) || strings.Join(u.Names, " ") != "etc/gshadow etc/shadow root" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}

// So it is where files are only attributed by a tree.
func TestUnreadableAttributionNamesAll(t *testing.T) {
	m := of(t, archive(t, dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl"), file("usr/bin/tool", "ours")))
	err := m.Attribute(closedTo{handmade.Debian(), " bin/curl bin/tool usr/bin/curl usr/bin/tool "})
	var u *manifest.Unreadable
	if !errors.As(err, &u) || strings.Join(u.Names, " ") != "bin/curl bin/tool" {
		t.Errorf("got %v", err)
	}
}
