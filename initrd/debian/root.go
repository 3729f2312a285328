package debian

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"groundhog/initrd/debian/dropbear"
)

// Witnesses are programs of which a root tree has at least one: a whole system the
// first, a few packages laid together perhaps only a later one.
var Witnesses = []string{
	"usr/bin/dpkg", "bin/sh", "bin/bash", "bin/busybox", "bin/ls", "usr/bin/env", "sbin/init",
	"lib/systemd/systemd", "usr/sbin/dropbear", "usr/bin/curl",
}

// Where a root tree keeps the keys of its initramfs, by release, and those that
// are taken where it has none.
var (
	rootHostKeys = []string{"etc/dropbear/dropbear_*_host_key",
		"etc/dropbear/initramfs/dropbear_*_host_key", "etc/dropbear-initramfs/dropbear_*_host_key"}
	rootLogins = []string{"etc/dropbear/initramfs/authorized_keys", "etc/dropbear-initramfs/authorized_keys"}
)

// ReadRoot finds the facts of a root tree, as far as they are those of an
// initramfs that it would build. Logins are the keys in the files that are taken
// for it, whoever may read them.
func ReadRoot(root fs.FS) *Facts {
	f := &Facts{Builder: UnknownBuilder, Architecture: rootArchitecture(root), Server: &Server{KeysDir: "~/.ssh"}}
	f.Kernels, _ = RootKernels(root)
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		b, err := rootFile(root, name, maxSourced)
		if err != nil {
			continue
		}
		if release, err := ReadOSRelease(b); err == nil {
			f.System = release
			if archName.MatchString(release.Codename) {
				f.Release = release.Codename
			}
		}
		break
	}
	if _, err := fs.Stat(root, "usr/sbin/dropbear"); err == nil {
		f.Server.Path = "usr/sbin/dropbear"
	}
	f.rootKeys(root)
	return f
}

// RootKernels is the releases of the kernels that a root tree has a directory for, or a link to one; without trouble it is all of them.
func RootKernels(root fs.FS) (all []string, trouble error) {
	for _, dir := range []string{"usr/lib/modules", "lib/modules"} {
		list, err := fs.ReadDir(root, dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			trouble = cmp.Or(trouble, err)
		}
		for _, e := range list {
			if info, err := fs.Stat(root, path.Join(dir, e.Name())); err == nil && info.IsDir() {
				all = append(all, e.Name())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all), trouble
}

func (f *Facts) rootKeys(root fs.FS) {
	for _, pattern := range rootHostKeys {
		names, _ := fs.Glob(root, pattern)
		for _, name := range names {
			b, err := rootFile(root, name, maxSourced)
			if err != nil {
				f.noteProblem("%s: %v", name, err)
				continue
			}
			f.addHostKey(name, b, nil)
		}
	}
	files := rootLogins
	passwd, err := rootFile(root, "etc/passwd", maxAccountsFile)
	f.noteTooLong(err)
	if err == nil {
		f.Accounts = parseAccounts(passwd)
		if name := f.RootKeys(); name != "" && !slices.Contains(files, name) {
			files = append([]string{name}, files...)
		}
	}
	for _, name := range files {
		b, err := rootFile(root, name, maxKeysFile)
		f.noteTooLong(err)
		if err == nil {
			keys, problems, err := dropbear.ParseAuthorizedKeys(b)
			f.addKeys(&keysFile{name, []string{"root"}}, keys, problems, err)
		}
	}
}

// errTooLong is of a file of a root tree that is too long to be looked into.
var errTooLong = errors.New("too long to look into")

func (f *Facts) noteTooLong(err error) {
	if errors.Is(err, errTooLong) {
		f.noteProblem("%v", err)
	}
}

// rootFile is a file of at most most bytes.
func rootFile(root fs.FS, name string, most int64) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: %w", name, errTooLong)
	}
	return b, err
}

// rootArchitecture is that of the first program that is there of a few that every
// system has, or else of any.
func rootArchitecture(root fs.FS) string {
	names := slices.Clone(Witnesses)
	for _, dir := range []string{"usr/bin", "bin"} {
		list, _ := fs.ReadDir(root, dir)
		for _, e := range list {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	for _, name := range names {
		if m, ok := machineOfFile(headOf(root, name)); ok {
			return m.Arch
		}
	}
	return ""
}

// headOf is the first bytes of a regular file, as many as an ELF header has.
func headOf(root fs.FS, name string) []byte {
	if info, err := fs.Stat(root, name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	r, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer r.Close()
	b, _ := io.ReadAll(io.LimitReader(r, 64))
	return b
}
