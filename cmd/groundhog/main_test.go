package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian/dropbear"
)

// TestMain makes this test binary be groundhog, too, where a script runs that.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)       // of what runs in this process; main has its own
	debug.SetMemoryLimit(2 << 30) // archives and disks are read whole again and again: a machine of 8 GiB has to do
	testscript.Main(judge.Apart{M: m}, map[string]func(){
		"groundhog":          func() { makeHostKey = smallHostKey; main() },
		"groundhog-measured": func() { makeHostKey = smallHostKey; measuredMain() },
	})
}

// smallHostKey is a new key as patch makes it, but for rsa one of 1024 bits, for which two small primes have to be found. What runs in
// this process makes keys of full size (TestNewHostKeys).
func smallHostKey(kind string) (*dropbear.HostKey, error) {
	if kind != "rsa" {
		return dropbear.GenerateHostKey(kind)
	}
	return tiny.SmallRSA()
}

// TestScripts runs testdata/*.txtar. Beside testscript's own commands they have
//
//	mkarchive OUT DESC    write the archive that the file DESC describes (mkarchive_test.go)
//	samelist ARCHIVE LIST hold a listing against `cpio -itvn` (inspect_test.go)
//	mkprogram FILE        write the header of an amd64 program (writers_test.go)
//	mktarget RELEASE KIND write a small target (patch_test.go)
//	refused CODE REGEXP ARG... run groundhog, which must refuse and leave nothing (patch_test.go)
//	unprivileged ARG...   run groundhog as nobody, where we are root
//
// and the conditions [root] and [tool:NAME]: a program is installed. With
// GROUNDHOG_REQUIRE_TOOLS=1 one that is missing fails the script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("LC_ALL", "C")
			env.Setenv("TZ", "UTC0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkarchive":    mkarchive,
			"mkprogram":    mkProgram,
			"mktarget":     mkTarget,
			"refused":      refused,
			"samelist":     sameList,
			"unprivileged": unprivileged,
		},
		Condition: condition,
	})
}

// condition is one of testscript's: root, a tool:NAME that is installed, mounts for who can have a mount namespace. Where CI has not
// what it should have, that is an error.
func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Geteuid() == 0, nil
	case "mounts":
		err := exec.Command("unshare", "--mount", "true").Run() // not in a chroot, whose root is no mount
		if err != nil && judge.Required() {
			return false, fmt.Errorf("no mount namespace: %w", err)
		}
		return err == nil, nil
	}
	tool, ok := strings.CutPrefix(cond, "tool:")
	if !ok {
		return false, fmt.Errorf("%q: no such condition", cond)
	}
	_, err := exec.LookPath(tool)
	if err != nil && judge.Required() {
		return false, fmt.Errorf("%s is not installed", tool)
	}
	return err == nil, nil
}
