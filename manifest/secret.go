package manifest

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"groundhog/initrd/debian/dropbear"
	"groundhog/initrd/show"
)

// What a file is that no report shows the content of.
const (
	privateKey   = "a private key"
	passwordHash = "password hashes"
	sharedSecret = "a shared secret"
)

// Secret says what secret a file holds, for a report that names it instead of
// showing it; "" of a file that holds none that is known. Content is judged
// before the name: a key keeps no rule about where it lies. An error to the safe
// side hides a harmless text.
func Secret(name string, b []byte) string {
	if what := secretContent(b); what != "" {
		return what
	}
	return secretName(name)
}

func secretContent(b []byte) string {
	for _, mark := range privateMarks {
		if bytes.Contains(b, []byte(mark)) {
			return privateKey
		}
	}
	if _, err := dropbear.ParseHostKey(b); err == nil {
		return privateKey
	}
	if !show.IsText(b) {
		return ""
	}
	for _, c := range secretLines {
		if c.line.Match(b) {
			return c.what
		}
	}
	return ""
}

// privateMarks are in a private key's file, in the order of: PEM of every kind and
// OpenPGP's armour, OpenSSH's format bare and in base64 without its frame, PuTTY,
// age(1), BIND's dnssec-keygen, OpenVPN, gpg-agent, minisign and signify(1).
var privateMarks = []string{"PRIVATE KEY", "openssh-key-v1", "b3BlbnNzaC1rZXktdjE", "PuTTY-User-Key-File-", "Private-Lines:",
	"AGE-SECRET-KEY-", "Private-key-format:", "BEGIN OpenVPN Static key", "(private-key", "(protected-private-key", "encrypted secret key", "signify secret key"}

// secretLines are what secrets of one line look like.
var secretLines = []struct {
	line *regexp.Regexp
	what string
}{
	// crypt(5): "$id$salt$hash" with or without parameters, wherever it stands.
	{regexp.MustCompile(`\$(?:1|apr1|2[abxy]?|3|5|6|7|y|gy|sm3|md5|sha1|scrypt|argon2(?:id?|d))[$,][^\s:"']*\$?[./0-9A-Za-z+=-]{13,}`), passwordHash},
	// shadow(5): nine fields, numbers but for the first two and the last.
	{regexp.MustCompile(`(?m)^[^:\s]+:[^:\n]*:\d*:\d*:\d*:\d*:\d*:\d*:[^:\n]*$`), passwordHash},
	// passwd(5) with a password of the old crypt: 13 characters, or 20 of BSDi's.
	{regexp.MustCompile(`(?m)^[^:\s]+:!?(?:[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}):[^\n]*$`), passwordHash},
	// RFC 2307, as LDAP and others have it.
	{regexp.MustCompile(`(?i)\{(?:S?SHA(?:256|384|512)?|S?MD5|PBKDF2[\w-]*)\}[./0-9A-Za-z+=$-]{16,}`), passwordHash},
	// WireGuard, wg(8), a key alone as wg genkey has it, too; a JSON Web Key's private part, RFC 7517.
	{regexp.MustCompile(`(?mi)^\s*(?:PrivateKey|PresharedKey)\s*=\s*[0-9A-Za-z+/]{42,}=`), privateKey},
	{regexp.MustCompile(`\A\s*[0-9A-Za-z+/]{43}=\s*\z`), privateKey},
	{regexp.MustCompile(`"kty"(?s:.*)"(?:d|k)"\s*:\s*"|"(?:d|k)"\s*:\s*"(?s:.*)"kty"`), privateKey},
	// wpa_supplicant.conf(5), iwd.network(5), NetworkManager's keyfiles, iscsid.conf and iscsi.initramfs, wgetrc.
	{regexp.MustCompile(`(?mi)^\s*(?:export\s+)?(?:[\w.-]*[_.-])?(?:psk|wep[-_]?key\d?|passphrase|password(?:_in)?|passwd|secret|presharedkey|authkey|token)\s*=\s*[^\s$]`), sharedSecret},
	// netrc(5); curl's configuration.
	{regexp.MustCompile(`(?mi)^\s*(?:machine\s+\S+|default)\s(?s:.*?)\bpassword\s+\S`), sharedSecret},
	{regexp.MustCompile(`(?mi)^\s*(?:--?)?(?:proxy-)?user\s*[\s=:]\s*"?[^\s":]+:[^\s$]`), sharedSecret},
}

// secretName judges by where a file lies, for what its content does not tell.
func secretName(name string) string {
	dir, base := path.Split(path.Clean("/" + name))
	base = strings.TrimRight(base, "-~") // shadow-, the copy that shadow's tools keep
	switch {
	case base == "shadow" || base == "gshadow" || base == "master.passwd":
		return passwordHash
	case base == "chap-secrets", base == "pap-secrets", base == "ipsec.secrets", base == ".pgpass",
		// crypttab(5)'s, and where cryptsetup's hook puts them in an archive
		strings.HasSuffix(dir, "/cryptroot/keyfiles/"), strings.HasSuffix(dir, "/cryptsetup-keys.d/"), strings.HasSuffix(dir, "/etc/keys/"):
		return sharedSecret
	case strings.HasSuffix(base, "_host_key"), strings.HasPrefix(base, "ssh_host_") && strings.HasSuffix(base, "_key"),
		strings.Contains(dir, "/.ssh/") && strings.HasPrefix(base, "id_") && !strings.HasSuffix(base, ".pub"),
		strings.HasSuffix(dir, "/ssl/private/"), strings.HasSuffix(base, ".keytab"):
		return privateKey
	}
	return ""
}
