package sysroot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"groundhog/initrd/debian"
)

// Bounds of one Closure: libraries, names they are asked for by, names looked up,
// directories searched for one library, bytes read, "#!" in a row.
const (
	maxLibraries = 1024
	maxNeeds     = 4096
	maxLookups   = 1 << 20
	maxDirs      = 4096
	maxRead      = 1 << 30
	maxScripts   = 4
)

// A File is something a program cannot run without. Copy the file at Path, and
// where Name is another, make Name a symbolic link to it.
type File struct {
	// Name is what the loader looks for, for instance
	// usr/lib/x86_64-linux-gnu/libcurl.so.4. Its first directory is never a link
	// of the merged /usr: on such a tree it is under usr/.
	Name string
	// Path is the file itself: Name with every link resolved, as [Named] has it.
	Path string
}

// Closure returns what the programs need to run, sorted by name: the loader, the
// shared libraries and theirs in turn. A script needs its interpreter, with all that
// the interpreter needs; where it is env, also the program that env is to find. The programs
// themselves are not in the list unless one needs another. Libraries that a program
// opens by name at run time are not found, with one exception that Debian's copy_exec
// makes, too: with libpthread.so.0 comes libgcc_s.so.1, if the tree has it.
//
// The search is ld.so(8)'s, without environment and hwcaps: DT_RPATH, DT_RUNPATH,
// etc/ld.so.conf in place of ld.so.cache, Debian's default directories. A library
// for another machine is passed over. One that is nowhere is an error, which
// errors.Is finds fs.ErrNotExist in. Nothing is run.
func Closure(fsys fs.FS, programs ...string) ([]File, error) {
	conf, err := ldConf(fsys)
	if err != nil {
		return nil, err
	}
	l := &linker{fsys: fsys, conf: conf, moved: movedDirs(fsys), files: map[string]File{}, parsed: new(sync.Map)}
	if t, ok := fsys.(*Tree); ok {
		l.parsed = &t.parsed // programs share most of their libraries
	}
	for _, name := range programs {
		if err := l.addProgram(name, 0); err != nil {
			return nil, fmt.Errorf("closure of %s: %w", name, err)
		}
	}
	var list []File
	for _, name := range slices.Sorted(maps.Keys(l.files)) {
		list = append(list, l.files[name])
	}
	return list, nil
}

// Interpreters is the programs that run a script: the one after "#!", the one that env is to find if that is env, and theirs in
// turn where they are scripts. A program that is no script has none.
func Interpreters(fsys fs.FS, name string) ([]string, error) {
	l := &linker{fsys: fsys, files: map[string]File{}, parsed: new(sync.Map)}
	found, err := Find(fsys, name)
	if err != nil {
		return nil, err
	}
	if _, p, err := l.loadFile(found); err != nil || p.script == "" {
		return nil, nil // whoever runs it, or copies it with its libraries, says what is wrong
	}
	if l.conf, err = ldConf(fsys); err != nil {
		return nil, err
	}
	err = l.addProgram(found, 0)
	return l.interpreters, err
}

// A linker is one Closure under way.
type linker struct {
	fsys  fs.FS
	conf  []string
	moved []movedDir
	files map[string]File
	// interpreters are those of scripts, in the order in which they are asked for.
	interpreters []string
	parsed       *sync.Map // name of the file itself to *parsedFile
	buf          []byte    // of the last file that was parsed
	needs        int
	lookups      int
	read         int64
}

// parsedFile is a file once read. Its bytes are not kept beyond the header.
type parsedFile struct {
	elf    *elfFile // nil if it is none
	dyn    dynamicInfo
	script string // the interpreter after "#!"
	found  string // the name of what env is to find in PATH; "" of another interpreter
	err    error
}

// addProgram adds what a program needs; depth counts the scripts that led to it.
func (l *linker) addProgram(name string, depth int) error {
	found, err := Find(l.fsys, name)
	if err != nil {
		return err
	}
	at, p, err := l.loadFile(found)
	if err != nil {
		return fmt.Errorf("%s: %w", showName(found), err)
	}
	if p.elf != nil {
		return l.linkProgram(at, p)
	}
	if p.script == "" {
		return fmt.Errorf("%s: neither an ELF file nor a script", showName(found))
	}
	if depth >= maxScripts {
		return fmt.Errorf("%s: scripts interpreted by scripts: %w", showName(found), syscall.ELOOP)
	}
	interp := strings.TrimLeft(path.Clean(p.script), "/")
	if p.script[0] != '/' || interp == "" {
		return fmt.Errorf("%s: interpreter %q is no absolute path", showName(found), p.script)
	}
	f, err := l.findFile(interp)
	if err != nil {
		return fmt.Errorf("interpreter of %s: %w", showName(found), err)
	}
	l.addInterpreter(f)
	if err := l.addProgram(interp, depth+1); err != nil || p.found == "" {
		return err
	}
	return l.foundByEnv(p.found, showName(found), depth)
}

func (l *linker) addInterpreter(by File) {
	l.files[by.Name] = by
	l.interpreters = append(l.interpreters, by.Name)
}

// foundByEnv adds what env is to find for a script.
func (l *linker) foundByEnv(name, script string, depth int) error {
	names := []string{strings.TrimLeft(path.Clean(name), "/")}
	if !strings.Contains(name, "/") {
		names = nil
		for _, dir := range []string{"usr/sbin", "usr/bin", "sbin", "bin"} { // PATH in an initramfs
			names = append(names, path.Join(dir, name))
		}
	}
	at, err := Find(l.fsys, names...)
	if err != nil {
		return fmt.Errorf("interpreter of %s: %s, which env is to find: %w", script, showName(name), err)
	}
	f, err := l.findFile(at)
	if err != nil {
		return err
	}
	l.addInterpreter(f)
	return l.addProgram(at, depth+1)
}

// envFinds is the program that is named in the line of a script that env is to run: options and assignments stand before it (env(1)).
func envFinds(words []string) string {
	for _, w := range words {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
			return w
		}
	}
	return ""
}

// findFile is the file that a name, maybe with "..", leads to, or its twin in /usr.
func (l *linker) findFile(name string) (File, error) {
	name = strings.TrimLeft(name, "/")
	tries := []string{name}
	if other := debian.UsrTwin(name); other != "" {
		tries = append(tries, other)
	}
	var first error
	for _, try := range tries {
		if l.lookups++; l.lookups > maxLookups {
			return File{}, fmt.Errorf("more than %d names looked up", maxLookups)
		}
		at, info, err := walkLinks(lookupIn(l.fsys), try)
		if err == nil && !info.Mode().IsRegular() {
			err = errNotRegular
		}
		if err == nil {
			return File{Name: l.withoutUsrLinks(try), Path: named(l.moved, at)}, nil
		}
		if first == nil || isAbsent(first) {
			first = pathError(l.fsys, "find", try, at, err)
		}
	}
	return File{}, first
}

// withoutUsrLinks is name without the links that a merged /usr has at the top, and
// without "..".
func (l *linker) withoutUsrLinks(name string) string {
	if slices.Contains(strings.Split(name, "/"), "..") {
		dir, base := path.Split(name)
		at, _, err := walkLinks(lookupIn(l.fsys), strings.TrimRight(dir, "/"))
		if err != nil {
			return path.Clean(name) // cannot be: the whole name was just found
		}
		return named(l.moved, path.Join(at, base))
	}
	if dir, _, _ := strings.Cut(name, "/"); slices.Contains(debian.MergedDirs, dir) {
		here, err := Resolve(l.fsys, dir)
		if there, no := Resolve(l.fsys, "usr/"+dir); err == nil && no == nil && here == there {
			name = "usr/" + name
		}
	}
	return path.Clean(name)
}

// loadFile reads a file and remembers what it is.
func (l *linker) loadFile(name string) (string, *parsedFile, error) {
	at, err := Resolve(l.fsys, name)
	if err != nil {
		return "", nil, err
	}
	known, ok := l.parsed.Load(at)
	if !ok {
		if l.read > maxRead { // nothing that the file is to blame for
			return "", nil, fmt.Errorf("more than %d bytes of programs and libraries", maxRead)
		}
		known, _ = l.parsed.LoadOrStore(at, l.parseFile(at))
	}
	p := known.(*parsedFile)
	return at, p, p.err
}

func (l *linker) parseFile(at string) *parsedFile {
	p := &parsedFile{}
	b, err := readHead(l.fsys, at, 256) // what the kernel reads of a script
	if err != nil {
		return &parsedFile{err: err}
	}
	if rest, ok := bytes.CutPrefix(b, []byte("#!")); ok {
		line, _, _ := strings.Cut(string(rest), "\n")
		if words := strings.Fields(line); len(words) > 0 {
			if p.script = words[0]; path.Base(p.script) == "env" {
				p.found = envFinds(words[1:])
			}
		}
		return p
	}
	if _, err := parseELF(b); errors.Is(err, errNoELF) {
		return p
	}
	if b, err = l.readELF(at); err != nil {
		return &parsedFile{err: err}
	}
	l.read += int64(len(b))
	if p.elf, p.err = parseELF(b); p.err == nil {
		p.dyn, p.err = p.elf.readDynamic()
		p.elf.b = nil
	}
	return p
}

// heldFile is a file whose content is in memory as it is. It is not to be written to.
type heldFile interface{ Held() []byte }

// readELF reads a file whole. What it returns may be overwritten by the next call.
func (l *linker) readELF(at string) ([]byte, error) {
	f, err := openRegular(l.fsys, at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if h, ok := f.(heldFile); ok && len(h.Held()) <= fileLimit {
		return h.Held(), nil
	}
	b, err := readInto(l.buf, f, at, fileLimit)
	if err == nil {
		l.buf = b
	}
	return b, err
}
