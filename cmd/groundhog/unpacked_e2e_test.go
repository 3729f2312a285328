//go:build e2e

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// once is what a function makes of each archive, by its path, made once for all tests: where an archive begins with files that are not
// compressed, as trixie's do, Debian's tools start a program for each header, which takes them most of a minute.
type once[T any] struct {
	mu   sync.Mutex
	each map[string]func() (T, error)
	of   func(archive string) (T, error)
}

func (o *once[T]) get(t *testing.T, archive string) T {
	t.Helper()
	o.mu.Lock()
	if o.each == nil {
		o.each = map[string]func() (T, error){}
	}
	get := o.each[archive]
	if get == nil {
		get = sync.OnceValues(func() (T, error) { return o.of(archive) })
		o.each[archive] = get
	}
	o.mu.Unlock()
	return judge.Value(get())(t)
}

// archivesOf is a target's archives that Debian's tools are asked about. Of trixie's, over which they take so long, the one with dropbear has all that the other has.
func archivesOf(tgt *fixtures.Target) []string {
	all := []string{tgt.Plain, tgt.Dropbear}
	if tgt.Suite == "trixie" && !judge.Full {
		all = all[1:]
	}
	return slices.DeleteFunc(all, func(archive string) bool { return archive == "" })
}

var (
	unpackedTrees = once[string]{of: unpackTree}
	listedNames   = once[[]string]{of: listNames}
)

// unpack takes an archive apart with Debian's own tools: every segment that unmkinitramfs finds, one over the other, as the kernel does.
// Nobody may change the tree: others have the same.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	return unpackedTrees.get(t, archive)
}

// unpackTree unpacks into the tests' own cache, which is removed behind them (judge.Apart).
func unpackTree(archive string) (string, error) {
	cache, err := os.UserCacheDir()
	if err == nil {
		err = os.MkdirAll(cache, 0o700)
	}
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "unpacked-*")
	if err != nil {
		return "", err
	}
	all, merged := filepath.Join(dir, "all"), filepath.Join(dir, "merged")
	if _, err := outputOf("unmkinitramfs", archive, all); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(all, "main")); err != nil {
		return all, nil
	}
	parts, _ := filepath.Glob(filepath.Join(all, "early*"))
	if err := os.Mkdir(merged, 0o755); err != nil {
		return "", err
	}
	for _, p := range append(parts, filepath.Join(all, "main")) {
		if _, err := outputOf("cp", "-a", p+"/.", merged); err != nil {
			return "", err
		}
	}
	return merged, os.RemoveAll(all)
}

// lsinitramfs is the names in an archive, as Debian's own tool lists them; nobody may change them.
func lsinitramfs(t *testing.T, archive string) []string {
	t.Helper()
	return listedNames.get(t, archive)
}

func listNames(archive string) ([]string, error) {
	out, err := outputOf("lsinitramfs", archive)
	return strings.Fields(string(out)), err
}

func outputOf(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w: %s", name, args, err, said.Bytes())
	}
	return out, nil
}
