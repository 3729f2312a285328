package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// floors is the rooms from the bottom up. A room imports from its own floor and
// from those below it; fixtures is for tests alone.
var floors = []string{"groundhog/initrd", "groundhog/initrd/debian", "groundhog/manifest", "groundhog/patches", "groundhog/cmd"}

// floorOf is the floor that a package is on, -1 of one that is not ours.
func floorOf(pkg string) int {
	found := -1
	for i, room := range floors {
		if pkg == room || strings.HasPrefix(pkg, room+"/") {
			found = i
		}
	}
	return found
}

// apart is rooms that do without each other: each can be imported alone.
var apart = map[string][]string{
	"groundhog/initrd/eof":    {"groundhog/"},
	"groundhog/initrd/show":   {"groundhog/"},
	"groundhog/manifest/sign": {"groundhog/"},
	"groundhog/manifest/sbom": {"groundhog/manifest/diff", "groundhog/manifest/sign"},
	"groundhog/manifest/diff": {"groundhog/manifest/sbom", "groundhog/manifest/sign"},
	"groundhog/manifest":      {"groundhog/manifest/"},
	"groundhog/patches/undo":  {"groundhog/initrd", "groundhog/manifest", "groundhog/patches/scripts"},
}

// Other build tools import what is below cmd: it brings neither a command line
// nor the network.
var notBelowCmd = []string{"github.com/spf13/", "net/http", "golang.org/x/net/", "groundhog/fixtures"}

func TestImports(t *testing.T) {
	out := judge.Output(t, exec.Command(judge.Tool(t, "go"), "list", "-f", "{{.ImportPath}}: {{join .Imports \" \"}}: {{join .Deps \" \"}}", "groundhog/..."))
	for line := range strings.Lines(string(out)) {
		part := strings.Split(strings.TrimSpace(line), ": ")
		pkg, imports, deps := part[0], strings.Fields(part[1]), strings.Fields(part[len(part)-1])
		if strings.HasPrefix(pkg, "groundhog/fixtures") {
			continue
		}
		for _, dep := range imports {
			if floorOf(dep) > floorOf(pkg) || startsWithAny(dep, apart[pkg]) {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
		if pkg == "groundhog/cmd" || strings.HasPrefix(pkg, "groundhog/cmd/") {
			continue
		}
		for _, dep := range deps {
			if startsWithAny(dep, notBelowCmd) {
				t.Errorf("%s depends on %s", pkg, dep)
			}
		}
	}
}

// How long something takes is not told by a clock that may be set meanwhile: package since has another one. A file's own times are the wall clock's.
func TestNothingIsTimedByTheWallClock(t *testing.T) {
	timed := regexp.MustCompile(`time\.Since\(time\.Unix|UnixNano\(\)\s*-`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "index/identity.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if found := timed.Find(b); found != nil {
			t.Errorf("%s: %s", path, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// README's table of rooms has every one, and none that is not there.
func TestRooms(t *testing.T) {
	b := judge.ReadFile(t, "../../README.md")
	_, text, _ := strings.Cut(string(b), "## Working on it")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`((?:initrd|manifest|patches|cmd|fixtures)[a-z/-]*)`").FindAllStringSubmatch(text, -1) {
		named[m[1]] = true
		if info, err := os.Stat("../../" + m[1]); err != nil || !info.IsDir() {
			t.Errorf("README names %s, which is no room", m[1])
		}
	}
	for _, floor := range []string{"initrd", "manifest", "patches", "cmd"} {
		err := filepath.WalkDir("../../"+floor, func(at string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			room := strings.TrimPrefix(at, "../../")
			if strings.Count(room, "/") > 2 {
				return fs.SkipDir // a room's own affair
			}
			if files, _ := filepath.Glob(at + "/*.go"); len(files) > 0 && !named[room] {
				t.Errorf("README does not name %s", room)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func startsWithAny(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
