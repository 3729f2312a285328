package diff_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// secretFiles is content that no report may show, under a name that says nothing.
func secretFiles(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{
		"pkcs8":      "-----BEGIN PRIVATE KEY-----\nU0VDUkVU\n-----END PRIVATE KEY-----\n",
		"encrypted":  "x\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nU0VDUkVU\n",
		"pgp":        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nU0VDUkVU\n",
		"putty":      "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nU0VDUkVU\n",
		"frameless":  "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUU0VDUkVU\n",
		"age":        "# made today\nAGE-SECRET-KEY-1QQPQQPQQPQQPQQPQQPQ\n",
		"dnssec":     "Private-key-format: v1.3\nPrivateKey: U0VDUkVU\n",
		"wireguard":  "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
		"jwk":        `{"kty":"OKP","crv":"Ed25519","x":"11","d":"U0VDUkVU"}`,
		"sha512":     "root:$6$saltsalt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.:19000:0:99999:7:::\n",
		"yescrypt":   "x:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7:1:::::\n",
		"bcrypt":     "user=$2b$12$GhvMmNVjRW29ulnudl.LbuAnUtN/LRfe1JsBm1Xu6LE3059z5Tr8m\n",
		"in script":  "echo 'root:$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGsh7T2' | chpasswd -e\n",
		"des":        "root:ab1CdEfGhIjKl:0:0:root:/root:/bin/sh\n",
		"shadow des": "root:ab1CdEfGhIjKl:19000:0:99999:7:::\n",
		"wpa":        "network={\n\tssid=\"x\"\n\tpsk=\"S-E-C-R-E-T\"\n}\n",
		"nm":         "[wifi-security]\npsk=S-E-C-R-E-T\n",
		"iwd":        "[Security]\nPassphrase=S-E-C-R-E-T\n",
		"iscsi":      "node.session.auth.username = x\nnode.session.auth.password = S-E-C-R-E-T\n",
		"initramfs":  "ISCSI_USERNAME=x\nISCSI_PASSWORD=S-E-C-R-E-T\n",
		"netrc":      "machine example.org login me password S-E-C-R-E-T\n",
		"netrc long": "machine example.org\n\tlogin me\n\tpassword S-E-C-R-E-T\n",
		"curlrc":     "silent\nuser = \"me:S-E-C-R-E-T\"\n",
		"apr1":       "me:$apr1$Mx1YbCCV$eDhVwTtTI7lKxHCGoKzZk/\n",
		"ldap":       "userPassword: {SSHA}DkMTwBl+a/3DfY1MGDRKcQ8ZbVVhVmFs\n",
		"wg genkey":  "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
		"openvpn":    "-----BEGIN OpenVPN Static key V1-----\n0123456789abcdef\n-----END OpenVPN Static key V1-----\n",
		"gpg-agent":  "Created: 20240101T000000\nKey: (private-key (ecc (curve Ed25519)(d #53454352#)))\n",
		"minisign":   "untrusted comment: minisign encrypted secret key\nRWRTY0IyU0VDUkVU\n",
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		name := filepath.Join(t.TempDir(), "key")
		judge.Run(t, exec.Command(judge.Tool(t, "ssh-keygen"), "-q", "-N", "", "-t", kind, "-f", name))
		b := judge.ReadFile(t, name)
		files["openssh "+kind] = string(b)
	}
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		k := judge.Value(dropbear.GenerateHostKey(kind))(t)
		files["dropbear "+kind] = string(k.Marshal())
	}
	return files
}

// Whatever its name, a file with a secret is named and never shown; by its name a
// key whose content says nothing.
func TestSecretsAreNotShown(t *testing.T) {
	for name, content := range secretFiles(t) {
		for _, sides := range [][2]string{{"", content}, {content, ""}, {"harmless\n", content}, {content, "harmless\n"}} {
			var entries [2][]initrd.Entry
			for i, s := range sides {
				entries[i] = append(entries[i], dir("opt"))
				if s != "" {
					entries[i] = append(entries[i], file("opt/readme", s))
				}
			}
			a, b := archive(t, entries[0]...), archive(t, entries[1]...)
			c := diff.Of(of(t, a), of(t, b), false)
			judge.Must(t, c.AddText(a, b))
			var text bytes.Buffer
			judge.Must(t, c.WriteText(&text, false))
			if !strings.Contains(text.String(), "opt/readme") || !strings.Contains(text.String(), "not shown: it holds ") {
				t.Errorf("%s: not named:\n%s", name, text.String())
			}
			for line := range strings.Lines(content) {
				if line = strings.TrimSpace(line); len(line) > 8 && strings.Contains(text.String(), line) {
					t.Errorf("%s: shown: %q", name, line)
				}
			}
		}
	}
	for _, name := range []string{"etc/shadow", "etc/shadow-", "etc/gshadow", "etc/dropbear/dropbear_rsa_host_key", "etc/ssh/ssh_host_rsa_key",
		"root-x/.ssh/id_ed25519", "etc/ssl/private/x.key", "etc/krb5.keytab", "cryptroot/keyfiles/root.key", "etc/cryptsetup-keys.d/x.key", "etc/ppp/chap-secrets"} {
		if manifest.Secret(name, []byte("x\n")) == "" {
			t.Errorf("%s: would be shown", name)
		}
	}
}

// What people look for in a diff is shown.
func TestOrdinaryTextIsShown(t *testing.T) {
	for name, text := range map[string]string{
		"etc/passwd":                     "root:*:0:0::/root-2dZMWqGnTU:/bin/sh\nx:x:1:1:a b:/:/bin/false\n",
		"etc/group":                      "root:x:0:\n",
		"root-x/.ssh/authorized_keys":    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJvb3Q me@example\n",
		"root-x/.ssh/id_ed25519.pub":     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJvb3Q me@example\n",
		"etc/ssl/certs/ca.pem":           "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		"conf/initramfs.conf":            "MODULES=most\nKEYMAP=n\nCOMPRESS=zstd\nDEVICE=eth0\n",
		"scripts/functions":              "f() {\n\tx=$1$2\n\techo \"$6 $1\" password=$pw\n}\n",
		"etc/dropbear/dropbear.conf":     "DROPBEAR_OPTIONS=\"-p 22\"\n",
		"scripts/init-premount/dropbear": "run_dropbear &\necho $! >/run/dropbear.pid\n",
	} {
		if what := manifest.Secret(name, []byte(text)); what != "" {
			t.Errorf("%s: taken for %s", name, what)
		}
	}
}
