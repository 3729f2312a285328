package patches

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// errNoDepmod says what to install: no Go library writes the indexes.
var errNoDepmod = errors.New("modules must be added, and there is no depmod here to index them: install kmod")

// depmod makes module indexes from files (path below lib/modules/KERNEL to
// content) in a temporary tree and returns those of the wanted ones that it
// made.
func depmod(kernel string, files map[string][]byte, wanted []string) (map[string][]byte, error) {
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
	cmd := exec.Command(program, "-b", root, kernel)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		why := strings.ReplaceAll(strings.TrimSpace(said.String()), root, "")
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
