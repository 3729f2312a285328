package patches

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/tiny"
	"groundhog/fixtures/tinyelf"
)

// An archive without dropbear gets what Debian's hook would have put there.
func TestGraft(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			tgt := tiny.New(release, false)
			img, r := patch(t, tgt, nil)
			old := release == "buster" || release == "bullseye"
			if got := text(t, img, "sbin/dropbear"); got != string(tgt.Root["usr/sbin/dropbear"].Data) {
				t.Error("sbin/dropbear is another one")
			}
			for name, want := range map[string]string{
				"etc/group":                           "root:!:0:\n",
				"etc/nsswitch.conf":                   "passwd: files\ngroup: files\n",
				"root-groundhog/.ssh/authorized_keys": "# who may log in\n" + tiny.LoginECDSA,
				"scripts/init-premount/ORDER":         "/scripts/init-premount/dropbear \"$@\"\n" + paramLine + "/scripts/init-premount/groundhog \"$@\"\n" + paramLine,
				"scripts/init-bottom/ORDER": "/scripts/init-bottom/dropbear \"$@\"\n" + paramLine +
					"/scripts/init-bottom/udev \"$@\"\n" + paramLine,
				bottomScript: string(tgt.Root["usr/share/initramfs-tools/"+bottomScript].Data),
			} {
				if got := text(t, img, name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for name, want := range map[string]uint32{
				"root-groundhog": 0o700, "root-groundhog/.ssh": 0o700, "root-groundhog/.ssh/authorized_keys": 0o600,
				premountScript: 0o755, bottomScript: 0o755, "etc/passwd": 0o644, "scripts/init-premount/ORDER": 0o644,
				"etc/dropbear/dropbear_ecdsa_host_key": 0o600, "sbin/dropbear": 0o755,
			} {
				if e := img.Lookup(name); e == nil || e.Perm() != want {
					t.Errorf("%s: %v, want mode %o", name, e, want)
				}
			}
			for _, so := range []string{"libnss_files.so.2", "libnss_dns.so.2"} {
				e := img.Lookup(tiny.Libs + so)
				if (e != nil) != old || old && (!e.IsLink() || !strings.HasPrefix(text(t, img, tiny.Libs+so), "\x7fELF")) {
					t.Errorf("%s: %v", so, e)
				}
			}
			if !strings.Contains(r.Patches[0].Summary, "grafted") || r.Patches[0].Name != "dropbear" {
				t.Errorf("%+v", r.Patches[0])
			}
		})
	}
}

// An archive with dropbear is complete, or it is refused.
func TestDropbearThere(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	if _, r := patch(t, tgt, nil); r.Patches[0].Changed || r.Patches[0].Summary != "in the archive already" {
		t.Errorf("%+v", r.Patches[0])
	}
	for _, name := range []string{premountScript, "etc/passwd"} {
		tgt := tiny.New("bookworm", true)
		delete(tgt.Archive, name)
		err := refused(t, tgt, nil)
		if !strings.Contains(err.Error(), strings.TrimPrefix(name, "usr/")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Accounts that something else made are not overwritten.
func TestGraftForeignAccounts(t *testing.T) {
	for _, name := range []string{"etc/passwd", "etc/group", "etc/nsswitch.conf"} {
		tgt := tiny.New("bookworm", false)
		tgt.Archive[name] = tiny.Text("x\n")
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), name) {
			t.Error(err)
		}
	}
}

// What a graft needs and the root tree lacks is named, with the tree.
func TestGraftMissing(t *testing.T) {
	for _, name := range []string{"usr/sbin/dropbear", "usr/bin/busybox", "usr/share/initramfs-tools/" + premountScript,
		"usr/share/initramfs-tools/" + bottomScript, tiny.Libs + "libz.so.1.2.13", tiny.Libs + "libnss_files.so.2"} {
		tgt := tiny.New("bullseye", false)
		delete(tgt.Root, name)
		want := strings.TrimSuffix(strings.TrimPrefix(name, tiny.Libs), ".2.13")
		if err := refused(t, tgt, nil); !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s in it", err, want)
		}
	}
	tgt := tiny.New("bookworm", false)
	tgt.Root["usr/bin/busybox"] = tiny.Program(tinyelf.File{}.Bytes())
	if err := refused(t, tgt, nil); !strings.Contains(err.Error(), errApplets.Error()) {
		t.Error(err)
	}
}

// unmerged moves /usr's own top directories to where an old system has them.
func unmerged(tgt *tiny.Target) {
	for name, f := range tgt.Root {
		for _, dir := range []string{"sbin/", "lib/", "lib64/", "bin/"} {
			if strings.HasPrefix(name, "usr/"+dir) {
				delete(tgt.Root, name)
				tgt.Root[strings.TrimPrefix(name, "usr/")] = f
			}
		}
	}
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "bin", "sbin", "lib", "lib64"} {
		delete(tgt.Root, dir)
	}
}

// From an unmerged root tree things land where the merged archive has them.
func TestGraftUnmerged(t *testing.T) {
	for _, release := range []string{"buster", "bullseye"} {
		tgt := tiny.New(release, false)
		want, _ := patch(t, tgt, everything)
		unmerged(tgt)
		got, _ := patch(t, tgt, everything)
		a, b := snapshot(want), snapshot(got)
		for _, m := range []map[string]string{a, b} {
			for name := range m {
				if ours(name) {
					delete(m, name)
				}
			}
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: merged and unmerged give other archives (-merged +unmerged):\n%s", release, diff)
		}
	}
}

func TestOrderWith(t *testing.T) {
	run := func(names ...string) (all string) {
		for _, n := range names {
			all += "/scripts/init-bottom/" + n + " \"$@\"\n" + paramLine
		}
		return all
	}
	for _, c := range []struct{ before, want string }{
		{"", run("dropbear")},
		{run("udev"), run("dropbear", "udev")},
		{run("a", "udev"), run("a", "dropbear", "udev")},
		{run("a", "b"), run("a", "b", "dropbear")},
		{run("z", "a"), run("dropbear", "z", "a")},
		{run("a", "dropbear"), run("a", "dropbear")},
		{run("cryptopensc"), run("cryptopensc", "dropbear")},
		{"# nothing\n", "# nothing\n" + run("dropbear")},
		{"# no newline", "# no newline\n" + run("dropbear")},
	} {
		if got := string(orderWith([]byte(c.before), "/scripts/init-bottom/dropbear")); got != c.want {
			t.Errorf("%q became %q, want %q", c.before, got, c.want)
		}
	}
}

// FuzzOrder: a script is added once, with its line of parameters, and all
// others stay as they are.
func FuzzOrder(f *testing.F) {
	f.Add("/scripts/init-bottom/udev \"$@\"\n"+paramLine, "dropbear")
	f.Add("x", "dropbear")
	f.Add("/scripts/init-bottom/a \"$@\"\n", "a")
	f.Fuzz(func(t *testing.T, order, name string) {
		if name == "" || strings.ContainsAny(name, " \n") {
			return // a script's name is ours
		}
		script := "/scripts/init-bottom/" + name
		once := orderWith([]byte(order), script)
		if twice := orderWith(once, script); string(twice) != string(once) {
			t.Fatalf("again: %q, then %q", once, twice)
		}
		added := script + " \"$@\"\n" + paramLine
		if string(once) == order {
			if !strings.Contains("\n"+order, "\n"+script+` "$@"`) {
				t.Fatalf("not added to %q", order)
			}
			return
		}
		if rest := strings.Replace(string(once), added, "", 1); rest != order && rest != order+"\n" {
			t.Fatalf("%q became %q", order, once)
		}
	})
}
