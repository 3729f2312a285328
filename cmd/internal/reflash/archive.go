package reflash

import (
	"io"
	"os"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/push"
	"groundhog/initrd"
)

// Archive is a reflash initramfs that goes to devices.
type Archive struct {
	Path   string // absolute
	Size   int64  // bytes of the file
	SHA256 string // of the file, in hex
	Image  *initrd.Image
	Facts  push.Archive
	Keys   []ssh.PublicKey // what its dropbear answers with
	Port   uint16          // where it listens
}

// ownArchive is the archive as one device gets it.
type ownArchive struct {
	size   int64
	sha256 string
	open   func() (io.ReadCloser, error)
}

// wholeArchive is the archive as it is.
func (a *Archive) wholeArchive() *ownArchive {
	return &ownArchive{a.Size, a.SHA256, func() (io.ReadCloser, error) { return os.Open(a.Path) }}
}
