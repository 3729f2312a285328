//go:build e2e

package depmod

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// All modules of a release's kernel have the indexes that the release's own depmod makes of them.
func TestIndexesOfReleases(t *testing.T) {
	if os.Getuid() != 0 {
		judge.Missing(t, "root, to chroot")
	}
	for _, suite := range judge.Cases([]string{"bookworm"}, "bullseye", "trixie") {
		t.Run(suite, func(t *testing.T) {
			tgt := judge.Value(fixtures.BuildTarget(t.Context(), suite, "amd64", os.Stderr))(t)
			kernels, err := filepath.Glob(filepath.Join(tgt.Root, "lib/modules/*"))
			if err != nil || len(kernels) != 1 {
				t.Fatalf("%q: %v", kernels, err)
			}
			files := map[string][]byte{}
			if err := fs.WalkDir(os.DirFS(kernels[0]), ".", func(name string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					files[name], err = os.ReadFile(filepath.Join(kernels[0], name))
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			// Beside the target's own tree, so that its depmod can be run, and the target is left as it is.
			root := t.TempDir()
			kernel := filepath.Base(kernels[0])
			judge.Run(t, exec.Command(judge.Tool(t, "unshare"), "--mount", "sh", "-ec",
				`mount --bind "$2" "$1/mnt"; mkdir -p "$1/mnt/lib/modules"; cp -a "$3" "$1/mnt/lib/modules"; exec chroot "$1" /sbin/depmod -b /mnt "$4"`,
				"sh", tgt.Root, root, kernels[0], kernel))
			theirs := map[string][]byte{}
			for name := range indexNames {
				b, err := os.ReadFile(filepath.Join(root, "lib/modules", kernel, name))
				if err != nil && name != "modules.weakdep" {
					t.Fatal(err)
				} else if err == nil {
					theirs[name] = b
				}
			}
			if len(files) < 500 || len(theirs["modules.dep"]) < 10000 {
				t.Fatalf("%d files, and modules.dep of %d bytes", len(files), len(theirs["modules.dep"]))
			}
			sameIndexes(t, files, theirs)
		})
	}
}
