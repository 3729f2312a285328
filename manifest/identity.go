package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
)

// identifyMachine says which machine the entries are for and who may log in to it.
func (m *Manifest) identifyMachine(f *debian.Facts) {
	m.Architecture, m.Dropbear = f.Architecture, f.HasDropbear()
	for _, k := range f.Kernels {
		m.Kernels = append(m.Kernels, EscapePath(k))
	}
	for _, k := range f.HostKeys {
		m.HostKeys = append(m.HostKeys, keyOf(k.Path, k.Public(), ""))
	}
	for _, l := range f.Logins {
		if l.How == debian.ByKey {
			m.AuthorizedKeys = append(m.AuthorizedKeys, keyOf(l.Path, l.Key.Key, l.Key.Comment))
		} else {
			who := "password of " + l.Users[0]
			if l.How == debian.ByNothing {
				who = l.Users[0] + " without a password"
			}
			m.AuthorizedKeys = append(m.AuthorizedKeys, keylessLogin(l.Path, string(l.How), who, nil))
		}
	}
	for _, p := range f.Problems {
		m.noteProblem("%s", EscapePath(p))
	}
}

// keylessLogin is a login without a key, or a way in beside dropbear's, among the keys because it is as much of a way
// in. Its fingerprint is of nothing but its own description, and of what was described.
func keylessLogin(name, how, who string, of []byte) Key {
	sum := sha256.Sum256(append([]byte(who), of...))
	return Key{Path: EscapePath(name), Type: how, Fingerprint: "SHA256:" + hex.EncodeToString(sum[:]), Comment: EscapePath(who)}
}

// plainWord accepts what an architecture or a release is called.
func plainWord(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// hashStablePasswd hashes etc/passwd as it would be without the random name of root's home.
func (m *Manifest) hashStablePasswd(f *debian.Facts, passwd []byte) {
	root := f.Root()
	if root == nil {
		return
	}
	home := strings.Trim(root.Home, "/")
	i, ok := slices.BinarySearchFunc(m.Entries, "etc/passwd", func(e Entry, name string) int { return strings.Compare(e.Path, name) })
	if !ok || debian.StableHome(home) == "" || m.Entries[i].Type != File {
		return
	}
	sum := sha256.Sum256(bytes.ReplaceAll(passwd, []byte(home), []byte(debian.StableHome(home))))
	m.Entries[i].Stable = hex.EncodeToString(sum[:])
}

func keyOf(name string, pub ssh.PublicKey, comment string) Key {
	bits, _, _ := strings.Cut(dropbear.Identity(pub, ""), " ")
	n, _ := strconv.Atoi(bits)
	return Key{Path: EscapePath(name), Type: pub.Type(), Bits: n,
		Fingerprint: dropbear.Fingerprint(pub), Comment: EscapePath(strings.TrimSpace(comment))}
}

// maxProblems bounds what a hostile archive can make us say.
const maxProblems = 100

func (m *Manifest) noteProblem(format string, args ...any) {
	if len(m.Problems) < maxProblems {
		m.Problems = append(m.Problems, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
	}
}
