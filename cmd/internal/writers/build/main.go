// Build compiles groundhog-writer for the architectures of Debian that devices
// have, and packs the programs into one file, for groundhog to embed:
//
//	go run ./cmd/internal/writers/build DIR
//
// The same source gives the same bytes on any machine: an archive's content
// depends on them. A file that already has them is left alone.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"groundhog/cmd/internal/writers"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: build DIR")
		os.Exit(2)
	}
	if err := buildWriters(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// architectures is what Go calls each of Debian's: armel has no floating point
// unit, armhf of a Raspberry Pi is ARMv6.
var architectures = map[string][]string{
	"amd64": {"GOARCH=amd64", "GOAMD64=v1"},
	"arm64": {"GOARCH=arm64", "GOARM64=v8.0"},
	"armel": {"GOARCH=arm", "GOARM=5"},
	"armhf": {"GOARCH=arm", "GOARM=6"},
}

func buildWriters(dir string) error {
	tmp, err := os.MkdirTemp("", "groundhog-writers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	programs := map[string][]byte{}
	for arch, env := range architectures {
		if programs[arch], err = compileWriter(filepath.Join(tmp, arch), env); err != nil {
			return fmt.Errorf("compiling groundhog-writer for %s: %w", arch, err)
		}
	}
	return keepPrograms(filepath.Join(dir, writers.Name), programs)
}

// notInlined is packages whose functions the compiler is not to inline: nothing that a flash waits for is in them, and the four programs
// are 180 KB smaller, packed. They are sent over slow lines.
var notInlined = []string{"encoding/json", "reflect", "fmt", "strconv", "os", "io/fs", "path/filepath", "time", "context", "errors", "internal/poll", "syscall", "golang.org/x/sys/unix",
	"groundhog/cmd/internal/flash/disk", "groundhog/cmd/internal/flash/protocol", "groundhog/cmd/internal/kexec"}

func compileWriter(out string, env []string) ([]byte, error) {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="}
	for _, name := range notInlined {
		args = append(args, "-gcflags="+name+"=-l")
	}
	cmd := exec.Command("go", append(args, "-o", out, "groundhog/cmd/groundhog-writer")...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=", "GOEXPERIMENT="), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return os.ReadFile(out)
}

// keepPrograms writes the file that holds the programs, unless it is there.
func keepPrograms(name string, programs map[string][]byte) error {
	if packed, err := os.ReadFile(name); err == nil {
		if holdsSame(packed, programs) {
			return nil
		}
	}
	var packed bytes.Buffer
	if err := writers.Pack(&packed, programs); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", packed.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func holdsSame(packed []byte, programs map[string][]byte) bool {
	there, err := writers.Unpack(bytes.NewReader(packed))
	if err != nil || len(there) != len(programs) {
		return false
	}
	for arch, b := range programs {
		if !bytes.Equal(there[arch], b) {
			return false
		}
	}
	return true
}
