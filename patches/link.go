package patches

import (
	"fmt"
	"strings"

	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/scripts"
)

// options are dropbear's: the largest receive window that its version takes, 1
// MiB or 10, since with the default of 24 KiB a link with 20 ms of delay carries
// 1 MB/s, and with 1 MiB 50; and a keepalive every 5 s, without which nothing
// notices a dead link.
func options(v dropbear.Version) string { return fmt.Sprintf("-W %d -K 5", v.MaxWindow) }

// optionsLine goes in front of what dropbear's configuration says, so that the
// configuration's own word comes later and counts.
func optionsLine(v dropbear.Version) string {
	return fmt.Sprintf(`DROPBEAR_OPTIONS="%s ${DROPBEAR_OPTIONS-}" # groundhog`, options(v))
}

// link sets dropbear's options and, where its sessions lack it, sbin in their
// PATH.
func (t *Archive) link() (string, error) {
	conf := t.version.ArchiveConfig
	var old []byte
	if _, ok := t.Image.Resolve(conf); ok {
		var err error
		if old, err = t.Image.ReadFile(conf); err != nil {
			return "", err
		}
	}
	text, err := withLine(optionsLine(t.version))(old)
	if err != nil {
		return "", err
	}
	if err := t.generated(conf, text); err != nil {
		return "", err
	}
	summary := "dropbear " + options(t.version)
	if t.version.SbinInPath {
		return summary, nil
	}
	return summary + ", sbin in the sessions' PATH", t.sbinInPath()
}

// sbinInPath makes root's login shell one that knows sbin. dropbear takes only
// a shell that etc/shells lists.
func (t *Archive) sbinInPath() error {
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

// withShell gives root the login shell.
func withShell(passwd []byte, shell string) ([]byte, error) {
	lines := strings.SplitAfter(string(passwd), "\n")
	n := 0
	for i, l := range lines {
		f := strings.Split(strings.TrimSuffix(l, "\n"), ":")
		if len(f) != 7 || f[0] != "root" {
			continue
		}
		n++
		f[6] = shell
		lines[i] = strings.Join(f, ":") + "\n"
	}
	if n != 1 {
		return nil, fmt.Errorf("%w: the line of root is there %d times", ErrAnchor, n)
	}
	return []byte(strings.Join(lines, "")), nil
}

// link sets dropbear's options in the configuration that the hook copies.
func (t *Tree) link() (string, error) {
	if err := t.undo.Edit(t.version.RootConfig(), nil, withLine(optionsLine(t.version))); err != nil {
		return "", err
	}
	t.added = append(t.added, t.version.ArchiveConfig)
	summary := "dropbear " + options(t.version)
	if t.version.SbinInPath {
		return summary, nil
	}
	t.added = append(t.added, scripts.ShellPath, "etc/passwd", "etc/shells")
	return summary + ", sbin in the sessions' PATH", t.undo.Own(ownDir+"/shell", 0o644, scripts.Shell().Data)
}
