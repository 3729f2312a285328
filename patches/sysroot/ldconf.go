package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Bounds of /etc/ld.so.conf and of all that it includes: bytes of a file, includes
// within includes, directories in all, patterns in all, names held against them in
// all. Debian's has one pattern and two files.
const (
	confLimit       = 1 << 20
	confDepth       = 10
	confMaxDirs     = 1024
	confMaxIncludes = 1024
	confMaxNames    = 1 << 15
)

// A confReader collects the directories that ldconfig(8) would put in ld.so.cache.
type confReader struct {
	fsys fs.FS
	seen map[string]bool
	dirs []string

	includes, names int // so far
}

// ldConf returns the directories of etc/ld.so.conf in order, with a leading slash.
// A tree without the file has none. One directory a line; "#" begins a comment;
// "include" takes patterns as in glob(7), here with wildcards in the last part of
// a path only; "hwcap" lines are ignored, as are hwcaps directories: the build host
// cannot know the target's processor.
func ldConf(fsys fs.FS) ([]string, error) {
	r := &confReader{fsys: fsys, seen: map[string]bool{}}
	if err := r.readConf("etc/ld.so.conf", 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading etc/ld.so.conf: %w", err)
	}
	return r.dirs, nil
}

func (r *confReader) readConf(name string, depth int) error {
	if depth > confDepth {
		return fmt.Errorf("%s: includes deeper than %d", showName(name), confDepth)
	}
	at, err := Resolve(r.fsys, name)
	if err != nil {
		return err
	}
	if r.seen[at] {
		return nil
	}
	r.seen[at] = true
	b, err := readRegular(r.fsys, at, confLimit)
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "hwcap":
		case words[0] == "include":
			for _, pattern := range words[1:] {
				if err := r.readIncluded(path.Dir(name), pattern, depth+1); err != nil {
					return err
				}
			}
		default:
			dir, _, _ := strings.Cut(strings.TrimSpace(line), "=") // dir=libc6, of old
			if !strings.HasPrefix(dir, "/") || slices.Contains(r.dirs, dir) {
				continue
			}
			if r.dirs = append(r.dirs, dir); len(r.dirs) > confMaxDirs {
				return fmt.Errorf("%s: more than %d directories", showName(name), confMaxDirs)
			}
		}
	}
	return nil
}

// readIncluded reads the files that match a pattern, in the order of their names.
func (r *confReader) readIncluded(dir, pattern string, depth int) error {
	if r.includes++; r.includes > confMaxIncludes {
		return fmt.Errorf("include %s: more than %d patterns", showName(pattern), confMaxIncludes)
	}
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join("/", dir, pattern)
	}
	dir, base := path.Split(pattern)
	if strings.ContainsAny(dir, `*?[\`) {
		return fmt.Errorf("include %s: wildcards in the name of a directory are not supported", showName(pattern))
	}
	at, _, err := walkLinks(lookupIn(r.fsys), strings.TrimLeft(dir, "/"))
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("include %s: %w", showName(pattern), bareCause(err))
	}
	entries, err := fs.ReadDir(r.fsys, at)
	if err != nil {
		return fmt.Errorf("include %s: %w", showName(pattern), bareCause(err))
	}
	if r.names += len(entries); r.names > confMaxNames {
		return fmt.Errorf("include %s: more than %d names to look at", showName(pattern), confMaxNames)
	}
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(base, ".")
		ok, err := path.Match(base, e.Name())
		if err != nil {
			return fmt.Errorf("include %s: %w", showName(pattern), err)
		}
		if !ok || hidden || e.IsDir() {
			continue
		}
		if err := r.readConf(path.Join(at, e.Name()), depth); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
