package patches

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/initrd/debian"
	"groundhog/patches/undo"
)

// What is missing is named, and the package that has it.
func TestHooksMissing(t *testing.T) {
	for name, want := range map[string][]string{
		"usr/bin/curl":                             {"usr/bin/curl", "install curl"},
		"usr/sbin/dropbear":                        {"usr/sbin/dropbear", "dropbear-bin"},
		"usr/bin/busybox":                          {"usr/bin/busybox", "install busybox"},
		"usr/sbin/sfdisk":                          {"sfdisk", "install the package"},
		"etc/initramfs-tools/initramfs.conf":       {"initramfs.conf", "install initramfs-tools"},
		dropbearHook:                               {dropbearHook, "dropbear-initramfs"},
		path.Join(toolsDir, premountScript):        {premountScript, "dropbear-initramfs"},
		"etc/os-release":                           {"os-release", "--release"},
		"root/.ssh/authorized_keys":                {"nobody could log in", "--authorized-keys"},
		"lib/modules/6.1.0/modules.builtin":        {"module mii", "linux-image"},
		"usr/lib/x86_64-linux-gnu/libnss_dns.so.2": {"libnss_dns", "look names up"},
	} {
		tree := hookTree("bullseye")
		if tree[name] == nil {
			t.Fatalf("%s: not in the tree anyway", name)
		}
		delete(tree, name)
		_, err := Hooks(tree, nil, hookOptions(), "")
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("without %s: got %v, want %q in it", name, err, w)
			}
		}
	}
}

func TestHooksRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(tree fstest.MapFS, o *Options)
		want  string
	}{
		"release":  {func(_ fstest.MapFS, o *Options) { o.Release = "sid" }, "not supported"},
		"module":   {func(_ fstest.MapFS, o *Options) { o.Board = "cm3" }, "module phy_generic: not in kernel"},
		"device":   {func(_ fstest.MapFS, o *Options) { o.Device = "eth0;reboot" }, "not the name of a network interface"},
		"tool":     {func(_ fstest.MapFS, o *Options) { o.Tools = []string{"a b"} }, "not the name or path"},
		"no tool":  {func(_ fstest.MapFS, o *Options) { o.Tools = []string{"//"} }, `tool "//": not the name or path`},
		"key":      {func(_ fstest.MapFS, o *Options) { o.AuthorizedKeys = hookUser("ed25519") }, "no ssh-ed25519 keys"},
		"comments": {func(_ fstest.MapFS, o *Options) { o.AuthorizedKeys = []byte("# nobody\n") }, "only comments"},
		"empty":    {func(_ fstest.MapFS, o *Options) { o.AuthorizedKeys = []byte{} }, "empty"},
		"damaged key": {func(tree fstest.MapFS, _ *Options) {
			tree["etc/dropbear-initramfs/dropbear_rsa_host_key"].Data = []byte("x")
		}, "dropbear_rsa_host_key"},
		"block": {func(tree fstest.MapFS, _ *Options) {
			tree[dropbearHook].Data = append(tree[dropbearHook].Data, blockBegin+"\n"...)
		}, "anchor"},
		"dangling link":  {func(tree fstest.MapFS, _ *Options) { hookLink(tree, "etc/initramfs-tools/modules", "nowhere") }, "leads nowhere"},
		"directory":      {func(tree fstest.MapFS, _ *Options) { tree[ownHook+"/x"] = &fstest.MapFile{} }, "not a regular file"},
		"file for a dir": {func(tree fstest.MapFS, _ *Options) { tree[ownDir] = &fstest.MapFile{} }, "not a directory"},
		"state": {func(tree fstest.MapFS, _ *Options) {
			tree[undo.KeepDir+"/state.json"] = &fstest.MapFile{Data: []byte("{")}
		}, "state.json"},
	} {
		t.Run(name, func(t *testing.T) {
			release := "bullseye"
			if name == "key" {
				release = "buster"
			}
			tree, o := hookTree(release), hookOptions()
			test.spoil(tree, &o)
			if _, err := Hooks(tree, nil, o, ""); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func hookLink(tree fstest.MapFS, name, target string) {
	tree[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

// Links lead inside the tree, absolute ones and those that climb above it, too.
func TestHooksFollowLinksInside(t *testing.T) {
	tree := hookTree("bookworm")
	for name, f := range maps.Clone(tree) {
		if rest, ok := strings.CutPrefix(name, "etc/initramfs-tools/"); ok {
			tree["srv/settings/"+rest] = f
			delete(tree, name)
		}
	}
	hookLink(tree, "etc/initramfs-tools", "/../../srv/settings")
	hookLink(tree, "var/lib/groundhog", "/srv/kept")
	tree["srv/kept/x"] = &fstest.MapFile{}
	original := maps.Clone(tree)
	r := mustHooks(t, tree, hookOptions())
	for _, c := range r.steps() {
		if strings.HasPrefix(c.Path, "etc/initramfs-tools") || strings.HasPrefix(c.Path, undo.KeepDir) {
			t.Errorf("%s: through a link", c.Path)
		}
	}
	notes := []string{"etc/initramfs-tools leads to srv/settings, and what is below is changed there", "/etc/initramfs-tools/modules leads to"}
	if said := strings.Join(r.Notes, "\n"); strings.Count(said, notes[0]) != 1 || strings.Contains(said, notes[1]) {
		t.Errorf("the link is not told of once: %q", r.Notes)
	}
	applyChanges(t, tree, r.steps())
	if again := mustHooks(t, tree, hookOptions()); len(again.steps()) != 0 {
		t.Errorf("a second run changes %v", again.steps())
	}
	revertChanges(t, tree)
	sameTree(t, original, tree)
}

// What somebody changed since is not overwritten; nor is anything else then.
func TestRevertHooksChanged(t *testing.T) {
	tree := hookTree("bookworm")
	original := maps.Clone(tree)
	applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
	const conf = "etc/initramfs-tools/initramfs.conf"
	ours := tree[conf]
	for name, theirs := range map[string]*fstest.MapFile{
		"edited": {Data: append([]byte("COMPRESS=xz\n"), ours.Data...), Mode: 0o644}, "gone": nil,
	} {
		tree[conf] = theirs
		if theirs == nil {
			delete(tree, conf)
		}
		r, err := undo.Revert(tree)
		if r != nil || !errors.Is(err, undo.ErrChanged) || !strings.Contains(err.Error(), conf) {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
	}
	edited := &fstest.MapFile{Data: append([]byte("COMPRESS=xz\n"), ours.Data...), Mode: 0o644}
	tree[conf] = edited
	applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
	if tree[conf] != edited {
		t.Error("another run wrote it, though there was nothing to do")
	}
	if _, err := undo.Revert(tree); !errors.Is(err, undo.ErrChanged) {
		t.Errorf("after another run: %v", err)
	}
	tree[conf] = tree[undo.KeepDir+"/original/"+conf]
	revertChanges(t, tree)
	sameTree(t, original, tree)
}

// A new dropbear-initramfs brings new scripts; they are patched again, and are
// what a revert gives back.
func TestHooksAfterAnUpgrade(t *testing.T) {
	tree := hookTree("bookworm")
	applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
	newer := hookTree("bookworm")
	for _, name := range []string{dropbearHook, path.Join(toolsDir, premountScript)} {
		tree[name] = &fstest.MapFile{Data: append([]byte("# newer\n"), newer[name].Data...), Mode: 0o755}
	}
	want := tree[dropbearHook]
	applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
	if ScriptState(tree[path.Join(toolsDir, premountScript)].Data) != Patched {
		t.Error("the new script was not patched")
	}
	revertChanges(t, tree)
	sameTree(t, fstest.MapFS{"x": want}, fstest.MapFS{"x": tree[dropbearHook]})
}

// A state that groundhog has not written reads and removes nothing.
func TestHostileState(t *testing.T) {
	const entry = `{"schema":1,"build":"","files":[{"path":%,"before":"","after":"x"}],"directories":[]}`
	for _, state := range []string{
		"", "{}", "null", `{"schema":2}`, strings.Repeat("[", 100000),
		strings.Replace(entry, "%", `"../etc/passwd"`, 1), strings.Replace(entry, "%", `"/etc/passwd"`, 1),
		strings.Replace(entry, "%", `"."`, 1), strings.Replace(entry, "%", `""`, 1),
		`{"schema":1,"build":"","files":[],"directories":["../x"]}`,
		`{"schema":1,"build":"","files":[{"path":"b"},{"path":"a"}],"directories":[]}`,
	} {
		tree := hookTree("bookworm")
		tree[undo.KeepDir+"/state.json"] = &fstest.MapFile{Data: []byte(state)}
		if r, err := undo.Revert(tree); err == nil || !strings.Contains(err.Error(), "state.json") {
			t.Errorf("%.40q: got %v, %v", state, r, err)
		}
	}
}

// Taking out what was put in gives the same text, whatever else is in it.
func FuzzPristineHook(f *testing.F) {
	for _, release := range []string{"buster", "bookworm"} {
		f.Add(string(hookTree(release)[dropbearHook].Data), release == "buster")
	}
	f.Fuzz(func(t *testing.T, text string, buster bool) {
		release := "trixie"
		if buster {
			release = "buster"
		}
		clean, err := pristineHook([]byte(text))
		if err != nil || string(clean) != text {
			return // has our marks already
		}
		after, err := allEdits(withoutCrypttab(release), hookBlock([]string{"copy_exec /x || exit 1"}))(clean)
		if err != nil {
			return
		}
		back, err := pristineHook(after)
		if err != nil || string(back) != text {
			t.Errorf("got %q, %v from %q", back, err, text)
		}
	})
}

// Where /usr is a link, that is said once, and of a file in it that is a link of its own where it leads. All can be undone.
func TestHooksWhereUsrIsALink(t *testing.T) {
	tree := hookTree("bookworm")
	for name, f := range maps.Clone(tree) {
		if strings.HasPrefix(name, "usr/") {
			tree["x/"+name] = f
			delete(tree, name)
		}
	}
	hookLink(tree, "usr", "x/usr")
	tree["srv/dropbear"] = tree["x/"+dropbearHook]
	hookLink(tree, "x/"+dropbearHook, "/srv/dropbear")
	original := maps.Clone(tree)
	r := mustHooks(t, tree, hookOptions())
	var said []string
	for _, note := range r.Notes {
		if strings.Contains(note, "leads to") {
			said = append(said, note)
		}
	}
	slices.Sort(said)
	want := []string{"usr leads to x/usr, and what is below is changed there", "x/" + dropbearHook + " leads to srv/dropbear, which is what is changed"}
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	applyChanges(t, tree, r.steps())
	revertChanges(t, tree)
	sameTree(t, original, tree)
}

// A kernel whose modules are elsewhere, behind a link, is one: mkinitramfs follows it, too. A file among the kernels is none.
func TestHooksKernelIsALink(t *testing.T) {
	tree := hookTree("bookworm")
	moveDir(tree, "lib/modules/6.1.0", "srv/kernel", "../../srv/kernel")
	tree["lib/modules/README"] = &fstest.MapFile{}
	mustHooks(t, tree, hookOptions())
	if kernels, err := debian.RootKernels(tree); err != nil || !slices.Equal(kernels, []string{"6.1.0"}) {
		t.Errorf("kernels %q, %v", kernels, err)
	}
}
