package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"groundhog/cmd/internal/input"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/show"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// Names that are not UTF-8 are in the manifest of a root tree as in an archive's, with all below them, and their loss is a
// difference. So are those of a .deb file that is laid over it.
func TestManifestOfNamesThatAreNotUTF8(t *testing.T) {
	const odd = "caf\xe9"
	with, without := t.TempDir(), t.TempDir()
	for _, dir := range []string{with, without} {
		writeFile(t, filepath.Join(dir, "usr/ok"), "y")
	}
	writeFile(t, filepath.Join(with, "usr", odd, "backdoor"), "x")
	judge.Must(t, os.Symlink(odd, filepath.Join(with, "usr/l\xff")))
	old := judge.Value(input.Named().Tree(input.Layers{{Path: with, Debs: false}}, 1<<20))(t)
	now := judge.Value(input.Named().Tree(input.Layers{{Path: without, Debs: false}}, 1<<20))(t)
	var names []string
	for _, e := range old.Manifest.Entries {
		names = append(names, e.Path+e.Target)
	}
	for _, want := range []string{`usr/caf\xe9`, `usr/caf\xe9/backdoor`, `usr/l\xffcaf\xe9`} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %q", want, names)
		}
	}
	if c := diff.Of(old.Manifest, now.Manifest, false); c.Same || c.Total.Removed != 3 {
		t.Errorf("%+v", c.Total)
	}

	deb := filepath.Join(t.TempDir(), "a.deb")
	control := "Package: aa\nVersion: 1\nArchitecture: all\n"
	judge.Must(t, os.WriteFile(deb, debFile(t, "100644", control, "./usr/"+odd, "z"), 0o644))
	laid := judge.Value(input.Named().Tree(input.Layers{{Path: deb, Debs: true}}, 1<<20))(t)
	i := slices.IndexFunc(laid.Manifest.Entries, func(e manifest.Entry) bool { return e.Path == `usr/caf\xe9` })
	if i < 0 || laid.Manifest.Entries[i].Origin == nil || laid.Manifest.Entries[i].Origin.Name != "aa" {
		t.Errorf("of a .deb: %+v", laid.Manifest.Entries)
	}
}

// writeFile writes a file and the directories above it.
func writeFile(t *testing.T, name, data string) {
	t.Helper()
	judge.WriteTree(t, "", map[string]string{name: data})
}

// Whatever the files are called that a command line names, patch writes a manifest that verify, and a validator of schemas, take; hints name them so that a shell
// takes them.
func TestOddlyNamedFiles(t *testing.T) {
	workplace(t)
	check := compiled(t, "manifest")
	for _, name := range []string{"caf\xe9", `back\slash`, "new\nline", `a 'b" $c`, "-dash"} {
		for from, to := range map[string]string{"initrd.img": name, "id.pub": name + ".pub"} {
			b := judge.ReadFile(t, from)
			writeFile(t, to, string(b))
		}
		out := name + ".out"
		code, report, said := here("patch", "--root", "root", "--authorized-keys", name+".pub", "-o", out, "--", name)
		if code != exitDone {
			t.Errorf("%q: exit %d: %s", name, code, said)
			continue
		}
		if want := "\narchive   " + show.Printable(out) + "\n"; !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
		text := judge.ReadFile(t, out+".manifest.json")
		value, err := validate.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = check.Validate(value)
		}
		if err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if code, _, said := here("verify", "--", out); code != exitDone {
			t.Errorf("%q: verify: exit %d: %s", name, code, said)
		}
		writeFile(t, out, "x") // another one than the manifest says
		if code, _, said := here("verify", "--", out); code == exitDone || strings.Contains(said, "is the manifest of") {
			t.Errorf("%q: verify of another archive by its name: exit %d: %s", name, code, said)
		}
	}
	if _, _, said := here("verify", `a 'b" $c`); !strings.Contains(said, `groundhog manifest 'a '\''b" $c' -o 'a '\''b" $c.manifest.json' makes one`) {
		t.Error(said)
	}
}

// Of a root tree whose directory has such a name a line stays a line, and the command that comes next can be pasted.
func TestOddlyNamedTree(t *testing.T) {
	workplace(t)
	for name, shown := range map[string]string{"my root": "my root", "new\nline": `new\u000aline`} {
		hooksRoot(t, name)
		for _, args := range [][]string{{"--authorized-keys", "id.pub"}, {"--revert"}} {
			code, report, said := here(append([]string{"hooks", name}, args...)...)
			if code != exitDone || !strings.HasPrefix(report, shown) || !strings.HasSuffix(report, "\nnext      chroot '"+shown+"' update-initramfs -u\n") {
				t.Errorf("%q: exit %d: %s%s", args, code, said, report)
			}
		}
		if code, report, _ := here("hooks", name, "--revert"); code != exitDone || report != shown+": nothing to revert\n" {
			t.Errorf("exit %d: %s", code, report)
		}
	}
}

// A file that is called - in its directory is a file: what lies beside it is found, and it is not standard output.
func TestFileCalledDash(t *testing.T) {
	workplace(t)
	for _, suffix := range []string{"", ".manifest.json", ".known_hosts"} {
		judge.Must(t, os.Rename("reflash.img"+suffix, "-"+suffix))
	}
	if code, out, said := here("patch", "./-", "--authorized-keys", "id.pub", "--root", "root"); code != exitDone || !strings.Contains(out, "none written: ./- is what was asked for") {
		t.Errorf("patch: exit %d: %.300q%s", code, out, said)
	}
	if code, _, said := here("manifest", "./-", "-o", "./-.manifest.json"); code != exitDone {
		t.Error(said)
	}
	if code, out, said := here("verify", "./-"); code != exitDone {
		t.Errorf("verify: exit %d: %s%s", code, out, said)
	}
	if code, _, said := here("push", "root@127.0.0.1:1", "./-", "--ssh-config", "none", "--allowed-signers", "id.pub"); !strings.Contains(said, "/-.manifest.json.sig: no such file") {
		t.Errorf("push: exit %d: %s", code, said)
	}
	if code, _, said := here("patch", "initrd.img", "--authorized-keys", "id.pub", "--root", "root", "-o", "./-", "-q"); code != exitDone {
		t.Error(said)
	}
}

// An archive whose name was mistyped is what verify misses, not its manifest.
func TestVerifyNamesWhatIsMissing(t *testing.T) {
	workplace(t)
	for _, c := range []struct{ archive, want string }{
		{"nosuch.img", "groundhog: reading the archive: stat nosuch.img: no such file or directory\n"},
		{"root", "groundhog: reading the archive: root: a directory\n"},
		{"initrd.img", "groundhog manifest initrd.img -o initrd.img.manifest.json makes one of any\n"},
	} {
		if code, _, said := here("verify", c.archive); code != exitTrouble || !strings.HasSuffix(said, c.want) {
			t.Errorf("%s: exit %d: %s", c.archive, code, said)
		}
	}
}

// An archive that needs no change is left as it is, and so is whatever has its name where patch is run.
func TestUnneededArchiveIsNotWritten(t *testing.T) {
	workplace(t)
	before := judge.Value(os.Stat("reflash.img"))(t)
	patch := []string{"patch", "reflash.img", "--authorized-keys", "id.pub", "--root", "root"}
	if code, out, said := here(patch...); code != exitDone || !strings.Contains(out, "none written") {
		t.Fatalf("exit %d: %s%s", code, out, said)
	}
	if after, err := os.Stat("reflash.img"); err != nil || !os.SameFile(before, after) {
		t.Errorf("the input was written anew: %v", err)
	}
	writeFile(t, "elsewhere/reflash.img", "somebody else's")
	t.Chdir("elsewhere")
	code, _, said := here("patch", "../reflash.img", "--authorized-keys", "../id.pub", "--root", "../root", "--manifest", "m.json")
	if b, err := os.ReadFile("reflash.img"); code != exitDone || string(b) != "somebody else's" {
		t.Errorf("exit %d, %v: %.40q: %s", code, err, b, said)
	}
	if code, _, said := here("verify", "../reflash.img", "--manifest", "m.json"); code != exitDone {
		t.Errorf("the manifest that was asked for: exit %d: %s", code, said)
	}
}

// A name with characters that steer a terminal, or that nobody sees, is told from the one without them in all that is said of it, whoever it is said to.
func TestNamesWithoutSight(t *testing.T) {
	odd := []rune{0x7f, 0x85, 0x9b, 0xad, 0x34f, 0x61c, 0x115f, 0x180b, 0x200b, 0x2028, 0x202e, 0x2066, 0x2800, 0x3164, 0xfe0f, 0xfeff, 0xffa0, 0xe0041, 0xe0100}
	files := fstest.MapFS{}
	for i, r := range odd {
		files["etc/pass"+string(r)+"wd"] = tiny.Text(fmt.Sprint(i))
		files["etc/link"+string(r)] = tiny.Link("pass" + string(r) + "wd")
	}
	file, plain := gateArchive(t, files), gateArchive(t, nil)
	for _, args := range [][]string{
		{"inspect", file}, {"inspect", "--list", file}, {"inspect", "--list", "--json", file}, {"inspect", "--json", file},
		{"manifest", file}, {"manifest", file, "--format", "cyclonedx"}, {"manifest", file, "--format", "spdx"},
		{"diff", plain, file, "-v"}, {"diff", plain, file, "--json"}, {"diff", plain, file, "--format", "markdown"}, {"diff", plain, file, "--html", "-"},
		{"diff", plain, file, "--fail-on", "any,added", "-q"},
	} {
		_, out, errs := here(args...)
		if i := strings.IndexFunc(out+errs, func(r rune) bool { return slices.Contains(odd, r) }); i >= 0 {
			said := (out + errs)[max(0, i-20):]
			t.Errorf("%q: %q", args, said[:min(len(said), 40)])
		}
	}
}
