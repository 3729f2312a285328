package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// mkTarget RELEASE dropbear|plain [COMPRESSION] writes a small target: its
// archive initrd.img, its root tree root, and keys: id.pub, id_ed25519.pub,
// host.dropbear and host.openssh, which are one.
func mkTarget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: mktarget RELEASE dropbear|plain [COMPRESSION]")
	}
	compression := initrd.None
	if len(args) == 3 {
		compression = initrd.Compression(args[2])
	}
	ts.Check(writeTarget(ts.MkAbs("."), args[0], args[1] == "dropbear", compression))
}

func writeTarget(dir, release string, dropbear bool, c initrd.Compression) error {
	tgt := tiny.New(release, dropbear)
	b, err := tgt.Bytes(c)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"initrd.img": b, "id.pub": []byte(tiny.LoginECDSA), "id_ed25519.pub": []byte(tiny.LoginEd25519),
		"host.dropbear": tiny.OtherHostKey.Marshal(), "host.openssh": tiny.OpenSSH(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return tgt.WriteRoot(root)
}

// refused CODE REGEXP ARG... runs groundhog, which must end with that exit code, print nothing
// and one line of error that REGEXP matches, with a hint at most, and leave
// every file, hidden ones too, as it is.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: refused CODE REGEXP ARG...")
	}
	code := args[0]
	args = args[1:]
	self, err := os.Executable()
	ts.Check(err)
	before, err := listing(ts.MkAbs("."))
	ts.Check(err)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(self, args[1:]...)
	cmd.Args[0] = "groundhog"
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &stdout, &stderr
	err = cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || strconv.Itoa(exit.ExitCode()) != code {
		ts.Fatalf("groundhog %q: %v, want %s\n%s", args[1:], err, code, stderr.String())
	}
	if why := oneLine(stdout.String(), stderr.String()); why != "" {
		ts.Fatalf("groundhog %q: %s:\n%s%s", args[1:], why, stdout.String(), stderr.String())
	}
	if !regexp.MustCompile(args[0]).MatchString(stderr.String()) {
		ts.Fatalf("groundhog %q: no %q in\n%s", args[1:], args[0], stderr.String())
	}
	after, err := listing(ts.MkAbs("."))
	ts.Check(err)
	if before != after {
		ts.Fatalf("groundhog %q left\n%s\nwhere was\n%s", args[1:], after, before)
	}
}

// oneLine says what is wrong with what a refusal printed.
func oneLine(stdout, stderr string) string {
	lines := strings.SplitAfter(stderr, "\n")
	switch {
	case stdout != "":
		return "something on stdout"
	case !strings.HasPrefix(stderr, "groundhog: ") || !strings.HasSuffix(stderr, "\n"):
		return "not a line"
	case len(lines) > 3 || len(lines) == 3 && !strings.HasPrefix(lines[1], "  "):
		return "more than a line and a hint"
	case strings.ContainsFunc(stderr, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }):
		return "something that controls a terminal"
	}
	return ""
}

// listing is all files below dir: mode, content's hash, name.
func listing(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var sum [sha256.Size]byte
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = sha256.Sum256(data)
		}
		_, err = fmt.Fprintf(&b, "%v %x %s\n", info.Mode(), sum[:4], path)
		return err
	})
	return b.String(), err
}

// Cut anywhere, an archive is refused and nothing is left; only the zeros that
// fill a plain one up may be missing.
func TestPatchCut(t *testing.T) {
	for _, c := range []initrd.Compression{initrd.None, initrd.Gzip, initrd.Zstd, initrd.Xz, initrd.Lz4} {
		t.Run(string(c), func(t *testing.T) {
			dir := t.TempDir()
			judge.Must(t, writeTarget(dir, "bookworm", true, c))
			whole := judge.ReadFile(t, filepath.Join(dir, "initrd.img"))
			content := len(bytes.TrimRight(whole, "\x00"))
			cut, out := filepath.Join(dir, "cut.img"), filepath.Join(dir, "out")
			judge.Must(t, os.Mkdir(out, 0o755))
			for n := 0; n < len(whole); n += 1 + len(whole)/judge.Times(100, 400) {
				if c == initrd.None && n >= content {
					break
				}
				judge.WriteFile(t, cut, whole[:n])
				var stdout, stderr bytes.Buffer
				code := run([]string{"patch", cut, "--root", filepath.Join(dir, "root"), "-o", filepath.Join(out, "x.img")}, nil, &stdout, &stderr)
				if why := oneLine(stdout.String(), stderr.String()); code != exitTrouble || why != "" || !strings.Contains(stderr.String(), "cut.img") {
					t.Errorf("%d of %d bytes: exit %d: %s\n%s", n, len(whole), code, why, stderr.String())
				}
			}
			left, err := os.ReadDir(out)
			if err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}
