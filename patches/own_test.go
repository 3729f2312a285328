package patches

import (
	"debug/elf"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/patches/scripts"
	"groundhog/patches/undo"
)

// ownersScript is something that an owner of the same name might have.
const ownersScript = "#!/bin/sh\n# feeds the marmot\nmarmot=1\n"

func withWriter(o *Options) {
	o.Writer = func(string) ([]byte, error) { return program64(elf.EM_X86_64, elf.ET_EXEC), nil }
}

// What an owner has where groundhog's own files go is refused by its name; what an earlier version of groundhog put there is replaced.
func TestArchiveOwnersFiles(t *testing.T) {
	names := []string{scripts.ShellPath, "usr/" + WriterPath, scripts.Early, scripts.Conf}
	for _, f := range scripts.Files() {
		names = append(names, f.Path)
	}
	for _, name := range names {
		tgt := tiny.New("bullseye", true)
		tgt.Archive[name] = tiny.Program([]byte(ownersScript))
		if err := refused(t, tgt, withWriter); !strings.Contains(err.Error(), strings.TrimPrefix(name, "usr/")) || !strings.Contains(err.Error(), "give it another name") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, entry := range []*fstest.MapFile{tiny.Link("/scripts/mine"), {Mode: fs.ModeDir | 0o755}} {
		tgt := tiny.New("bookworm", true)
		tgt.Archive[scripts.Gate] = entry
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), scripts.Gate) {
			t.Error(err)
		}
	}

	tgt := tiny.New("bullseye", true)
	want, _ := patch(t, tgt, withWriter)
	older := reread(t, write(t, want))
	for _, name := range names {
		if name == scripts.Conf || name == scripts.Early {
			continue
		}
		if _, err := older.Put(name, initrd.File{Data: []byte("#!/bin/sh\n# of an older version\n")}); err != nil {
			t.Fatal(err)
		}
	}
	o := defaults(tgt)
	withWriter(&o)
	if _, err := apply(older, tgt.Root, o); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name != scripts.Conf && name != scripts.Early && text(t, older, name) != text(t, want, name) {
			t.Errorf("%s is that of the older version", name)
		}
	}
}

// An archive that has no server, and at the path of one of dropbear's files something else, is not made one that has dropbear.
func TestGraftOwnersFiles(t *testing.T) {
	for _, name := range []string{premountScript, bottomScript} {
		tgt := tiny.New("bookworm", false)
		tgt.Archive[name] = tiny.Program([]byte(ownersScript))
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), name+": in the archive without dropbear") {
			t.Errorf("%s: %v", name, err)
		}
	}
	tgt := tiny.New("bookworm", false)
	tgt.Archive["etc/dropbear/dropbear.conf"] = tiny.Text("DROPBEAR_OPTIONS=\"-p 2222\"\n")
	if img, r := patch(t, tgt, nil); r.Port != 2222 {
		t.Errorf("port %d: %s", r.Port, text(t, img, "etc/dropbear/dropbear.conf"))
	}
}

// The same in a root tree, for all files that groundhog has there alone.
func TestTreeOwnersFiles(t *testing.T) {
	o := hookOptions()
	withWriter(&o)
	original := hookTree("bullseye")
	done := maps.Clone(original)
	applyChanges(t, done, mustHooks(t, done, o).steps())
	for name := range done {
		if !strings.HasPrefix(name, toolsDir) || original[name] != nil {
			continue
		}
		tree := maps.Clone(original)
		tree[name] = &fstest.MapFile{Data: []byte(ownersScript), Mode: 0o755}
		if _, err := Hooks(tree, nil, o, "groundhog test"); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "give it another name") {
			t.Errorf("%s: %v", name, err)
		}
		if name == treeSettings {
			continue
		}
		edited := maps.Clone(done)
		edited[name] = tree[name]
		if _, err := Hooks(edited, nil, o, "groundhog test"); err == nil || !strings.Contains(err.Error(), name+" in the root tree was changed since groundhog wrote it") {
			t.Errorf("%s, edited: %v", name, err)
		}
	}
}

// A tree that was copied without its /var is known for groundhog's by the record that lies beside the scripts.
func TestTreeWithoutState(t *testing.T) {
	o := hookOptions()
	withWriter(&o)
	tree := hookTree("bullseye")
	applyChanges(t, tree, mustHooks(t, tree, o).steps())
	want := maps.Clone(tree)
	var older []string
	for name, f := range tree {
		switch {
		case strings.HasPrefix(name, undo.KeepDir):
			delete(tree, name)
		case strings.HasPrefix(name, toolsDir+"/scripts/groundhog/") && name != treeSettings, name == ownHook, name == ownDir+"/writer":
			older = append(older, name)
			tree[name] = &fstest.MapFile{Data: []byte("# of an older version\n"), Mode: f.Mode}
		}
	}
	applyChanges(t, tree, mustHooks(t, tree, o).steps())
	for _, name := range older {
		if string(tree[name].Data) != string(want[name].Data) {
			t.Errorf("%s is that of the older version", name)
		}
	}
}

// mkinitramfs takes the owner's script in /etc in the place of groundhog's of that name, and the initramfs would not wait.
func TestTreeOwnersScriptInEtc(t *testing.T) {
	for _, name := range []string{scripts.Gate, scripts.Dir + "/hold", scripts.Early, scripts.Conf} {
		at := path.Join("etc/initramfs-tools", name)
		tree := hookTree("bookworm")
		tree[at] = &fstest.MapFile{Data: []byte(ownersScript), Mode: 0o755}
		if _, err := Hooks(tree, nil, hookOptions(), "groundhog test"); err == nil || !strings.Contains(err.Error(), at+" in the root tree would come into the initramfs") {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// Settings that groundhog itself never makes are the owner's, and stay, however often it runs.
func TestTreeOwnersSettings(t *testing.T) {
	tree := hookTree("bookworm")
	applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
	f := tree[treeSettings]
	tree[treeSettings] = &fstest.MapFile{Data: append([]byte(nil), string(f.Data)+"# slow line\nGROUNDHOG_SAY=10\n"...), Mode: f.Mode}
	o := hookOptions()
	for range 3 {
		applyChanges(t, tree, mustHooks(t, tree, o).steps())
		if text := string(tree[treeSettings].Data); strings.Count(text, "# slow line\nGROUNDHOG_SAY=10\n") != 1 || strings.Count(text, "GROUNDHOG_WAIT=") != 1 {
			t.Errorf("the settings are:\n%s", text)
		}
		o.MAC = "cmdline"
	}
	judge.Value(undo.Revert(tree))(t)
}
