// Package dpkg reads the records that dpkg keeps in a root tree: which packages are
// installed, and who owns what.
package dpkg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian"
)

// dpkgDir is where dpkg keeps its records in a root tree (dpkg(1), FILES).
const dpkgDir = "var/lib/dpkg"

// maxDpkgFile bounds a file of dpkg's records in bytes; the largest on a
// desktop is some ten million.
const maxDpkgFile = 256 << 20

// Bounds of what records may have, so that memory and time stay within bounds, too: a path of a few bytes takes some 300 in memory.
const (
	maxFiles     = 1 << 22 // paths; a desktop has half a million
	maxOwners    = 16      // packages that have one path. A file has a few, one for each architecture; a directory may have all
	maxRelations = 1 << 20 // times that one package names another; all of Debian does that a million times
)

// ErrNone says that a root tree has no records of dpkg.
var ErrNone = errors.New("no records of dpkg in the root tree (" + dpkgDir + "/status)")

// Package is an installed package. Source and SourceVersion are of the source package that it was built from, which may have the same name
// and version. Depends is every package that it names as needed, all alternatives among them; Provides is the other names that it goes by. BuiltUsing is
// the further sources that parts of it are from.
type Package struct {
	Name, Version, Architecture string
	Source, SourceVersion       string
	Depends, Provides           []Relation
	BuiltUsing                  []BuiltUsing
}

// BuiltUsing is a source package, of just this version, that a part of another source's package was made from: for its licence, or
// because it is linked in statically (deb-control(5), Built-Using and Static-Built-Using).
type BuiltUsing struct {
	Source, Version string
	Static          bool
}

// Records is what a root tree's records say of who owns what.
type Records struct {
	Packages []Package
	owners   map[string][]File // by path, with the /usr of the top level merged
	byBase   map[string][]File // by the last element of the path
	diverted map[string]Diversion
	made     map[string][]madeRecord // by path, likewise

	files, relations, links int   // in all
	bytes                   int64 // of what belongs to packages
}

// File is a path of a package.
type File struct {
	Package int    // index in Packages
	Path    string // as it lies in the root tree, diversions taken into account
	MD5     string // of the content that the package brought; "" if not on record
}

// Read reads the records. What is not as dpkg writes it is an error that
// names the file and the line: half a record would make wrong answers.
func Read(root fs.FS) (*Records, error) {
	db := &Records{owners: map[string][]File{}, byBase: map[string][]File{}}
	var err error
	if db.diverted, err = readDiversions(root); err != nil {
		return nil, err
	}
	type instance struct{ name, arch string }
	seen := map[instance]bool{}
	err = eachInstalled(root, func(s *stanza) error {
		p := s.pkg
		if id := (instance{p.Name, p.Architecture}); seen[id] {
			return fmt.Errorf("%s of %s is there twice", p.Name, p.Architecture)
		} else if seen[id] = true; len(p.Depends)+len(p.Provides)+len(p.BuiltUsing)+db.relations > maxRelations {
			return fmt.Errorf("packages name others more than %d times", maxRelations)
		}
		db.relations += len(p.Depends) + len(p.Provides) + len(p.BuiltUsing)
		db.Packages = append(db.Packages, p)
		err := db.readFiles(root, s)
		if s.partly && errors.Is(err, fs.ErrNotExist) { // it was stopped before dpkg knew what belongs to it
			db.Packages, err = db.Packages[:len(db.Packages)-1], nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return db, db.readMade(root)
}

// Versions is the installed packages' versions by name, without who owns what.
func Versions(root fs.FS) (map[string]string, error) {
	versions := map[string]string{}
	err := eachInstalled(root, func(s *stanza) error {
		versions[s.pkg.Name] = s.pkg.Version
		return nil
	})
	return versions, err
}

func eachInstalled(root fs.FS, visit func(*stanza) error) error {
	b, err := readRecordFile(root, "status")
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	if err != nil {
		return err
	}
	updates, err := readUpdates(root)
	if err != nil {
		return err
	}
	for i, text := range splitStanzas(b) {
		s, err := parseStanza(text)
		if err == nil && !slices.ContainsFunc(updates, func(u *stanza) bool { return u.replaces(s) }) && s.installed {
			err = visit(s)
		}
		if err != nil {
			return fmt.Errorf("%s/status: record %d: %w", dpkgDir, i+1, err)
		}
	}
	for i, s := range updates {
		if !s.installed || slices.ContainsFunc(updates[i+1:], func(u *stanza) bool { return u.replaces(s) }) {
			continue
		}
		if err := visit(s); err != nil {
			return fmt.Errorf("%s/updates: %w", dpkgDir, err)
		}
	}
	return nil
}

// maxUpdates is how many records dpkg may leave beside its status file; it writes that anew after 250.
const maxUpdates = 1000

// readUpdates reads the records that dpkg had not yet put into the status file when it was stopped, oldest first. Each is a file with a number for its name.
func readUpdates(root fs.FS) (all []*stanza, err error) {
	const dir = dpkgDir + "/updates"
	list, err := fs.ReadDir(root, dir) // in the order of the names, which are of one length
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	for _, e := range list {
		if strings.Trim(e.Name(), "0123456789") != "" {
			continue // one that was being written
		}
		text, err := readRecordFile(root, "updates/"+e.Name())
		if err != nil {
			return nil, err
		}
		for _, one := range splitStanzas(text) {
			s, err := parseStanza(one)
			if err == nil && len(all) == maxUpdates {
				err = fmt.Errorf("more than %d records", maxUpdates)
			}
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", dir, e.Name(), err)
			}
			all = append(all, s)
		}
	}
	return all, nil
}

func readRecordFile(root fs.FS, name string) (string, error) {
	return readBounded(root, path.Join(dpkgDir, name), maxDpkgFile)
}

// readBounded reads a file of at most so many bytes.
func readBounded(root fs.FS, name string, most int64) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var text bytes.Buffer
	if info, err := f.Stat(); err == nil { // a size is a claim
		text.Grow(int(max(0, min(info.Size(), most, 1<<20))) + bytes.MinRead)
	}
	n, err := text.ReadFrom(io.LimitReader(f, most+1))
	if err == nil && n > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text.String(), nil
}

// Owners is who owns a path, whatever of /bin and /lib is merged into /usr; of a directory not all.
func (db *Records) Owners(name string) []File { return db.owners[debian.MergedUsr(name)] }

// Named is all files of packages with that last element of their path.
func (db *Records) Named(base string) []File { return db.byBase[base] }

// readFiles reads a package's list and md5sums.
func (db *Records) readFiles(root fs.FS, s *stanza) error {
	list, name, err := db.readInfo(root, s.pkg, "list")
	if err != nil {
		return fmt.Errorf("%s is installed, but what belongs to it is not on record: %w", s.pkg.Name, err)
	}
	sums, err := db.readSums(root, s)
	if err != nil {
		return err
	}
	if db.bytes += int64(len(list)); db.bytes > maxDpkgFile {
		return fmt.Errorf("%s: the lists of what belongs to packages are longer than %d bytes", name, maxDpkgFile)
	}
	at := len(db.Packages) - 1
	n := 0
	for line := range strings.Lines(list) {
		n++
		file, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "/")
		if !ok {
			return fmt.Errorf("%s: line %d: %.60q: not an absolute path", name, n, line)
		}
		if file == "." || file == "" || path.Clean(file) != file {
			continue // "/." is in every list
		}
		o := File{Package: at, Path: file, MD5: sums[file]}
		if d, ok := db.diverted[file]; ok && d.By != s.pkg.Name {
			o.Path = d.To
		}
		if err := db.addFile(o); err != nil {
			return err
		}
	}
	return nil
}

func (db *Records) addFile(o File) error {
	key, base := debian.MergedUsr(o.Path), path.Base(o.Path)
	if list := db.owners[key]; len(list) == maxOwners || slices.Contains(list, o) {
		return nil
	}
	if db.files++; db.files > maxFiles {
		return fmt.Errorf("packages have more than %d paths", maxFiles)
	}
	db.owners[key] = append(db.owners[key], o)
	db.byBase[base] = append(db.byBase[base], o)
	return nil
}

// readInfo reads a file of a package's records; of a package of several
// architectures its name has the architecture.
func (db *Records) readInfo(root fs.FS, p Package, ext string) (text, name string, err error) {
	for _, base := range []string{p.Name + ":" + p.Architecture, p.Name} {
		name = "info/" + base + "." + ext
		if text, err = readRecordFile(root, name); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return text, path.Join(dpkgDir, name), err
}

// readSums reads the MD5 of a package's files; a package may have none on
// record. Configuration files are in the status file.
func (db *Records) readSums(root fs.FS, s *stanza) (map[string]string, error) {
	sums := s.conffiles
	text, name, err := db.readInfo(root, s.pkg, "md5sums")
	if errors.Is(err, fs.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		// Packages bring it along, and dpkg does not look into it: md5sum(1) may have been given -b, and a blank line means nothing.
		sum, file, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if sum == "" && !ok {
			continue
		}
		sum = strings.ToLower(sum)
		if file != "" && strings.IndexByte(" *", file[0]) >= 0 {
			file = file[1:]
		}
		if !isMD5(sum) || file == "" {
			return nil, fmt.Errorf("%s: line %d: %.60q: not an MD5 and a path", name, n, line)
		}
		sums[strings.TrimPrefix(strings.TrimPrefix(file, "."), "/")] = sum
	}
	return sums, nil
}
