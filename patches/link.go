package patches

import (
	"fmt"

	"groundhog/patches/scripts"
)

// dropbearOptions goes in front of what the archive's configuration says, so
// that the configuration's own word comes later and counts. -W 1048576: a
// receive window of 1 MiB, the most that every supported version takes; with
// the default of 24 KiB a link with 20 ms of delay carries 1 MB/s. -K 5: a
// keepalive every 5 s, without which nothing notices a dead link.
const dropbearOptions = `DROPBEAR_OPTIONS="-W 1048576 -K 5 ${DROPBEAR_OPTIONS-}" # groundhog`

// link sets dropbear's options and, where its sessions lack it, sbin in their
// PATH.
func link(t *Target) (string, error) {
	conf := t.version.ArchiveConfig
	var old []byte
	if _, ok := t.Image.Resolve(conf); ok {
		var err error
		if old, err = t.Image.ReadFile(conf); err != nil {
			return "", err
		}
	}
	text, err := withLine(dropbearOptions)(old)
	if err != nil {
		return "", err
	}
	if err := t.generated(conf, text); err != nil {
		return "", err
	}
	if t.version.SbinInPath {
		return "dropbear -W 1048576 -K 5", nil
	}
	return "dropbear -W 1048576 -K 5, sbin in the sessions' PATH", t.sbinInPath()
}

// sbinInPath makes root's login shell one that knows sbin. dropbear takes only
// a shell that etc/shells lists.
func (t *Target) sbinInPath() error {
	shell := scripts.Shell()
	if err := t.put(shell.Path, typeFile(shell.Mode), shell.Data); err != nil {
		return err
	}
	name := "/" + shell.Path
	err := t.edit("etc/passwd", func(text []byte) ([]byte, error) { return withShell(text, name) })
	if err != nil {
		return err
	}
	var shells []byte
	if _, ok := t.Image.Resolve("etc/shells"); ok {
		if shells, err = t.Image.ReadFile("etc/shells"); err != nil {
			return err
		}
	}
	shells, err = all(withLine("/bin/sh"), withLine(name))(shells)
	if err != nil {
		return err
	}
	if err := t.generated("etc/shells", shells); err != nil {
		return fmt.Errorf("etc/shells: %w", err)
	}
	return nil
}
