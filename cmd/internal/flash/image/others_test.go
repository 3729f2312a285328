package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"groundhog/cmd/internal/sidefile"
	"groundhog/fixtures/judge"
)

// In a directory that others share a sum of theirs does not pass for a check of an image that is not theirs.
func TestSumsOfOthers(t *testing.T) {
	const stranger, another = 12345, 12346
	chown := func(name string, to int) error { return os.Lchown(name, to, to) }
	for what, c := range map[string]struct {
		plant    func(image, sums string) error
		believed bool
	}{
		"ours":                 {func(_, _ string) error { return nil }, true},
		"a stranger's":         {func(_, sums string) error { return chown(sums, stranger) }, false},
		"who has the image":    {func(image, sums string) error { return errors.Join(chown(sums, stranger), chown(image, stranger)) }, true},
		"who has not":          {func(image, sums string) error { return errors.Join(chown(sums, stranger), chown(image, another)) }, false},
		"root's, of another's": {func(image, _ string) error { return chown(image, stranger) }, true},
		"that anybody writes":  {func(_, sums string) error { return os.Chmod(sums, 0o666) }, false},
		"as the image": { // a filesystem that knows no modes
			func(image, sums string) error { return errors.Join(os.Chmod(sums, 0o777), os.Chmod(image, 0o777)) }, true},
		"a stranger's by our link": {func(_, sums string) error {
			return errors.Join(os.Rename(sums, sums+".theirs"), chown(sums+".theirs", stranger), os.Symlink(sums+".theirs", sums))
		}, false},
	} {
		for _, name := range []string{"disk.img.sha256", "SHA256SUMS"} {
			t.Run(what+"/"+name, func(t *testing.T) {
				dir, b := t.TempDir(), disk(1<<20)
				judge.Must(t, os.Chmod(dir, 0o777|os.ModeSticky))
				image := old(t, filepath.Join(dir, "disk.img"), b)
				sums := old(t, filepath.Join(dir, name), []byte(sumOf(b)+"  disk.img\n"))
				if err := c.plant(image, sums); errors.Is(err, os.ErrPermission) {
					judge.Missing(t, "root, who alone makes files of others")
				} else if err != nil {
					t.Fatal(err)
				}
				i, err := Open(t.Context(), image, "", nil)
				if err == nil {
					defer i.Close()
				}
				if (err == nil) != c.believed || err != nil && !errors.Is(err, sidefile.ErrStranger) || err == nil && i.Checked() != sums {
					t.Errorf("%v", err)
				}
				i, err = Open(t.Context(), image, sumOf(b), nil)
				if err != nil {
					t.Fatalf("with --sha256: %v", err)
				}
				i.Close()
			})
		}
	}
}
