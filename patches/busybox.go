package patches

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"groundhog/initrd"
)

// sbinApplets is the names that busybox installs below sbin; all others are
// below bin. It is the union over Debian's builds of 1.30 to 1.37, from their
// `busybox --list-long`, without the leading usr/ as Debian's hook has it.
var sbinApplets = wordSet(`acpid adjtimex arp arping blkid blockdev brctl chroot crond depmod devmem fdisk
	findfs freeramdisk fsfreeze fstrim getty halt httpd hwclock i2cdetect i2cdump i2cget i2cset
	i2ctransfer ifconfig ifdown ifup init insmod ip ipneigh klogd loadfont loadkmap logread losetup
	lsmod mdev mim mkdosfs mke2fs mkswap modinfo modprobe nameif nbd-client nologin partprobe
	pivot_root poweroff rdate reboot rmmod route run-init start-stop-daemon sulogin swapoff swapon
	switch_root sysctl syslogd tc tunctl ubirename udhcpc udhcpd uevent vconfig watchdog`)

// appletDir is where busybox installs an applet.
func appletDir(applet string) string {
	if sbinApplets[applet] {
		return "sbin"
	}
	return "bin"
}

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// errApplets is returned for a busybox without the table that --list prints.
var errApplets = errors.New("no table of applet names in it")

// readApplets reads the names of its applets out of a busybox: a row of sorted
// strings, each with a NUL, ended by an empty one, the first two of which are
// "[" and "[[". Running it is not possible for another architecture.
func readApplets(busybox []byte) ([]string, error) {
	const start = "\x00[\x00[[\x00"
	at := bytes.Index(busybox, []byte(start))
	if at < 0 {
		return nil, errApplets
	}
	table := busybox[at+1:]
	end := bytes.Index(table, []byte("\x00\x00"))
	if end < 0 || end > 64<<10 {
		return nil, errApplets
	}
	names := strings.Split(string(table[:end]), "\x00")
	for _, n := range names {
		if n == "" || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
			return nil, errApplets
		}
	}
	return names, nil
}

// graftBusybox puts busybox into an archive that has klibc's tools only, under
// every name of its applets that nothing else has, as Debian's zz-busybox hook
// does. It returns how many names there are; 0 where the archive has one.
func (t *Archive) graftBusybox() (int, error) {
	if _, ok := t.Image.Resolve("bin/busybox"); ok {
		return 0, nil
	}
	src, err := t.findInTree("usr/bin/busybox")
	if err != nil {
		return 0, err
	}
	libs, err := t.copyLibraries(src)
	if err != nil {
		return 0, err
	}
	data, err := fs.ReadFile(t.Root, src)
	if err != nil {
		return 0, err
	}
	names, err := t.freeNames(data)
	if err != nil {
		return 0, fmt.Errorf("%s in the root tree cannot be used as busybox: %w", src, err)
	}
	for _, name := range names {
		t.touchEntry(name)
	}
	if err := t.Image.PutLinks(names, initrd.File{Mode: initrd.TypeFile | 0o755, Data: data}); err != nil {
		return 0, err
	}
	return len(names), t.checkVersions("bin/busybox", libs)
}

// freeNames is the paths at which busybox goes: those of its applets that are
// free, or held by a tool of klibc, which mkinitramfs leaves out beside busybox.
func (t *Archive) freeNames(busybox []byte) ([]string, error) {
	list, err := readApplets(busybox)
	if err != nil {
		return nil, err
	}
	var names []string
	seen := map[string]bool{}
	for _, applet := range append(list, "busybox") {
		name := path.Join(appletDir(applet), applet)
		e := t.Image.Lookup(name)
		if seen[name] || e != nil && !fromKlibc(t.Image.Content(e)) {
			continue
		}
		seen[name] = true
		if e != nil {
			if err := t.Image.Remove(name); err != nil {
				return nil, err
			}
		}
		names = append(names, name)
	}
	return names, nil
}

// klibcInterpreter is the interpreter of klibc's programs, /usr/lib from trixie on.
var klibcInterpreter = regexp.MustCompile(`^(/usr)?/lib/klibc-[A-Za-z0-9_-]+\.so\x00$`)

// fromKlibc reports whether a program is one of klibc's: those name klibc as
// their interpreter.
func fromKlibc(b []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			interp := make([]byte, p.Filesz)
			if _, err := p.ReadAt(interp, 0); err == nil {
				return klibcInterpreter.Match(interp)
			}
		}
	}
	return false
}
