package dpkg

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd/debian"
)

// What packages' scripts make by way of Debian's own tools is on record with these tools, and not with dpkg: alternatives, units of systemd that are
// enabled, configuration files that ucf keeps. None of these records need be there, and what is not as the tool writes it proves nothing.
const (
	maxMadeFile  = 16 << 20 // bytes of a record
	maxMadeFiles = 1 << 15  // records of one kind
	maxMadeLinks = 1 << 18  // links on all of them; those beyond are nobody's
)

// MadeLink is a symlink that a package's scripts have made, as the tool that made it has it on record.
type MadeLink struct {
	To  string // the path that it leads to, of which no link is followed and the /usr of the top level is merged
	For File   // the package's file that it stands for
}

// madeRecord is where a link leads, and which file it stands for, whosever that is.
type madeRecord struct{ to, file string }

// rcLink is a link that update-rc.d(8) makes; of these there is no other record than the names.
var rcLink = regexp.MustCompile(`^etc/rc[0-6S]\.d/[SK][0-9][0-9]([^/]+)$`)

// MadeLinks is what is on record of links at a path, once for each package that has the file: of one that leads elsewhere nothing is known.
func (db *Records) MadeLinks(name string) (all []MadeLink) {
	name = debian.MergedUsr(name)
	made := db.made[name]
	if m := rcLink.FindStringSubmatch(name); m != nil {
		made = []madeRecord{{"etc/init.d/" + m[1], "etc/init.d/" + m[1]}}
	}
	for _, r := range made {
		for _, o := range db.Owners(r.file) {
			all = append(all, MadeLink{debian.MergedUsr(r.to), o})
		}
	}
	return all
}

func (db *Records) addLink(at, to, file string) {
	at = debian.MergedUsr(at)
	if list := db.made[at]; len(list) < maxOwners && db.links < maxMadeLinks {
		db.made[at] = append(list, madeRecord{to, file})
		db.links++
	}
}

// readMade reads what the tools have on record.
func (db *Records) readMade(root fs.FS) error {
	db.made = map[string][]madeRecord{}
	return errors.Join(db.readAlternatives(root), db.readEnabled(root, "system"), db.readEnabled(root, "user"), db.readUCF(root))
}

// readMadeFile reads a record; one that is not there, or closed to us, is empty.
func readMadeFile(root fs.FS, name string) (string, error) {
	if info, err := fs.Stat(root, name); err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	text, err := readBounded(root, name, maxMadeFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return "", nil
	}
	return text, err
}

// listMade is the names of a directory's records; none where it is not there, or closed to us.
func listMade(root fs.FS, dir string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(root, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err == nil && len(list) > maxMadeFiles {
		err = fmt.Errorf("%s: more than %d files", dir, maxMadeFiles)
	}
	return list, err
}

// inTree is an absolute path of a record as a path of the tree; ok is false for what is none.
func inTree(name string) (at string, ok bool) {
	at, ok = strings.CutPrefix(name, "/")
	return at, ok && fs.ValidPath(at) && at != "."
}

const alternativesDir = "etc/alternatives"

// readAlternatives reads the records of update-alternatives(1), which has a file for each name: whether the choice is its own, where the link is, names and links
// of what follows it, an empty line; and for each choice its path, its priority, and a path, or nothing, for each that follows.
func (db *Records) readAlternatives(root fs.FS) error {
	list, err := listMade(root, path.Join(dpkgDir, "alternatives"))
	if err != nil {
		return err
	}
	for _, e := range list {
		text, err := readMadeFile(root, path.Join(dpkgDir, "alternatives", e.Name()))
		if err != nil {
			return err
		}
		db.addAlternative(root, e.Name(), strings.Split(text, "\n"))
	}
	return nil
}

func (db *Records) addAlternative(root fs.FS, name string, lines []string) {
	if len(lines) < 2 {
		return
	}
	names, links := []string{name}, []string{lines[1]} // the first one, and those that follow it
	rest := lines[2:]
	for len(rest) > 1 && rest[0] != "" {
		names, links = append(names, rest[0]), append(links, rest[1])
		rest = rest[2:]
	}
	chosen, err := fs.ReadLink(root, path.Join(alternativesDir, name))
	if err != nil || len(rest) == 0 {
		return
	}
	for rest = rest[1:]; len(rest) > len(names) && rest[0] != ""; rest = rest[1+len(names):] { // a path, a priority, and a path for each that follows
		if rest[0] != chosen {
			continue
		}
		for i, path := range append([]string{rest[0]}, rest[2:1+len(names)]...) {
			db.linkAlternative(names[i], links[i], path)
		}
	}
}

// linkAlternative notes the two links of an alternative: that of the user, and the one that it leads to.
func (db *Records) linkAlternative(name, link, chosen string) {
	at, ok := inTree(link)
	file, has := inTree(chosen)
	if middle := path.Join(alternativesDir, name); ok && has && !strings.Contains(name, "/") {
		db.addLink(middle, file, file)
		db.addLink(at, middle, file)
	}
}

// readEnabled reads the records of deb-systemd-helper(1p), and of the one for users' units: UNIT.dsh-also has the links that were made for a unit, a path a line,
// and beside it there is an empty file by the name of each.
func (db *Records) readEnabled(root fs.FS, of string) error {
	state, links := "var/lib/systemd/deb-systemd-helper-enabled", "etc/systemd/"+of
	if of == "user" {
		state = "var/lib/systemd/deb-systemd-user-helper-enabled"
	}
	list, err := listMade(root, state)
	if err != nil {
		return err
	}
	for _, e := range list {
		unit, ok := strings.CutSuffix(e.Name(), ".dsh-also")
		if !ok {
			continue
		}
		text, err := readMadeFile(root, path.Join(state, e.Name()))
		if err != nil {
			return err
		}
		file := "usr/lib/systemd/" + of + "/" + unit
		for line := range strings.Lines(text) {
			at, ok := inTree(strings.TrimSuffix(line, "\n"))
			below, is := strings.CutPrefix(at, links+"/")
			if info, err := fs.Lstat(root, path.Join(state, below)); ok && is && err == nil && info.Mode().IsRegular() {
				db.addLink(at, file, file)
			}
		}
	}
	return nil
}

// readUCF reads the records of ucf(1): whose a configuration file is, and the MD5 of the one that the package brought. Such a file is its package's as a
// conffile is, changed or not.
func (db *Records) readUCF(root fs.FS) error {
	sums, err := readMadeFile(root, "var/lib/ucf/hashfile")
	if err != nil {
		return err
	}
	brought := map[string]string{}
	for line := range strings.Lines(sums) {
		if sum, file, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  "); ok && isMD5(sum) {
			brought[file] = sum
		}
	}
	registry, err := readMadeFile(root, "var/lib/ucf/registry")
	if err != nil {
		return err
	}
	packages := map[string]int{}
	for i, p := range slices.Backward(db.Packages) {
		packages[p.Name] = i // the first of several architectures
	}
	for line := range strings.Lines(registry) {
		owner, file, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		owner, file = strings.TrimSpace(owner), strings.TrimLeft(file, " ")
		at, ok := inTree(file)
		sum := brought[file]
		if i, has := packages[owner]; ok && sum != "" && has && len(db.Owners(at)) == 0 {
			if err := db.addFile(File{Package: i, Path: at, MD5: sum}); err != nil {
				return err
			}
		}
	}
	return nil
}
