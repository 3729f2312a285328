package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// readableSecrets is the files below dir that hold one of the small target's private
// keys and that others than their owner may read, or anybody may write.
func readableSecrets(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o002 != 0 {
			found = append(found, path+" is for everybody to write")
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range tiny.Secrets {
			if info.Mode().Perm()&0o077 != 0 && bytes.Contains(b, []byte(secret)) {
				found = append(found, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is no secret is for others as the umask has it; what is one is for nobody.
func TestOutputsKeepToTheUmask(t *testing.T) {
	workplace(t)
	defer syscall.Umask(syscall.Umask(0))
	for mask, want := range map[int]os.FileMode{0: 0o644, 0o022: 0o644, 0o027: 0o640, 0o077: 0o600, 0o777: 0o600} {
		syscall.Umask(mask)
		for _, args := range [][]string{{"manifest", "reflash.img", "-o", "m.json"}, {"diff", "reflash.img", "reflash.img", "--html", "d.html"},
			{"patch", "initrd.img", "--root", "root", "-o", "x.img"}} {
			if code, _, said := here(args...); code != exitDone {
				t.Fatalf("%q: %s", args, said)
			}
		}
		for name, want := range map[string]os.FileMode{"m.json": want, "d.html": want, "x.img": 0o600, "x.img.manifest.json": want, "x.img.known_hosts": want} {
			if info, err := os.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("umask %03o: %s: %v, %v, want %v", mask, name, info.Mode(), err, want)
			}
			os.Remove(name)
		}
	}
}

// With a umask that takes nothing away private keys are their owner's alone, in an
// archive and in what is unpacked from it.
func TestPrivateKeysUnderAnyUmask(t *testing.T) {
	dir := t.TempDir()
	judge.Must(t, writeTarget(dir, "bookworm", true, initrd.None))
	root, out := filepath.Join(dir, "root"), t.TempDir()
	archive, keys := filepath.Join(dir, "initrd.img"), filepath.Join(dir, "id.pub")
	defer syscall.Umask(syscall.Umask(0))
	for _, args := range [][]string{
		{"patch", archive, "--root", root, "--authorized-keys", keys, "--compression", "none", "-o", filepath.Join(out, "x.img")},
		{"patch", archive, "--root", root, "--authorized-keys", keys, "--append", "--compression", "none", "-o", filepath.Join(out, "y.img")},
		{"inspect", filepath.Join(out, "x.img"), "--extract", filepath.Join(out, "tree")},
		{"manifest", filepath.Join(out, "x.img"), "-o", filepath.Join(out, "m.json")},
	} {
		if code, _, errs := here(args...); code != 0 {
			t.Fatalf("%q: exit code %d: %s", args, code, errs)
		}
	}
	for _, found := range readableSecrets(t, out) {
		t.Error(found)
	}
}
