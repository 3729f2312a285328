package device

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// Every option that the installed ssh prints, or whose manual it has, stands in the table.
func TestOptionTable(t *testing.T) {
	out := judge.Output(t, exec.Command(judge.Tool(t, "ssh"), "-G", "-F", "none", "host"))
	var options []string
	for line := range strings.Lines(string(out)) {
		option, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		options = append(options, option)
	}
	if packed, err := os.ReadFile("/usr/share/man/man5/ssh_config.5.gz"); err == nil { // a container may have no manuals
		r := judge.Value(gzip.NewReader(bytes.NewReader(packed)))(t)
		page := judge.Value(io.ReadAll(r))(t)
		for _, m := range regexp.MustCompile(`(?m)^\.It Cm ([A-Z][A-Za-z0-9]+)`).FindAllSubmatch(page, -1) {
			options = append(options, string(m[1]))
		}
	}
	if len(options) < 80 {
		t.Fatalf("ssh has no more than %q", options)
	}
	for _, option := range options {
		if _, ok := optionTable[strings.ToLower(option)]; !ok {
			t.Errorf("%s is in no row: what does it mean to ssh, and what to us?", option)
		}
	}
	for option, row := range optionTable {
		if option != strings.ToLower(option) || (row.use == heeded) != (row.why == "") {
			t.Errorf("%s: %q", option, row.why)
		}
	}
}

// optionTries has a value for each option that changes something for ssh. Refused is one by its name.
var optionTries = map[string]struct {
	value   string
	refused bool
}{
	"hostname": {"192.0.2.9", false}, "port": {"77", false}, "user": {"somebody", false}, "addressfamily": {"inet6", false}, "bindaddress": {"127.0.0.2", false},
	"bindinterface": {"lo", false}, "connecttimeout": {"7", false}, "connectionattempts": {"4", false}, "tcpkeepalive": {"no", false}, "proxyjump": {"other", false},
	"proxycommand": {"nc %h %p", false}, "proxyusefdpass": {"yes\nProxyCommand nc %h %p", true}, "hostkeyalias": {"another", false},
	"hostkeyalgorithms": {"ssh-ed25519", false}, "casignaturealgorithms": {"ssh-ed25519", false}, "requiredrsasize": {"3072", false}, "revokedhostkeys": {"/r", false},
	"checkhostip": {"yes", false}, "userknownhostsfile": {"/k", false}, "globalknownhostsfile": {"none", false}, "ciphers": {"aes256-ctr", false},
	"kexalgorithms": {"curve25519-sha256", false}, "macs": {"hmac-sha2-512", false}, "rekeylimit": {"1000000", false}, "pubkeyauthentication": {"no", true},
	"preferredauthentications": {"password", true}, "pubkeyacceptedalgorithms": {"ssh-ed25519", false}, "identityfile": {"/id", false}, "certificatefile": {"/c", false},
	"identityagent": {"/a", false}, "identitiesonly": {"yes", false}, "pkcs11provider": {"/lib/p.so", false}, "batchmode": {"yes", false}, "numberofpasswordprompts": {"1", false},

	"knownhostscommand": {"/bin/true", false}, "stricthostkeychecking": {"no", false}, "verifyhostkeydns": {"yes", false}, "nohostauthenticationforlocalhost": {"yes", false},
	"hashknownhosts": {"yes", false}, "updatehostkeys": {"no", false}, "fingerprinthash": {"md5", false}, "visualhostkey": {"yes", false}, "compression": {"yes", false},
	"ipqos": {"ef", false}, "versionaddendum": {"x", false}, "securitykeyprovider": {"/s", false}, "addkeystoagent": {"yes", false}, "enablesshkeysign": {"yes", false},
	"hostbasedauthentication": {"yes", false}, "hostbasedacceptedalgorithms": {"ssh-ed25519", false}, "passwordauthentication": {"no", false},
	"kbdinteractiveauthentication": {"no", false}, "kbdinteractivedevices": {"pam", false}, "gssapiauthentication": {"yes", false}, "gssapiclientidentity": {"x", false},
	"gssapidelegatecredentials": {"yes", false}, "gssapikexalgorithms": {"gss-group14-sha256-", false}, "gssapikeyexchange": {"yes", false},
	"gssapirenewalforcesrekey": {"yes", false}, "gssapiserveridentity": {"x", false}, "gssapitrustdns": {"yes", false}, "requesttty": {"force", false},
	"sessiontype": {"none", false}, "remotecommand": {"x", false}, "stdinnull": {"yes", false}, "sendenv": {"LANG", false}, "setenv": {"A=b", false},
	"forkafterauthentication": {"yes", false}, "permitlocalcommand": {"yes", false}, "localcommand": {"false", false}, "escapechar": {"none", false},
	"enableescapecommandline": {"yes", false}, "obscurekeystroketiming": {"no", false}, "controlmaster": {"auto", false}, "controlpath": {"/tmp/%C", false},
	"controlpersist": {"yes", false}, "serveraliveinterval": {"3", false}, "serveralivecountmax": {"9", false}, "channeltimeout": {"session=1m", false},
	"clearallforwardings": {"yes", false}, "dynamicforward": {"9999", false}, "exitonforwardfailure": {"yes", false}, "forwardagent": {"yes", false},
	"forwardx11": {"yes", false}, "forwardx11timeout": {"7", false}, "forwardx11trusted": {"no", false}, "gatewayports": {"yes", false},
	"localforward": {"9999 localhost:1", false}, "permitremoteopen": {"none", false}, "remoteforward": {"9999 localhost:1", false}, "streamlocalbindmask": {"0111", false},
	"streamlocalbindunlink": {"yes", false}, "tunnel": {"yes", false}, "tunneldevice": {"1:1", false}, "xauthlocation": {"/x", false}, "loglevel": {"DEBUG", false},
	"logverbose": {"x", false}, "syslogfacility": {"LOCAL1", false}, "warnweakcrypto": {"no", false},
}

// What the table says of an option is true: one that is heeded changes what we do, or is refused by its name, with ssh and without; no
// other one changes anything.
func TestOptionsHeeded(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	bothWays(t, func(t *testing.T) {
		name := t.TempDir() + "/config"
		_, none := sshProgram()
		settings := func(line string) (*sshSettings, error) {
			return resolveTarget(t.Context(), "host", Options{Config: write(t, name, "# a file\n"+line)})
		}
		usual := judge.Value(settings(""))(t)
		for option, row := range optionTable {
			if row.use == answered {
				continue
			}
			try, ok := optionTries[option]
			if !ok {
				t.Errorf("%s: nothing to try", option)
				continue
			}
			got, err := settings(option + " " + try.value + "\n")
			if none == nil && err != nil && (strings.Contains(err.Error(), "Bad configuration option") || strings.Contains(err.Error(), "nsupported option")) {
				t.Logf("%s: this ssh does not know it", option)
				continue
			}
			var refused refusedOption
			switch {
			case none != nil && err != nil && !try.refused: // without ssh it may be too much; never passed over
				if row.use == unused || row.use == ourOwn || !strings.Contains(strings.ToLower(err.Error()), option) {
					t.Errorf("%s: %v", option, err)
				}
			case try.refused != errors.As(err, &refused) && (none == nil || err == nil):
				t.Errorf("%s %s: %v", option, try.value, err)
			case try.refused || none != nil && err != nil:
				if errors.As(err, &refused) && strings.ToLower(refused.name) != option {
					t.Errorf("%s: %v", option, err)
				}
			case err != nil:
				t.Errorf("%s %s: %v", option, try.value, err)
			default:
				if row.use == stricter { // the hint names it
					if !strings.Contains(strings.ToLower(got.stricter), option+" "+try.value) {
						t.Errorf("%s %s: the hint has %q", option, try.value, got.stricter)
					}
					got.stricter = ""
				}
				same := cmp.Equal(usual, got, cmp.AllowUnexported(sshSettings{}, agreedAlgorithms{}))
				if same == (row.use == heeded) {
					t.Errorf("%s %s: heeded %t, and changed something %t", option, try.value, row.use == heeded, !same)
				}
			}
		}
	})
}

// A list of algorithms that ssh makes of its own, with + and -, is ours but for what we do not have; its own is none that anybody set.
func TestAlgorithmLists(t *testing.T) {
	judge.Tool(t, "ssh")
	dir := t.TempDir()
	for _, c := range []struct {
		line string
		of   func(agreedAlgorithms) []string
		want []string // nil: ours
		said string
	}{
		{"", func(g agreedAlgorithms) []string {
			return slices.Concat(g.kex, g.ciphers, g.macs, g.hostKey, g.login, g.authority)
		}, nil, ""},
		{"Ciphers aes256-ctr,chacha20-poly1305@openssh.com", func(g agreedAlgorithms) []string { return g.ciphers }, []string{"aes256-ctr", "chacha20-poly1305@openssh.com"}, ""},
		{"Ciphers ^aes192-ctr", func(g agreedAlgorithms) []string { return g.ciphers[:1] }, []string{"aes192-ctr"}, ""},
		{"Ciphers -chacha20*,aes???-gcm*", func(g agreedAlgorithms) []string { return g.ciphers }, []string{"aes128-ctr", "aes192-ctr", "aes256-ctr"}, ""},
		{"MACs umac-64@openssh.com", func(g agreedAlgorithms) []string { return g.macs }, nil, "MACs umac-64@openssh.com, and groundhog has none of these"},
		{"KexAlgorithms +diffie-hellman-group14-sha1", func(g agreedAlgorithms) []string { return g.kex[len(g.kex)-1:] }, []string{"diffie-hellman-group14-sha1"}, ""},
		{"HostKeyAlgorithms ssh-rsa,sk-ssh-ed25519@openssh.com", func(g agreedAlgorithms) []string { return g.hostKey }, []string{"ssh-rsa"}, ""},
		{"PubkeyAcceptedAlgorithms sk-ssh-ed25519@openssh.com,rsa-sha2-256-cert-v01@openssh.com", func(g agreedAlgorithms) []string { return g.login },
			[]string{"sk-ssh-ed25519@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"}, ""},
	} {
		s, err := resolveTarget(t.Context(), "host", Options{Config: write(t, dir+"/config", c.line+"\n")})
		if err != nil {
			if c.said == "" || !strings.Contains(err.Error(), c.said) || errors.Is(err, ErrUnread) {
				t.Errorf("%s: %v", c.line, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, c.of(s.algorithms)); diff != "" || c.said != "" {
			t.Errorf("%s (-want +got):\n%s", c.line, diff)
		}
	}
}
