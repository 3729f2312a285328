package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"groundhog/fixtures/judge"
)

// unprivileged ARG... runs groundhog as nobody where we are root, and as we are
// where we are not.
func unprivileged(ts *testscript.TestScript, neg bool, args []string) {
	self, err := os.Executable()
	ts.Check(err)
	cmd := exec.Command(self, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), ts.Stdout(), ts.Stderr()
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		// go test keeps its binary where only we can look. Were it copied in this
		// process, a script beside this one could start a program meanwhile, which
		// would have the copy open for writing: "text file busy".
		cmd.Path = ts.MkAbs("groundhog")
		ts.Check(exec.Command("install", "-m", "755", self, cmd.Path).Run())
		ts.Check(os.Chmod(cmd.Dir, 0o777))
		ts.Check(os.Chmod(filepath.Dir(cmd.Dir), 0o711))
	}
	cmd.Args[0] = "groundhog" // by which the test binary knows what it is
	if err := cmd.Run(); (err != nil) != neg {
		ts.Fatalf("groundhog %q: %v", args, err)
	}
}

// sameList ARCHIVE LIST holds what --list --all printed of a plain archive of
// one segment against GNU cpio's listing of it. Only the time is written in
// another way, and cpio's depends on the clock unless it is long ago.
func sameList(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samelist ARCHIVE LIST")
	}
	cmd := exec.Command("cpio", "-itvn", "--quiet")
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC0")
	in, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer in.Close()
	cmd.Stdin = in
	want, err := cmd.Output()
	ts.Check(err)
	got, err := asCpio(ts.ReadFile(args[1]))
	ts.Check(err)
	if got != string(want) {
		ts.Fatalf("groundhog:\n%s\ncpio:\n%s", got, want)
	}
}

var isoTime = regexp.MustCompile(` (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) `)

// asCpio writes the times in a listing as cpio has old ones.
func asCpio(list string) (string, error) {
	var b strings.Builder
	for line := range strings.Lines(list) {
		at := isoTime.FindStringSubmatchIndex(line)
		if at == nil {
			return "", fmt.Errorf("%q: no time", line)
		}
		t, err := time.Parse(time.RFC3339, line[at[2]:at[3]])
		if err != nil {
			return "", err
		}
		b.WriteString(line[:at[2]] + t.Format("Jan _2  2006") + line[at[3]:])
	}
	return b.String(), nil
}

// Whatever is in an archive, inspect ends with 0 or with one error, of a line and
// perhaps an indented one of what may be done about it, and prints nothing that controls a terminal. A byte of each kind of record is
// changed at a time.
func TestInspectDamaged(t *testing.T) { inspectDamaged(t, 7) }

// inspectDamaged changes one byte in some.
func inspectDamaged(t *testing.T, one int) {
	whole := judge.ReadFile(t, "../../fixtures/archives/newc.cpio")
	file := filepath.Join(t.TempDir(), "damaged.img")
	for at := 0; at < len(whole); at += one {
		damaged := bytes.Clone(whole)
		damaged[at] ^= []byte{0x01, 0x1b, 0x80}[at%3]
		judge.WriteFile(t, file, damaged)
		checkTame(t, at, "inspect", "-v", file)
		checkTame(t, at, "inspect", "--list", "--all", "-v", file)
		if at%8 == 0 {
			checkTame(t, at, "inspect", "--extract", filepath.Join(t.TempDir(), "tree"), file)
		}
	}
}

var errorAndHint = regexp.MustCompile(`\Agroundhog: .*\n(  .*\n)?\z`)

func checkTame(t *testing.T, at int, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(args, nil, &stdout, &stderr)
	oneError := code == exitTrouble && errorAndHint.MatchString(stderr.String())
	if code != 0 && !oneError || code == 0 && strings.Contains(stderr.String(), "groundhog:") {
		t.Errorf("byte %d: %q: exit %d: %s", at, args, code, stderr.String())
	}
	for _, r := range stdout.String() + stderr.String() {
		if r != '\n' && !strconv.IsPrint(r) {
			t.Errorf("byte %d: %q: %q is printed", at, args, r)
		}
	}
}

// A directory into which somebody else can reach is not extracted to: what comes to lie there would be his to exchange.
func TestExtractAmongStrangers(t *testing.T) {
	workplace(t)
	for _, c := range []struct {
		about string
		mode  os.FileMode // of the directory, which is there
		owner int
		ok    bool
	}{
		{"ours", 0o755, os.Geteuid(), true},
		{"ours, and our group's", 0o775, os.Geteuid(), true},
		{"anybody's", 0o777, os.Geteuid(), false},
		{"as /tmp is", 0o777 | os.ModeSticky, os.Geteuid(), false},
		{"a stranger's", 0o755, 1234, false},
		{"a stranger's, who lets nobody in", 0o700, 1234, false},
	} {
		if c.owner != os.Geteuid() && os.Geteuid() != 0 {
			continue // only root can give things away
		}
		dir := filepath.Join(t.TempDir(), "tree")
		link := dir + "-link"
		judge.Must(t, errors.Join(os.Mkdir(dir, 0o700), os.Symlink(dir, link), os.Chown(dir, c.owner, -1), os.Chmod(dir, c.mode)))
		for _, name := range []string{dir, link} {
			code, _, said := here("inspect", "reflash.img", "--extract", name)
			entries, err := os.ReadDir(dir)
			if err != nil || c.ok != (code == exitDone) || c.ok != (len(entries) > 0) || !c.ok && (code != exitNo || !strings.Contains(said, "not believed\n  name a directory that is not there")) {
				t.Errorf("%s: exit %d, %d entries, %v\n%s", c.about, code, len(entries), err, said)
			}
			if c.ok {
				break
			}
		}
	}
	if code, _, said := here("inspect", "reflash.img", "--extract", filepath.Join(t.TempDir(), "new")); code != exitDone {
		t.Errorf("a new one: exit %d\n%s", code, said)
	}
}
