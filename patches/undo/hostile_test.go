package undo

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// revertTree is a root tree with a kept original, links, and what must stay.
var revertTree = fstest.MapFS{
	"etc/passwd":                     &fstest.MapFile{Data: []byte("root\n"), Mode: 0o644},
	"etc/initramfs-tools/x/y":        &fstest.MapFile{Data: []byte("ours"), Mode: 0o644},
	"usr/bin/x":                      &fstest.MapFile{Data: []byte("x"), Mode: 0o755},
	"var/empty":                      &fstest.MapFile{Mode: fs.ModeDir | 0o755},
	KeepDir + "/original/etc/passwd": &fstest.MapFile{Data: []byte("old\n"), Mode: 0o644},
	"lnk":                            &fstest.MapFile{Data: []byte("etc"), Mode: fs.ModeSymlink | 0o777},
	"up":                             &fstest.MapFile{Data: []byte("../../.."), Mode: fs.ModeSymlink | 0o777},
}

func revertWith(state string) (*Reverted, error) {
	m := maps.Clone(revertTree)
	m[KeepDir+"/state.json"] = &fstest.MapFile{Data: []byte(state), Mode: 0o644}
	return Revert(m)
}

// A state names whatever it likes; only directories that one of the files is in, or
// the state, are ours to remove.
func TestRevertDirectories(t *testing.T) {
	file := fmt.Sprintf(`{"path":"etc/initramfs-tools/x/y","before":"","after":%q}`, sumIfThere([]byte("ours")))
	r, err := revertWith(`{"schema":1,"build":"x","files":[` + file + `],"directories":["etc/initramfs-tools/x","etc/passwd","lnk","usr/bin/x","var/empty","var/lib/groundhog"]}`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"etc/initramfs-tools/x", "var/lib/groundhog"}; !slices.Equal(r.Directories, want) {
		t.Errorf("%q, want %q", r.Directories, want)
	}
	for _, bad := range []string{`["b","a"]`, `["../x"]`, `["/etc"]`, `["."]`, `["a","a"]`, `[""]`} {
		if _, err := revertWith(`{"schema":1,"build":"x","files":[],"directories":` + bad + `}`); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
	if _, err := revertWith(`{"schema":1,"build":"x","files":[{"path":"usr/bin/x","before":"","after":"x"}],"directories":[]}`); err == nil {
		t.Error("a hash that is none: accepted")
	}
}

// FuzzRevert: a hostile state restores nothing but what was kept, changes only files
// whose content it knows, and removes only what is about to be empty of ours.
func FuzzRevert(f *testing.F) {
	f.Add(`{"schema":1,"build":"x","files":[{"path":"etc/passwd","before":"` + sumIfThere([]byte("old\n")) + `","after":"` + sumIfThere([]byte("root\n")) + `"}],"directories":["usr"]}`)
	f.Add(`{"schema":1,"build":"x","files":[{"path":"lnk/passwd","before":"","after":"` + sumIfThere([]byte("root\n")) + `"}],"directories":["up/../x"]}`)
	f.Add(`{"schema":1,"build":"x","files":[{"path":"usr/bin/x","before":"","after":"` + sumIfThere([]byte("x")) + `"}],"directories":["usr","usr/bin","var/empty"]}`)
	f.Fuzz(func(t *testing.T, state string) {
		r, err := revertWith(state)
		if err != nil || r == nil {
			return
		}
		kept := map[string]string{"etc/passwd": "old\n"}
		for _, c := range r.Changes {
			old, there := revertTree[c.Path]
			if !there || string(old.Data) != string(c.Before) {
				t.Fatalf("%q is changed from %q, which it is not", c.Path, c.Before)
			}
			if c.After != nil && string(c.After) != kept[c.Path] {
				t.Fatalf("%q gets %q", c.Path, c.After)
			}
		}
		for _, c := range r.Drop {
			if !strings.HasPrefix(c.Path, KeepDir+"/") {
				t.Fatalf("%q is dropped", c.Path)
			}
		}
		for _, dir := range r.Directories {
			within := func(c Change) bool { return strings.HasPrefix(c.Path, dir+"/") }
			named := strings.Contains(state, dir)
			if !fs.ValidPath(dir) || !slices.ContainsFunc(append(r.Changes, r.Drop...), within) && !named {
				t.Fatalf("%q would be removed", dir)
			}
		}
	})
}
