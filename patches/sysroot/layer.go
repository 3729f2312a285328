package sysroot

import "io/fs"

// DefaultLimit is how many bytes the packages of all Debs layers of a tree may
// unpack to together.
const DefaultLimit = 2 << 30

// A Layer is one part of a tree, not yet opened: see Dir and Debs.
type Layer struct {
	path  string
	debs  bool
	limit int64
}

// Dir is the root tree in a directory of the build host. It is read lazily; only
// what is asked for is looked at.
//
// Over another layer, one of its top-level directories bin, sbin, lib, lib32, lib64
// and libx32 keeps a symbolic link to a directory that lies below, as a package's
// would, so that an overlay's lib/ does not hide a merged /usr. Elsewhere a
// directory hides the link below it: to know better, the whole tree would have to
// be walked.
func Dir(path string) Layer { return Layer{path: path, limit: DefaultLimit} }

// Debs is a .deb file, or a directory whose *.deb files are unpacked in the order
// of their names, into memory.
func Debs(path string) Layer { return Layer{path: path, debs: true, limit: DefaultLimit} }

// Limit is the layer with another bound, in bytes: on what its packages and those
// of the layers below it unpack to together, bookkeeping included; of a Dir on the
// size of a file that is read whole.
func (l Layer) Limit(bytes int64) Layer {
	l.limit = bytes
	return l
}

// A nameLookup answers for names whose directories are no symbolic links. A name that
// is not there gives fs.ErrNotExist.
type nameLookup interface {
	lstat(name string) (fs.FileInfo, error)
	readLink(name string) (string, error)
}

// A layerStore is what one opened layer holds, by names in that layer.
type layerStore interface {
	nameLookup
	readDir(name string) ([]fs.DirEntry, error)
	open(name string) (fs.File, error)
	close() error
}
