package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"syscall"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dpkg"
)

// Attribute says of each file and symlink where it came from, by the records of
// dpkg in a root tree (dpkg-query(1)), and lists the packages. Directories and
// device nodes have no origin. A file belongs to a package if that package owns
// a file with that very content in the tree: at the same path, whatever of /bin
// and /lib is merged into /usr, and diversions taken into account; or else under
// the same name somewhere else, because mkinitramfs moves some. A link that a package's scripts make, of which there is a record
// (dpkg.MadeLinks), is of the package whose file it stands for. Names of one
// content have one origin. What no package has is "generated" where tools
// are known to make it in an archive, or in a root tree, "groundhog" where a patch put it, else "unknown".
//
// The tree is asked by several goroutines at once; links in it are followed by
// the tree itself. Records that are missing ([dpkg.ErrNone]) or not as dpkg writes
// them are an error, and m is as it was.
func (m *Manifest) Attribute(root fs.FS) error { return m.attributeRecorded(root, nil) }

// AttributeArchive is [Manifest.Attribute] of the manifest of img. It says the same, and is three times as fast: a file of the tree is
// compared with the content that img holds, where [initrd.Skim] has not let it go, and not hashed.
func (m *Manifest) AttributeArchive(root fs.FS, img *initrd.Image) error {
	return m.attributeRecorded(root, img)
}

// attributeRecorded does so by the records in root.
func (m *Manifest) attributeRecorded(root fs.FS, img *initrd.Image) error {
	db, err := dpkg.Read(root)
	if err != nil {
		return fmt.Errorf("attributing to packages: %w", err)
	}
	return m.attributeBy(&attributor{root: root, db: db, img: img})
}

// attributeBy does so by records that were read, and what is known of root's files and of the archive.
func (m *Manifest) attributeBy(a *attributor) error {
	a.source, a.byContent, a.matches = m.Source, map[string]*packageFile{}, make([]*packageFile, len(m.Entries))
	if a.known != nil {
		a.links = topLinks(m.Entries)
	}
	if m.Source == Root {
		a.aliases = dirAliases(m.Entries)
	}
	a.md5 = newMD5Hashers()
	defer a.md5.closeHashers()
	if err := cmp.Or(a.matchFiles(m.Entries), a.closed.err()); err != nil {
		return fmt.Errorf("attributing to packages: %w", err)
	}
	entries := slices.Clone(m.Entries) // m is as it was after an error
	for i := range entries {
		entries[i].Origin = a.originOf(&entries[i], a.matches[i])
	}
	packages, err := a.countPackages(entries)
	if err != nil {
		return fmt.Errorf("attributing to packages: %w", err)
	}
	m.Entries, m.Packages = entries, packages
	m.sortLists()
	return nil
}

// Attributed is how many of the files that ought to be some package's are, of those that no tool or patch has made. A root
// tree that is not the one that an archive was made in has few of them. Modules and firmware do not count: they are the most,
// and a kernel need not be of a package.
func (m *Manifest) Attributed() (known, all int) {
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type != File || e.Size == 0 || e.LinkOf != "" || e.Origin == nil {
			continue
		}
		if at := debian.MergedUsr(e.Path); strings.HasPrefix(at, "usr/lib/modules/") || strings.HasPrefix(at, "usr/lib/firmware/") {
			continue
		}
		switch e.Origin.Kind {
		case FromPackage:
			known, all = known+1, all+1
		case FromUnknown:
			all++
		}
	}
	return known, all
}

// SetSystem notes whose packages there are; what is no plain word is not noted.
func (m *Manifest) SetSystem(id, version string) {
	if !plainWord(id) {
		return
	}
	m.System = &System{ID: id}
	if plainWord(version) {
		m.System.Version = version
	}
}

type attributor struct {
	root      fs.FS
	db        *dpkg.Records
	img       *initrd.Image           // what the entries are of; nil: not at hand
	matches   []*packageFile          // by entry
	byContent map[string]*packageFile // by SHA-256
	md5       *md5Hashers
	closed    unreadableNames
	source    Source // of the manifest. Of a root tree all installed packages are listed, also those that have no files

	known map[string]readContent // of root's files, by path; nil: the entries are of an archive, not of root
	links map[string]string      // where the links at root's top lead to; nil as known is
	// aliases is the links that lead to a directory of root, by its path; nil where the entries are of an archive.
	aliases map[string][]string
}

// packageFile is a package's file that has an entry's content.
type packageFile struct {
	dpkg.File
	modified bool // the package brought it with another content
}

// matchFiles finds packages for files: first at their own path, then, of what is
// left, under their own name anywhere.
func (a *attributor) matchFiles(entries []Entry) error {
	passes := []struct {
		by         func(*Entry) string // entries of which this is the same are looked for among the same files
		candidates func(*Entry) iter.Seq[dpkg.File]
	}{
		{func(e *Entry) string { return e.Path }, func(e *Entry) iter.Seq[dpkg.File] { return a.samePath(e.Path) }},
		{func(e *Entry) string { return path.Base(e.Path) }, func(e *Entry) iter.Seq[dpkg.File] { return slices.Values(a.db.Named(path.Base(e.Path))) }},
	}
	for n, pass := range passes {
		groups := map[string][]int{}
		var names []string // of the groups, in the entries' order
		for i := range entries {
			e := &entries[i]
			if e.Type != File || a.byContent[e.SHA256] != nil || n > 0 && e.Size == 0 { // empty files are all alike
				continue
			}
			name := pass.by(e)
			if groups[name] == nil {
				names = append(names, name)
			}
			groups[name] = append(groups[name], i)
		}
		work := hasher{wait: md5Lanes - 1}
		for _, name := range names {
			group, size := groups[name], int64(0)
			for _, i := range group {
				size += entries[i].Size
			}
			work.jobs = append(work.jobs, hashJob{size, func() error { return a.matchGroup(entries, group, pass.candidates(&entries[group[0]])) }})
		}
		if err := work.hashAll(); err != nil {
			return err
		}
		for i := range entries {
			if f := a.matches[i]; f != nil && entries[i].Size > 0 && a.byContent[entries[i].SHA256] == nil {
				a.byContent[entries[i].SHA256] = f
			}
		}
	}
	return nil
}

// samePath is who owns a path, and who owns the file that it leads to: what is
// a link in the tree may have become a file. Most are found before the tree is asked.
func (a *attributor) samePath(name string) iter.Seq[dpkg.File] {
	return func(yield func(dpkg.File) bool) {
		name, err := UnescapePath(name)
		for links := 0; err == nil && (links == 0 || links <= 40 && fs.ValidPath(name)); links++ {
			for _, n := range a.otherNames(name) {
				for _, o := range a.db.Owners(n) {
					if !yield(o) {
						return
					}
				}
			}
			if a.known != nil {
				return // the path is the tree's own, and no link
			}
			var target string
			if target, err = a.readLink(name); path.IsAbs(target) {
				name = path.Clean(target)[1:]
			} else {
				name = path.Join(path.Dir(name), target)
			}
		}
	}
}

// entryContent is what a file has in it.
type entryContent struct {
	size   int64
	sha256 string
}

// matchGroup finds for each entry of a group the first file in the list that has its content. Each file is looked at once,
// however many entries there are.
func (a *attributor) matchGroup(entries []Entry, group []int, list iter.Seq[dpkg.File]) error {
	open := map[entryContent][]int{}      // entries for which none is found yet
	ofSize := map[int64]map[string]bool{} // the SHA-256 of their contents
	for _, i := range group {
		c := entryContent{entries[i].Size, entries[i].SHA256}
		if ofSize[c.size] == nil {
			ofSize[c.size] = map[string]bool{}
		}
		ofSize[c.size][c.sha256] = true
		open[c] = append(open[c], i)
	}
	for o := range list {
		f, sum, size, err := a.readCandidate(o, entries, open, ofSize)
		if err := a.closed.noteDenied(o.Path, err); err != nil {
			return err
		}
		if err != nil || f == nil {
			continue
		}
		c := entryContent{size, sum}
		for _, i := range open[c] {
			a.matches[i] = f
		}
		if delete(open, c); len(open) == 0 {
			break
		}
		delete(ofSize[size], sum)
	}
	return nil
}

// readCandidate is a package's file, its SHA-256 and size, if it has the content of an open entry; nil if not. Where it is not, but
// on the other side of /usr, it counts only as the package brought it: what else is there may be anybody's.
func (a *attributor) readCandidate(o dpkg.File, entries []Entry, wanted map[entryContent][]int, ofSize map[int64]map[string]bool) (f *packageFile, sum string, size int64, err error) {
	f, sum, size, err = a.readCandidateAt(o.Path, o, entries, wanted, ofSize)
	if twin := a.twinOf(o, err); twin != "" {
		if f, sum, size, err = a.readCandidateAt(twin, o, entries, wanted, ofSize); f != nil && f.modified {
			return nil, "", 0, nil
		}
	}
	if isAbsent(err) { // gone since: not ours to complain about
		return nil, "", 0, nil
	}
	return f, sum, size, err
}

// isAbsent reports whether err means that there is no such file.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// twinOf is where a package's file may be whose path led to the error err: on the other side of /usr, where a tree was merged,
// or not, otherwise than dpkg has on record. It is "" where there is no such place, and where a package has that on record as its own.
func (a *attributor) twinOf(o dpkg.File, err error) string {
	twin := debian.UsrTwin(o.Path)
	if twin == "" || !isAbsent(err) || slices.ContainsFunc(a.db.Owners(twin), func(f dpkg.File) bool { return f.Path == twin }) {
		return ""
	}
	return twin
}

// readLink is where a link leads, on whichever side of /usr it is.
func (a *attributor) readLink(name string) (string, error) {
	target, err := fs.ReadLink(a.root, name)
	if twin := debian.UsrTwin(name); twin != "" && isAbsent(err) {
		return fs.ReadLink(a.root, twin)
	}
	return target, err
}

// readCandidateAt is readCandidate of what is at a place. It is read no further than is needed.
func (a *attributor) readCandidateAt(at string, o dpkg.File, entries []Entry, wanted map[entryContent][]int, ofSize map[int64]map[string]bool) (f *packageFile, sum string, size int64, err error) {
	if c, ok := a.contentAt(at); ok {
		if wanted[entryContent{c.size, c.sha256}] == nil {
			return nil, "", 0, nil
		} else if c.md5 != "" || o.MD5 == "" {
			return &packageFile{File: o, modified: o.MD5 != "" && o.MD5 != c.md5}, c.sha256, c.size, nil
		}
	}
	info, open, err := a.lookAt(at)
	if isAbsent(err) {
		return nil, "", 0, err
	}
	if err != nil || !info.Mode().IsRegular() || len(ofSize[info.Size()]) == 0 {
		return nil, "", 0, nil // closed to us, or another file: neither is ours to complain about
	}
	f, size = &packageFile{File: o}, info.Size()
	hash := sha256.New()
	var to io.Writer = hash
	if len(ofSize[size]) == 1 {
		for only := range ofSize[size] {
			sum = only
		}
		if held := heldContent(a.img, &entries[wanted[entryContent{size, sum}][0]]); held != nil {
			to = &restOf{held}
		}
	}
	if err = a.readFile(f, open, to); errors.Is(err, errOtherContent) {
		return nil, "", 0, nil
	} else if err != nil {
		return nil, "", 0, err
	}
	if to == hash {
		sum = hex.EncodeToString(hash.Sum(nil))
	}
	if rest, ok := to.(*restOf); ok && len(rest.b) > 0 || wanted[entryContent{size, sum}] == nil {
		return nil, "", 0, nil
	}
	return f, sum, size, nil
}

// readFile passes on what is in a package's file, and finds out whether that is what the package brought.
func (a *attributor) readFile(of *packageFile, open func() (fs.File, error), to io.Writer) error {
	f, err := open()
	if err != nil {
		return err
	}
	defer f.Close()
	if of.MD5 != "" { // the only sum that dpkg's records have
		old := a.md5.take()
		defer func() { of.modified = a.md5.end(old) != of.MD5 }()
		to = io.MultiWriter(to, old)
	}
	if _, err := copyTo(to, f); err != nil {
		return fmt.Errorf("reading %s: %w", of.Path, err)
	}
	return nil
}

// lookAt describes what is at a name, a link too, and opens it.
func (a *attributor) lookAt(name string) (fs.FileInfo, func() (fs.File, error), error) {
	if t, ok := a.root.(interface {
		LookAt(string) (fs.FileInfo, func() (fs.File, error), error)
	}); ok {
		return t.LookAt(name)
	}
	info, err := fs.Lstat(a.root, name)
	return info, func() (fs.File, error) { return a.root.Open(name) }, err
}

// contentAt is what is known of a file of the tree that is at a package's path, by that name or through a link at the top, as
// a merged /usr has them. Any other it does not know.
func (a *attributor) contentAt(name string) (readContent, bool) {
	if a.known == nil {
		return readContent{}, false
	}
	top, rest, _ := strings.Cut(name, "/")
	if to, ok := a.links[top]; ok && rest != "" {
		name = path.Join(to, rest)
	}
	c, ok := a.known[EscapePath(name)]
	return c, ok
}

// topLinks is the symlinks at a tree's top, and where in the tree they lead to. Those that only the tree itself can follow, absolute ones
// and those through "..", are left out.
func topLinks(entries []Entry) map[string]string {
	links := map[string]string{}
	for i := range entries {
		e := &entries[i]
		if e.Type != Symlink || strings.Contains(e.Path, "/") {
			continue
		}
		name, err := UnescapePath(e.Path)
		if target, bad := UnescapePath(e.Target); err == nil && bad == nil && !path.IsAbs(target) && !slices.Contains(strings.Split(target, "/"), "..") {
			links[name] = target
		}
	}
	return links
}

// maxAliases bounds how many links to one directory count: hostile ones could be any number.
const maxAliases = 8

// dirAliases is the links that lead to each of a tree's directories, which dpkg may have on record by those names: usr/sbin, say, where that is a
// link to bin.
func dirAliases(entries []Entry) map[string][]string {
	dirs, links := map[string]bool{}, map[string]string{}
	var names []string // of the links, in the entries' order
	for i := range entries {
		e := &entries[i]
		name, err := UnescapePath(e.Path)
		target, bad := UnescapePath(e.Target)
		switch {
		case err != nil || bad != nil:
		case e.Type == Dir:
			dirs[name] = true
		case e.Type == Symlink:
			links[name] = target
			names = append(names, name)
		}
	}
	aliases := map[string][]string{}
	for _, name := range names {
		if at := followLinks(links, name); dirs[at] && len(aliases[at]) < maxAliases {
			aliases[at] = append(aliases[at], name)
		}
	}
	return aliases
}

// followLinks is where a name leads, by path_resolution(7); "" where that is through too many links.
func followLinks(links map[string]string, name string) string {
	at, followed := "", 0
	for rest := name; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		next := strings.TrimPrefix(path.Join("/", at, part), "/")
		target, ok := links[next]
		if !ok {
			at = next
			continue
		}
		if followed++; followed > 40 {
			return ""
		}
		if path.IsAbs(target) {
			at = ""
		}
		rest = target + "/" + rest
	}
	return at
}

// otherNames is a path of the tree, and those by which it is known through links to one of its directories.
func (a *attributor) otherNames(name string) []string {
	names := []string{name}
	for dir := path.Dir(name); a.aliases != nil && dir != "."; dir = path.Dir(dir) {
		for _, alias := range a.aliases[dir] {
			names = append(names, alias+strings.TrimPrefix(name, dir))
		}
	}
	return names
}

// heldContent is e's content, nil where the archive is not at hand or does not hold it.
func heldContent(img *initrd.Image, e *Entry) []byte {
	if img == nil {
		return nil
	}
	name, err := UnescapePath(e.Path)
	if err != nil {
		return nil
	}
	if f := img.Lookup(name); f != nil && f.IsFile() {
		return img.Held(f)
	}
	return nil
}

// restOf is what is still to come of a content that is compared with what is written to it.
type restOf struct{ b []byte }

var errOtherContent = errors.New("another content")

func (r *restOf) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(r.b, b) {
		return 0, errOtherContent
	}
	r.b = r.b[len(b):]
	return len(b), nil
}
