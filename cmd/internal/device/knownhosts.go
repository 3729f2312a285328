package device

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// knownLine is a line of known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
type knownLine struct {
	marker string // "", "@cert-authority" or "@revoked"
	hosts  string // patterns with commas between them, or one hashed name
	key    ssh.PublicKey
}

// knownDB is known_hosts files.
type knownDB struct {
	lines []knownLine
	bad   []string // "FILE:LINE" of lines that could not be read, which ssh leaves out, too
}

// maxKnownHosts bounds a known_hosts file, in bytes.
const maxKnownHosts = 16 << 20

// readKnownHosts reads files; those that were named must exist. x/crypto's own reader fails altogether for one line that it
// does not know, and takes a bare * for port 22 only.
func readKnownHosts(files []string, must bool) (*knownDB, error) {
	db := &knownDB{}
	for _, name := range files {
		if name == "/dev/null" { // the usual name for "no file"
			continue
		}
		b, err := sidefile.Read(name, sidefile.Group, maxKnownHosts)
		if errors.Is(err, fs.ErrNotExist) && !must {
			continue
		}
		if err != nil {
			if err = fmt.Errorf("reading known_hosts: %w", err); errors.Is(err, sidefile.ErrStranger) {
				err = hint.To(err, "who can write to that file decides whom you trust")
			}
			return nil, Unread(err)
		}
		db.addLines(string(b), name)
	}
	return db, nil
}

// addLines adds the lines of a text, which is called name.
func (db *knownDB) addLines(text, name string) {
	n := 0
	for text := range strings.Lines(text) {
		n++
		line, some, err := parseKnownLine(text)
		if err != nil {
			db.bad = append(db.bad, fmt.Sprintf("%s:%d", name, n))
		} else if some {
			db.lines = append(db.lines, line)
		}
	}
}

// parseKnownLine reads a line; some is false for one that says nothing.
func parseKnownLine(text string) (line knownLine, some bool, err error) {
	text, _, _ = strings.Cut(text, "\x00") // to ssh it ends there, as after a crash that has left some in the file
	f := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' })
	if len(f) == 0 || f[0][0] == '#' {
		return line, false, nil
	}
	if f[0][0] == '@' {
		line.marker, f = f[0], f[1:]
		if line.marker != "@cert-authority" && line.marker != "@revoked" {
			return line, false, errors.New("not a marker")
		}
		// To ssh a marker ends at the line's first blank, if there is one: a tab ends none. An authority that it does not see is none.
		if marker, _, _ := strings.Cut(strings.TrimLeft(text, " \t"), " "); line.marker == "@cert-authority" && marker != line.marker && strings.Contains(text, " ") {
			return line, false, errors.New("a tab behind the marker")
		}
	}
	if len(f) < 3 {
		return line, false, errors.New("too short")
	}
	line.hosts = f[0]
	line.key, err = parseKeyFields(f[1:])
	return line, err == nil, err
}

// parseKeyFields reads a public key: its type and what it is in base 64. What follows is a comment.
func parseKeyFields(f []string) (ssh.PublicKey, error) {
	if len(f) < 2 {
		return nil, errors.New("too short")
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePublicKey(blob)
	if err == nil && key.Type() != f[0] {
		err = errors.New("a key of another type than it says")
	}
	return key, err
}

// linesAbout are the lines about a name: a host's, or "[host]:port" for another port than 22.
func (db *knownDB) linesAbout(name string) (all []knownLine) {
	for _, line := range db.lines {
		if line.isAbout(name) {
			all = append(all, line)
		}
	}
	return all
}

func (line knownLine) isAbout(name string) bool {
	if hashed, ok := strings.CutPrefix(line.hosts, "|1|"); ok {
		return hashedAbout(hashed, name)
	}
	about := false
	for _, p := range strings.Split(line.hosts, ",") {
		p, not := strings.CutPrefix(strings.ToLower(p), "!")
		if !matchWildcard(p, name) {
			continue
		}
		if not {
			return false
		}
		about = true
	}
	return about
}

// hashedAbout asks a hashed name (ssh_config(5), HashKnownHosts): a salt, and the HMAC-SHA1 of the name with it.
func hashedAbout(hashed, name string) bool {
	salt64, sum64, _ := strings.Cut(hashed, "|")
	salt, err := base64.StdEncoding.DecodeString(salt64)
	sum, err2 := base64.StdEncoding.DecodeString(sum64)
	if err != nil || err2 != nil || len(sum) != sha1.Size {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hmac.Equal(sum, mac.Sum(nil))
}

// knownName is a host as known_hosts has it.
func knownName(host, port string) string {
	if port == "22" {
		return host
	}
	return "[" + host + "]:" + port
}

// knownNames are the names that a device is looked up by, in order. What is known without a port is asked where nothing is known
// of the port, as ssh does; a HostKeyAlias has no port.
func (s *sshSettings) knownNames() []string {
	if s.hostKeyAlias != "" {
		return []string{strings.ToLower(s.hostKeyAlias)}
	}
	host := strings.ToLower(s.Host)
	if s.Port == "22" {
		return []string{host}
	}
	return []string{knownName(host, s.Port), host}
}
