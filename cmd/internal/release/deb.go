package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// nfpmTool is what makes packages of trees (https://nfpm.goreleaser.com). As a library it would bring a hundred modules into
// go.mod that nobody who runs groundhog needs.
// It is the last one that takes no modules for packages of Windows, which not every module proxy has.
const nfpmTool = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0"

// debConfig is nfpm's configuration; JSON is YAML, too.
type debConfig struct {
	Name        string       `json:"name"`
	Arch        string       `json:"arch"`
	Platform    string       `json:"platform"`
	Version     string       `json:"version"`
	Section     string       `json:"section"`
	Priority    string       `json:"priority"`
	Maintainer  string       `json:"maintainer"`
	Description string       `json:"description"`
	MTime       string       `json:"mtime"`
	Recommends  []string     `json:"recommends"`
	Suggests    []string     `json:"suggests"`
	Contents    []debContent `json:"contents"`
	Deb         debOptions   `json:"deb"`
}

type debContent struct {
	Src  string      `json:"src,omitempty"`
	Dst  string      `json:"dst"`
	Type string      `json:"type,omitempty"`
	Info debFileInfo `json:"file_info"`
}

type debFileInfo struct {
	Mode  os.FileMode `json:"mode"`
	MTime string      `json:"mtime"`
}

type debOptions struct {
	Compression string `json:"compression"`
}

const packageDescription = `reflash Debian machines over the network, from their own initramfs
 Groundhog turns the initramfs of a Debian machine into one that brings the
 network up, starts dropbear and waits, so that a system image can be written
 to the machine's own storage. It works offline on the build host, for any
 architecture, and online on devices that it reaches over SSH.`

// writeDeb makes the package of a tree that lies below /usr.
func (s *staging) writeDeb(name, tree, arch string) error {
	when := s.when.Format(time.RFC3339)
	c := debConfig{Name: "groundhog", Arch: arch, Platform: "linux", Version: s.version, Section: "admin", Priority: "optional",
		Maintainer: maintainer, Description: packageDescription, MTime: when,
		Recommends: []string{"kmod", "qemu-system"}, Suggests: []string{"e2fsprogs", "openssh-client"}, Deb: debOptions{Compression: "xz"}}
	err := filepath.WalkDir(tree, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if filepath.Dir(rel) == "bin" {
			mode = 0o755
		}
		c.Contents = append(c.Contents, debContent{Src: path, Dst: "/usr/" + filepath.ToSlash(rel), Info: debFileInfo{mode, when}})
		return nil
	})
	if err != nil {
		return err
	}
	config, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, arch+".json")
	if err := os.WriteFile(file, config, 0o644); err != nil {
		return err
	}
	_, err = commandOutput(s.env, "go", "run", nfpmTool, "package", "--config", file, "--packager", "deb", "--target", name)
	return err
}
