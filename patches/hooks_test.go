package patches

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/scripts"
	"groundhog/patches/undo"
)

// A second run changes nothing, and a revert gives back every byte and mode.
func TestHooksTwiceAndBack(t *testing.T) {
	eachHookTree(t, func(t *testing.T, tree fstest.MapFS) {
		original := maps.Clone(tree)
		first := mustHooks(t, tree, hookOptions())
		applyChanges(t, tree, first.steps())
		second := mustHooks(t, tree, hookOptions())
		if len(second.steps()) != 0 || second.Build != first.Build {
			t.Errorf("a second run changes %v", second.steps())
		}
		revertChanges(t, tree)
		sameTree(t, original, tree)
		for name := range tree {
			if strings.HasPrefix(name, undo.KeepDir) {
				t.Errorf("%s is left", name)
			}
		}
		if r, err := undo.Revert(tree); r != nil || err != nil {
			t.Errorf("there is more to revert: %v, %v", r, err)
		}
	})
}

// On a tree whose /usr is not merged, programs are found where it has them, and the hook copies them from there.
func TestHooksUnmerged(t *testing.T) {
	tree := hookTree("bullseye")
	for _, name := range []string{"bin/busybox", "sbin/sfdisk"} {
		tree[name] = tree["usr/"+name]
		delete(tree, "usr/"+name)
	}
	original := maps.Clone(tree)
	applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
	if hook := string(tree[dropbearHook].Data); !strings.Contains(hook, "\ncopy_exec /sbin/sfdisk || exit 1\n") {
		t.Errorf("the hook:\n%s", hook)
	}
	revertChanges(t, tree)
	sameTree(t, original, tree)
}

// A tree that 0.5.0 changed, whose boot script has no line for an NFS root, is taken for our work: a run brings the line, and a
// revert gives back what was before 0.5.0.
func TestHooksOverThoseOfAnOlderVersion(t *testing.T) {
	eachHookTree(t, func(t *testing.T, tree fstest.MapFS) {
		original, fresh := maps.Clone(tree), maps.Clone(tree)
		applyChanges(t, fresh, mustHooks(t, fresh, hookOptions()).steps())
		at, state := path.Join(toolsDir, premountScript), path.Join(undo.KeepDir, "state.json")
		older := func() fstest.MapFS {
			old, script := maps.Clone(fresh), fresh[at].Data
			before, _ := withoutLines(scripts.NFSLine)(script)
			old[at] = &fstest.MapFile{Data: before, Mode: fresh[at].Mode}
			text := strings.Replace(string(fresh[state].Data), hexSum(script), hexSum(before), 1)
			if text == string(fresh[state].Data) || bytes.Equal(before, script) {
				t.Fatal("the line for an NFS root is not there")
			}
			old[state] = &fstest.MapFile{Data: []byte(text), Mode: fresh[state].Mode}
			return old
		}
		again := older()
		applyChanges(t, again, mustHooks(t, again, hookOptions()).steps())
		sameTree(t, fresh, again)
		for _, tree := range []fstest.MapFS{again, older()} {
			revertChanges(t, tree)
			sameTree(t, original, tree)
		}
	})
}

func hexSum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// What a run makes depends on its options alone, not on an earlier run's.
func TestHooksReplaceAnEarlierRun(t *testing.T) {
	eachHookTree(t, func(t *testing.T, tree fstest.MapFS) {
		original, fresh := maps.Clone(tree), maps.Clone(tree)
		other := Defaults()
		other.Device, other.MAC, other.Curl = "enp1s0", "02:00:00:00:00:01", false
		applyChanges(t, fresh, mustHooks(t, fresh, other).steps())
		applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
		applyChanges(t, tree, mustHooks(t, tree, other).steps())
		sameTree(t, fresh, tree)
		if again := mustHooks(t, tree, other); len(again.Changes) != 0 {
			t.Errorf("a second run changes %v", again.Changes)
		}
		revertChanges(t, tree)
		sameTree(t, original, tree)
	})
}

// Cut off after any of its steps, a run can be undone and can be repeated, and
// so can a revert.
func TestHooksCutOff(t *testing.T) {
	eachHookTree(t, func(t *testing.T, original fstest.MapFS) {
		other := Defaults()
		other.Device, other.Tools = "enp1s0", []string{"sfdisk"}
		first := maps.Clone(original)
		applyChanges(t, first, mustHooks(t, first, hookOptions()).steps())
		second := maps.Clone(first)
		applyChanges(t, second, mustHooks(t, second, other).steps())
		back := judge.Value(undo.Revert(second))(t)
		for _, run := range []struct {
			from  fstest.MapFS
			steps []undo.Change
		}{
			{original, mustHooks(t, original, hookOptions()).steps()},
			{first, mustHooks(t, first, other).steps()},
			{second, stepsOf(back)},
		} {
			for n := range run.steps {
				cut := maps.Clone(run.from)
				applyChanges(t, cut, run.steps[:n])
				again := maps.Clone(cut)
				revertChanges(t, cut)
				sameTree(t, original, cut)
				applyChanges(t, again, mustHooks(t, again, other).steps())
				sameTree(t, second, again)
				revertChanges(t, again)
				sameTree(t, original, again)
			}
		}
	})
}

// New host keys are the only thing that differs between two runs.
func TestHooksHostKeys(t *testing.T) {
	tree := hookTree("bookworm")
	key := "etc/dropbear/initramfs/dropbear_ed25519_host_key"
	tree[key+".pub"] = &fstest.MapFile{Data: []byte("ssh-ed25519 old\n"), Mode: 0o644}
	original := maps.Clone(tree)
	o := Defaults()
	o.NewHostKeys = true
	r := mustHooks(t, tree, o)
	applyChanges(t, tree, r.steps())
	if len(r.HostKeys) != 3 || bytes.Equal(tree[key].Data, original[key].Data) || tree[key].Mode != 0o600 {
		t.Errorf("no new keys, or not 0600: %v", tree[key].Mode)
	}
	if k, err := dropbear.ParseHostKey(tree[key].Data); err != nil || k.Fingerprint() != r.HostKeys[0].Fingerprint() {
		t.Errorf("another key than reported: %v", err)
	}
	if strings.Contains(string(tree[key+".pub"].Data), "old") {
		t.Error("the public half is of another key")
	}
	if again := mustHooks(t, tree, Defaults()); len(again.Changes) != 0 {
		t.Errorf("new keys are not kept: %v", again.Changes)
	}
	revertChanges(t, tree)
	sameTree(t, original, tree)

	for name := range tree {
		if strings.HasSuffix(name, "_host_key") {
			delete(tree, name)
		}
	}
	r = mustHooks(t, tree, Defaults())
	for _, c := range r.Changes {
		if strings.HasSuffix(c.Path, "_host_key") && c.Mode != 0o600 {
			t.Errorf("%s has mode %o", c.Path, c.Mode)
		}
	}
	if len(r.HostKeys) != 3 {
		t.Errorf("%d keys made where there were none", len(r.HostKeys))
	}
}

// The scripts come out as Debian's mkinitramfs and /init need them.
func TestHooksScripts(t *testing.T) {
	eachHookTree(t, func(t *testing.T, tree fstest.MapFS) {
		release := strings.TrimSpace(strings.SplitAfter(string(tree["etc/os-release"].Data), "CODENAME=")[1])
		applyChanges(t, tree, mustHooks(t, tree, hookOptions()).steps())
		if s := ScriptState(tree[path.Join(toolsDir, premountScript)].Data); s != Patched {
			t.Errorf("the boot script is %s", s)
		}
		want := "#!/bin/sh\n"
		if release == "buster" {
			want += outMark + "[ -r /etc/crypttab ] || exit 0\n"
		}
		want += ". /usr/share/initramfs-tools/hook-functions\n" + blockBegin + "\ncopy_exec /usr/bin/curl /bin || exit 1\n"
		if release == "buster" || release == "bullseye" {
			want += "copy_exec /usr/lib/x86_64-linux-gnu/libnss_dns.so.2 || exit 1\n"
		}
		want += "copy_exec /usr/sbin/sfdisk || exit 1\n" + blockEnd + "\ncopy_exec /usr/sbin/dropbear /sbin\n"
		if diff := cmp.Diff(want, string(tree[dropbearHook].Data)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if shell := tree[ownDir+"/shell"] != nil; shell != (release == "buster" || release == "bullseye") {
			t.Errorf("a login shell: %v", shell)
		}
		for name, f := range tree {
			if strings.HasPrefix(name, path.Join(toolsDir, scripts.Dir)) && f.Mode != 0o644 {
				t.Errorf("%s has mode %o: mkinitramfs would run it", name, f.Mode)
			}
		}
		if gate := tree[path.Join(toolsDir, scripts.Gate)]; gate == nil || gate.Mode != 0o755 {
			t.Errorf("the gate is %v: mkinitramfs would not have it run", gate)
		}
		if tree[ownHook].Mode != 0o755 {
			t.Errorf("the hook has mode %o: mkinitramfs would not run it", tree[ownHook].Mode)
		}
	})
}

// An anchor that is not there exactly once is an error that names script,
// release and anchor.
func TestHooksAnchors(t *testing.T) {
	anchors := []struct{ file, line string }{
		{dropbearHook, "copy_exec /usr/sbin/dropbear /sbin\n"},
		{dropbearHook, "[ -r /etc/crypttab ] || exit 0\n"},
		{path.Join(toolsDir, premountScript), startLine + "\n"},
		{path.Join(toolsDir, premountScript), pidLine + "\n"},
	}
	for _, a := range anchors {
		for name, replace := range map[string]string{"none": "", "two": a.line + a.line} {
			t.Run(a.line+name, func(t *testing.T) {
				tree := hookTree("buster")
				tree[a.file].Data = bytes.ReplaceAll(tree[a.file].Data, []byte(a.line), []byte(replace))
				_, err := Hooks(tree, nil, Defaults(), "")
				if !errors.Is(err, ErrAnchor) || !strings.Contains(err.Error(), a.file+" of buster") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	tree := hookTree("trixie")
	tree[dropbearHook].Data = append([]byte("[ -r /etc/crypttab ] || exit 0\n"), tree[dropbearHook].Data...)
	if _, err := Hooks(tree, nil, Defaults(), ""); !errors.Is(err, ErrAnchor) {
		t.Errorf("buster's condition in trixie: %v", err)
	}
}

// A boot script that its owner put in the place of dropbear's is the one that becomes part of the initramfs, so it is the one that is changed.
func TestHooksOwnPremount(t *testing.T) {
	const own, debians = "etc/initramfs-tools/scripts/init-premount/dropbear", toolsDir + "/scripts/init-premount/dropbear"
	tree := hookTree("bookworm")
	was, mine := string(tree[debians].Data), string(tree[debians].Data)+"# mine\n"
	tree[own] = &fstest.MapFile{Mode: 0o755, Data: []byte(mine)}
	o := Defaults()
	o.AuthorizedKeys = hookUser("ed25519")
	r := mustHooks(t, tree, o)
	if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, own+" takes the place of ") }) {
		t.Errorf("noted %q", r.Notes)
	}
	applyChanges(t, tree, r.steps())
	if ScriptState(tree[own].Data) != Patched || !strings.HasSuffix(string(tree[own].Data), "# mine\n") || string(tree[debians].Data) != was {
		t.Errorf("ours:\n%s\nDebian's:\n%s", tree[own].Data, tree[debians].Data)
	}
	if again := mustHooks(t, tree, o); len(again.Changes) > 0 {
		t.Errorf("again %d changes", len(again.Changes))
	}
	revertChanges(t, tree)
	if string(tree[own].Data) != mine {
		t.Errorf("reverted to\n%s", tree[own].Data)
	}

	tree[own] = tiny.Text("exec /usr/sbin/dropbear -F\n")
	if _, err := Hooks(tree, nil, o, ""); err == nil || !strings.Contains(err.Error(), own) {
		t.Errorf("one that is not like Debian's: %v", err)
	}
}

// A hook that writes the interface's name into the initramfs has the last word.
func TestHooksDeviceByHook(t *testing.T) {
	for text, want := range map[string]string{
		"echo DEVICE=enp3s0 >>$DESTDIR/conf/conf.d/net\n":             "DEVICE is left to what the machine makes of it (etc/initramfs-tools/hooks/net may give it a value when",
		"# DEVICE=enp3s0 >>conf.d\ncp /etc/x $DESTDIR/conf/conf.d/\n": "",
		"[ \"$DEVICE\" = eth0 ] || exit 0\n":                          "",
	} {
		tree := hookTree("bookworm")
		tree["etc/initramfs-tools/hooks/net"] = &fstest.MapFile{Mode: 0o755, Data: []byte("#!/bin/sh\n" + text)}
		o := Defaults()
		o.AuthorizedKeys = hookUser("ed25519")
		r := mustHooks(t, tree, o)
		applyChanges(t, tree, r.steps())
		ours := "\nGROUNDHOG_DEVICE=\n"
		if want == "" {
			ours = "\nGROUNDHOG_DEVICE=any\n"
		}
		if notes, conf := strings.Join(r.Notes, "\n"), "\n"+string(tree[toolsDir+"/"+confPath].Data); !strings.Contains(notes, want) || want == "" && notes != "" || !strings.Contains(conf, ours) {
			t.Errorf("%q: noted %q\n%s", text, notes, conf)
		}
	}
}

// Keys that were let in and are no more are told of, by hooks as by patch; once.
func TestHooksReplacedKeys(t *testing.T) {
	const name = "etc/dropbear/initramfs/authorized_keys"
	tree := hookTree("bookworm")
	tree[name] = tiny.Text(`command="cryptroot-unlock" ` + tiny.LoginECDSA + tiny.LoginEd25519)
	o := Defaults()
	o.AuthorizedKeys = []byte(tiny.LoginEd25519)
	r := mustHooks(t, tree, o)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "(ECDSA) could log in, and no more: the given keys take the place of those in "+name) {
		t.Errorf("noted %q", r.Notes)
	}
	applyChanges(t, tree, r.steps())
	if again := mustHooks(t, tree, o); len(again.Notes) != 0 {
		t.Errorf("again noted %q", again.Notes)
	}
}
