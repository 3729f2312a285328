// Package debian reads what a Debian initramfs says of itself: who made it, for
// which kernel and machine, how its dropbear is set up, who may log in. Each of
// these is found here and nowhere else.
//
// The answers are those of the programs in the archive, not of a glance at their
// files: settings are what a shell that sources them ends up with, accounts what
// the C library makes of etc/passwd, logins what dropbear accepts. Where only the
// running machine could tell, more is said to be possible rather than less.
//
// It knows no JSON and no network, and runs nothing.
package debian

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
)

// Builder is who made an archive.
type Builder string

// The builders that can be told apart.
const (
	InitramfsTools Builder = "initramfs-tools"
	Dracut         Builder = "dracut"
	UnknownBuilder Builder = "unknown"
)

// Facts is what an archive says of itself. Texts are as the archive has them:
// they may hold any byte.
type Facts struct {
	Builder      Builder
	Kernels      []string  // releases that it has a directory for modules of, sorted
	Modules      int       // files of modules in these
	Architecture string    // Debian's name, "amd64"; "" where it cannot be told
	Release      string    // the release whose dropbear is in it; "" where there is none, or it is of no supported one
	System       OSRelease // of a root tree; empty of an archive
	Accounts     []Account
	Settings     Settings // of /init
	Server       *Server  // Path is "" where there is no dropbear
	HostKeys     []HostKey
	BadHostKeys  []error // of files that should hold one
	Logins       []Login
	Problems     []string // what cannot be read, or does not do what it should, a line each

	unread []Way // what was too long to be looked into
}

// HostKey is a private host key and the file that it is in.
type HostKey struct {
	Path string
	*dropbear.HostKey
}

// maxFactProblems bounds what a hostile archive can make us say.
const maxFactProblems = 100

func (f *Facts) noteProblem(format string, args ...any) {
	if len(f.Problems) < maxFactProblems {
		f.Problems = append(f.Problems, fmt.Sprintf(format, args...))
	}
}

// Read finds the facts of an archive. What cannot be made sense of is a problem,
// not an error.
func Read(img *initrd.Image) *Facts { return new(Facts).ReadAgain(img) }

// ReadAgain is [Read] of an archive that was edited since: what a host key is, which is dear to find out, is known of those that are still the same.
func (f *Facts) ReadAgain(img *initrd.Image) *Facts {
	before := f.HostKeys
	init := initShell(SettingsFiles(img))
	f = &Facts{Builder: builderOf(img), Architecture: archiveArch(img),
		Settings: init.sourcedSettings(), Server: serverOf(img, init)}
	f.Kernels, f.Modules = kernelVersions(img)
	f.Release = releaseOf(f.Server.Version)
	f.Accounts = parseAccounts(f.accountsFile(img, "etc/passwd"))
	f.readHostKeys(img, before)
	f.Server.checkFiles(img, len(f.HostKeys))
	f.findLogins(img)
	if s := f.Server; f.HasDropbear() {
		if s.Doubt != "" && !s.otherScript {
			f.noteProblem("how dropbear is started is not certain: %s", s.Doubt)
		}
		if s.Broken != "" {
			f.noteProblem("dropbear would not start: %s", s.Broken)
		}
	}
	return f
}

// NeedsContent reports whether [Read] looks into a large file of that name, for
// who reads an archive without its contents.
func NeedsContent(name string) bool { return path.Base(name) == "dropbear" }

// HasDropbear reports whether there is a server in the archive.
func (f *Facts) HasDropbear() bool { return f.Server.Path != "" }

// Root is the account of root; nil where the C library would know of none.
func (f *Facts) Root() *Account {
	i := slices.IndexFunc(f.Accounts, func(a Account) bool { return a.Name == "root" })
	if i < 0 {
		return nil
	}
	return &f.Accounts[i]
}

// RootKeys is the authorized_keys that dropbear reads for root, "" where there is
// no such account.
func (f *Facts) RootKeys() string {
	if root := f.Root(); root != nil {
		return f.Server.keysFile(root.Home)
	}
	return ""
}

// What the archive says of itself is foreign text, and goes into messages and to
// depmod: a kernel's release as make kernelrelease builds them.
var kernelName = regexp.MustCompile(`^[0-9][A-Za-z0-9.+~_-]{0,63}$`)

// Kernel is the release that the archive has modules for, or at least their directory; of several the first by
// name, of none "". Without one nothing in an archive says which kernel it is for.
func (f *Facts) Kernel() string {
	i := slices.IndexFunc(f.Kernels, kernelName.MatchString)
	if i < 0 {
		return ""
	}
	return f.Kernels[i]
}

// WithoutModules says what is known of an archive that has no modules; "" of one that has some.
func (f *Facts) WithoutModules() string {
	switch {
	case f.Modules > 0:
		return ""
	case f.Kernel() == "":
		return "no kernel modules in the archive, nor a directory for them: which kernel it is for cannot be told, and all that it needs has to be built in"
	}
	return "no kernel modules in the archive: all that it needs has to be built into " + f.Kernel()
}

// kernelVersions is the releases of kernels that have a directory for modules, and how many modules are in these.
func kernelVersions(img *initrd.Image) (all []string, modules int) {
	var dirs []string
	for _, name := range []string{"lib/modules", "usr/lib/modules"} {
		if dir, ok := img.Resolve(name); ok && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for name, e := range img.Tree() {
		_, module := ModuleName(name)
		switch {
		case e.IsDir() && slices.Contains(dirs, path.Dir(name)):
			all = append(all, path.Base(name))
		case module && slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(name, dir+"/") }) && img.FileAt(name) != nil:
			modules++
		}
	}
	slices.Sort(all)
	return slices.Compact(all), modules
}

// builderOf tells who made the archive by the files that only one of them has.
func builderOf(img *initrd.Image) Builder {
	has := func(name string) bool { _, ok := img.Resolve(name); return ok }
	file := func(name string) bool { real, ok := img.Resolve(name); return ok && img.Lookup(real).IsFile() }
	switch {
	case file("init") && file("scripts/functions") && file("conf/initramfs.conf"):
		return InitramfsTools
	case has("usr/lib/dracut"), has("lib/dracut"), has("usr/lib/initrd-release"), has("etc/initrd-release"):
		return Dracut
	}
	return UnknownBuilder
}

// ErrDracut is returned for an archive that dracut made: its init runs none of
// the scripts that initramfs-tools' does.
var ErrDracut = errors.New("made by dracut, not by initramfs-tools: there are no scripts in it to patch")

// CheckBuilder returns nil for an archive of initramfs-tools, [ErrDracut] for one
// of dracut, and for any other an error that names what is missing.
func (f *Facts) CheckBuilder() error {
	switch f.Builder {
	case InitramfsTools:
		return nil
	case Dracut:
		return ErrDracut
	}
	return errors.New("no initramfs-tools in it (init, scripts/functions and conf/initramfs.conf are missing)")
}

// HostKeyPath is where a host key of a kind ("ed25519") lies unless dropbear's
// options name another file.
func HostKeyPath(kind string) string { return "etc/dropbear/" + dropbear.HostKeyFile(kind) }

// readHostKeys reads the keys that the server would load.
func (f *Facts) readHostKeys(img *initrd.Image, known []HostKey) {
	files := f.Server.HostKeys
	if files == nil {
		for _, kind := range []string{"ed25519", "ecdsa", "rsa", "dss"} {
			files = append(files, HostKeyPath(kind))
		}
	}
	for _, name := range files {
		name = path.Join("/", name)[1:]
		if _, ok := img.Resolve(name); !ok {
			continue
		}
		b, err := img.ReadFile(name)
		if err != nil {
			f.badHostKey(fmt.Errorf("%s: not a regular file", name))
			continue
		}
		f.addHostKey(name, b, known)
	}
}

func (f *Facts) addHostKey(name string, b []byte, known []HostKey) {
	var k *dropbear.HostKey
	if i := slices.IndexFunc(known, func(k HostKey) bool { return bytes.Equal(k.Marshal(), b) }); i >= 0 {
		k = known[i].HostKey
	} else {
		var err error
		if k, err = dropbear.ParseHostKey(b); err != nil {
			f.badHostKey(fmt.Errorf("%s: %w", name, err))
			return
		}
	}
	if v, known := f.Server.knownVersion(); known && !slices.Contains(v.HostKeyTypes(), k.Type()) {
		f.badHostKey(fmt.Errorf("%s: %v has no %s host keys", name, v, k.Type()))
		return
	}
	f.HostKeys = append(f.HostKeys, HostKey{name, k})
}

func (f *Facts) badHostKey(err error) {
	f.BadHostKeys = append(f.BadHostKeys, err)
	f.noteProblem("%v", err)
}

// PublicKeys is the public halves of the host keys: what the server answers with.
func (f *Facts) PublicKeys() []ssh.PublicKey {
	var all []ssh.PublicKey
	for _, k := range f.HostKeys {
		all = append(all, k.Public())
	}
	return all
}

// LoginKeys is the keys that open a login.
func (f *Facts) LoginKeys() []dropbear.AuthorizedKey {
	var all []dropbear.AuthorizedKey
	for _, l := range f.Logins {
		if l.How == ByKey {
			all = append(all, l.Key)
		}
	}
	return all
}

// RootKeyLogins is the keys that root logs in with, in the order of their lines.
func (f *Facts) RootKeyLogins() []dropbear.AuthorizedKey {
	var all []dropbear.AuthorizedKey
	for _, l := range f.Logins {
		if l.How == ByKey && slices.Contains(l.Users, "root") {
			all = append(all, l.Key)
		}
	}
	return all
}

// CommandKeys is the keys with which root runs what he asks for; where only the
// machine could tell, all that may let somebody in.
func (f *Facts) CommandKeys() []dropbear.AuthorizedKey {
	if f.Server.Doubt != "" {
		return f.LoginKeys()
	}
	return f.Server.Unforced(f.RootKeyLogins())
}

// Hindrance says what keeps root from logging in and running a command of his own,
// "" where nothing does.
func (f *Facts) Hindrance() string {
	if root := f.Root(); root != nil && noShell.MatchString(root.Shell) {
		return "etc/passwd: root's shell is " + root.Shell + ", which every login runs, whatever it asks for"
	}
	return f.Server.Hindrance(f.RootKeyLogins())
}

// noShell is programs that people give an account in the place of a shell, and that run no commands.
var noShell = regexp.MustCompile(`/(?:cryptroot-unlock|nologin|false|true|reboot|poweroff|halt|sync)$`)

// LetsIn reports whether an account may log in with a key of that file.
func (f *Facts) LetsIn(user, file string) bool {
	return slices.ContainsFunc(f.Logins, func(l Login) bool {
		return l.How == ByKey && l.Path == file && slices.Contains(l.Users, user)
	})
}
