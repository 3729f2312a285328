package patches

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"groundhog/patches/confine"
)

// errNoDepmod says what to install: no Go library writes the indexes.
var errNoDepmod = errors.New("modules must be added, and there is no depmod here to index them: install kmod")

// depmodTime is far more than depmod needs for a whole kernel's modules.
const depmodTime = 5 * time.Minute

// runDepmod makes module indexes from files (path below lib/modules/KERNEL to
// content) in a temporary tree and returns those of the wanted ones that it
// made.
func runDepmod(kernel string, files map[string][]byte, wanted []string) (map[string][]byte, error) {
	program, err := findDepmod()
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "groundhog-depmod-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(root)
	dir := filepath.Join(root, "lib/modules", kernel)
	for name, data := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(at, data, 0o600); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), depmodTime)
	defer cancel()
	said := firstBytes{left: 4 << 10}
	setup := func(cmd *exec.Cmd) {
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
		cmd.Stdout, cmd.Stderr = &said, &said
	}
	err = confine.Run(ctx, setup, program, "-b", root, "--", kernel)
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %v", depmodTime)
	}
	if err != nil {
		why := strings.ReplaceAll(strings.TrimSpace(string(said.b)), root, "")
		return nil, fmt.Errorf("depmod: %w: %s", err, strings.ReplaceAll(why, "\n", "; "))
	}
	made := map[string][]byte{}
	for _, name := range wanted {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		made[name] = b
	}
	return made, nil
}

// firstBytes keeps the beginning of what is written: a hostile module can make
// depmod say anything, as often as it likes.
type firstBytes struct {
	b    []byte
	left int
}

func (f *firstBytes) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.b = append(f.b, p[:n]...)
	f.left -= n
	return len(p), nil
}

// depmodNames is where depmod is looked for: in PATH, and where PATH of an
// ordinary user does not lead.
var depmodNames = []string{"depmod", "/usr/sbin/depmod", "/sbin/depmod"}

func findDepmod() (string, error) {
	for _, name := range depmodNames {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", errNoDepmod
}
