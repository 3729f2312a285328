// Release makes what is handed out, in a directory of its own:
//
//	go run ./cmd/internal/release DIR
//
//	DIR/groundhog_VERSION_linux_{amd64,arm64}.tar.gz
//	DIR/groundhog_VERSION_{amd64,arm64}.deb
//	DIR/SHA256SUMS
//
// The same commit and the same compiler (go.mod's toolchain line) give the same bytes in any directory on any machine:
// no path and no clock gets in, times are the commit's. Packages are made by nfpm, whose version is fixed here; its
// modules are checked by the sum database and are none of ours.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: release DIR")
		os.Exit(2)
	}
	if err := buildRelease(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// architectures are those that people run groundhog on. Go and Debian call them the same.
var architectures = []string{"amd64", "arm64"}

func buildRelease(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "groundhog-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	s, err := newStage(tmp)
	if err != nil {
		return err
	}
	var made []string
	for _, arch := range architectures {
		tree, err := s.fillTree(arch)
		if err != nil {
			return fmt.Errorf("building for %s: %w", arch, err)
		}
		tarball := filepath.Join(dir, fmt.Sprintf("groundhog_%s_linux_%s.tar.gz", s.version, arch))
		if err := writeTarball(tarball, tree, "groundhog-"+s.version, s.when); err != nil {
			return fmt.Errorf("writing %s: %w", tarball, err)
		}
		deb := filepath.Join(dir, fmt.Sprintf("groundhog_%s_%s.deb", s.version, arch))
		if err := s.writeDeb(deb, tree, arch); err != nil {
			return fmt.Errorf("writing %s: %w", deb, err)
		}
		made = append(made, tarball, deb)
	}
	return writeSums(filepath.Join(dir, "SHA256SUMS"), made)
}

// commandOutput runs a command and returns what it prints, without the line's end.
func commandOutput(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
