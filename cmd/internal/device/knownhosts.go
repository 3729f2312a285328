package device

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// knownDB is known_hosts files. x/crypto's reader fails altogether for one line
// that it does not know, takes a bare * for port 22 only, and an authority's key for a
// host's own: hence a copy of each file with such lines left out (certificates are not
// supported) and with * written for the port that is asked for.
type knownDB struct {
	ask   ssh.HostKeyCallback
	files []string
	bad   []string // "FILE:LINE" of lines that could not be read
}

// maxBadLines bounds how often a file is read again without a bad line.
const maxBadLines = 64

func readKnownHosts(files []string, port string, must bool) (*knownDB, error) {
	db := &knownDB{}
	dir, err := os.MkdirTemp("", "groundhog-known-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var copies []string
	for _, name := range files {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && !must {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading known_hosts: %w", err)
		}
		lines := strings.Split(string(b), "\n")
		for i := range lines {
			lines[i] = anyPort(lines[i], port)
		}
		at := fmt.Sprintf("%s/%d", dir, len(copies))
		if err := db.sift(name, at, lines); err != nil {
			return nil, err
		}
		copies, db.files = append(copies, at), append(db.files, name)
	}
	db.ask, err = knownhosts.New(copies...)
	return db, err
}

// sift writes lines to the file at, those that cannot be read left blank.
func (db *knownDB) sift(name, at string, lines []string) error {
	for range maxBadLines {
		if err := os.WriteFile(at, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			return err
		}
		_, err := knownhosts.New(at)
		if err == nil {
			return nil
		}
		var n int
		rest, ours := strings.CutPrefix(err.Error(), "knownhosts: "+at+":")
		if _, scan := fmt.Sscanf(rest, "%d:", &n); !ours || scan != nil || n < 1 || n > len(lines) {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		lines[n-1] = ""
		db.bad = append(db.bad, fmt.Sprintf("%s:%d", name, n))
	}
	return fmt.Errorf("reading %s: more than %d lines cannot be read", name, maxBadLines)
}

// anyPort makes * mean any port, as it does for ssh(1). An authority's line becomes empty.
func anyPort(line, port string) string {
	marker, rest := "", strings.TrimLeft(line, " \t\r")
	if strings.HasPrefix(rest, "@") {
		i := strings.IndexAny(rest+" ", " \t")
		marker, rest = rest[:i]+" ", strings.TrimLeft(rest[i:], " \t")
		if marker == "@cert-authority " {
			return ""
		}
	}
	i := strings.IndexAny(rest, " \t")
	if i < 0 || rest[0] == '#' {
		return line
	}
	patterns := strings.Split(rest[:i], ",")
	for _, p := range patterns {
		if p == "*" && port != "22" {
			patterns = append(patterns, "[*]:"+port)
			break
		}
	}
	return marker + strings.Join(patterns, ",") + rest[i:]
}

// check is ask, with an error that says what to do.
func (db *knownDB) check(name string, remote net.Addr, key ssh.PublicKey) error {
	err := db.ask(name, remote, key)
	if err == nil {
		return nil
	}
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	var keyErr *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return hint(fmt.Errorf("%w: %s is revoked in known_hosts", ErrHostKey, shown), "somebody has said that this key must not be trusted")
	case !errors.As(err, &keyErr):
		return fmt.Errorf("%w: %s: %w", ErrHostKey, shown, err)
	case len(keyErr.Want) > 0:
		return hint(fmt.Errorf("%w: %s has changed: it shows %s, known is %s", ErrHostKey, knownhosts.Normalize(name), shown,
			ssh.FingerprintSHA256(keyErr.Want[0].Key)),
			"somebody may be in between, or the device was set up anew: if you know that it was, ssh-keygen -R "+
				Quote(knownhosts.Normalize(name))+" forgets the old key")
	}
	text := "compare it with the device's own (ssh-keygen -lf /etc/ssh/ssh_host_..._key.pub), then give --host-key " + ssh.FingerprintSHA256(key)
	if len(db.bad) > 0 {
		text += "; these lines could not be read: " + strings.Join(db.bad, ", ")
	}
	return hint(fmt.Errorf("%w: %s is unknown: it shows %s", ErrHostKey, knownhosts.Normalize(name), shown), text)
}
