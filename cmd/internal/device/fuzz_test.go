package device

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

// fuzzKey is a key that no device has.
func fuzzKey(f *testing.F) ssh.PublicKey {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIObyvqpcIlzI/8Jxhl740lHpcSKwFJlVXljySWND2qiY"))
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// FuzzKnownHosts: a key that the file does not hold is never accepted, one that is revoked for all hosts neither, and nothing
// that is accepted depends on a line of another marker.
func FuzzKnownHosts(f *testing.F) {
	key := fuzzKey(f)
	b64 := strings.Fields(line(key))[1]
	f.Add("bench-1 ssh-ed25519 "+b64+"\n", "bench-1", "22")
	f.Add("@revoked * ssh-ed25519 "+b64+"\n* ssh-ed25519 "+b64+"\n", "bench-1", "2222")
	f.Add("!bench-1,* ssh-ed25519 "+b64+"\n", "bench-1", "22")
	f.Add("@cert-authority * ssh-ed25519 "+b64+"\n", "bench-1", "22")
	f.Add("|1|AAAA|BBBB ssh-ed25519 "+b64+"\n", "bench-1", "22")
	f.Add("[bench-?]:2222,x ssh-ed25519 "+b64+" comment\n@foo * ssh-ed25519 "+b64+"\n", "BENCH-1", "2222")
	name := filepath.Join(f.TempDir(), "known")
	f.Fuzz(func(t *testing.T, text, host, port string) {
		if !validHost(host) || !validPort(port) || len(text) > 1<<14 {
			return
		}
		os.WriteFile(name, []byte(text), 0o600)
		s := &sshSettings{Target: Target{"root", host, port}, alias: host}
		v, err := s.knownHostsVerdict([]string{name}, true)
		if err != nil {
			t.Fatalf("%q: %v", text, err) // a bad line is left out
		}
		accepted := v.check(key, nil) == nil
		good, revoked := false, false
		for text := range strings.Lines(text) {
			l, some, err := parseKnownLine(text)
			if err != nil || !some || !sameKey(l.key, key) {
				continue
			}
			good = good || l.marker == ""
			revoked = revoked || l.marker == "@revoked" && l.hosts == "*"
			if !strings.Contains(text, b64) {
				t.Fatalf("%q is taken for the key", text)
			}
		}
		if accepted && (!good || revoked) {
			t.Fatalf("accepted (held %v, revoked %v): %q", good, revoked, text)
		}
	})
}

// FuzzConfigAlone: read without ssh, no configuration makes a panic, a hang, a command, or a host that a shell could misread.
func FuzzConfigAlone(f *testing.F) {
	f.Add("Host *\n HostName %h.example\n Port 2222\n User me\n IdentityFile ~/.ssh/%h\n ProxyJump a,b\n UserKnownHostsFile \"/a b\" c\n")
	f.Add("Match exec \"touch pwned\"\n Port 1\n")
	f.Add("Host *\n ProxyCommand touch pwned\n")
	f.Add("Include none*\nHost b*\n HostName -oProxyCommand=x\n")
	f.Add("Host bench-1 !*\n HostKeyAlias=x\n\tPort = \"22\"\n")
	f.Add("IdentityFile ${HOME}/%%/%d\nHost ********************************************a\n")
	me := judge.Value(whoAmI())(f)
	name := filepath.Join(f.TempDir(), "config")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") || len(text) > 1<<14 {
			return // not this machine's files
		}
		os.WriteFile(name, []byte(text), 0o600)
		began := time.Now()
		a, err := readConfig(Target{"root", "bench-1", ""}, name, me)
		if time.Since(began) > 20*time.Second {
			t.Fatal("slow")
		}
		if err != nil {
			return
		}
		for line := range strings.Lines(strings.ToLower(text)) {
			if words := strings.Fields(line); len(words) > 0 && words[0] == "match" {
				t.Fatalf("Match was taken: %q", text)
			}
		}
		s := &sshSettings{alias: "bench-1", Target: Target{a.firstValue("user"), a.firstValue("hostname"), a.firstValue("port")}}
		if s.takeValues(a, me) != nil {
			return
		}
		if !validHost(s.Host) || !validPort(s.Port) || s.User != "root" || s.proxy != "" {
			t.Fatalf("%+v", s)
		}
	})
}

// FuzzAnswers: whatever ssh -G seems to say, what comes of it is a host, a port and a user.
func FuzzAnswers(f *testing.F) {
	f.Add("hostname a\nuser root\nport 22\nidentityfile ~/.ssh/x\nuserknownhostsfile /a b /c\nproxycommand nc %h %p\n")
	f.Add("hostname a\nhostname b\nuser root\nport 22\nproxyjump x\nhostkeyalias none\nconnecttimeout 99999999999\n")
	me := judge.Value(whoAmI())(f)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAnswers([]byte(text))
		if err != nil {
			return
		}
		s := &sshSettings{alias: "bench-1", Target: Target{a.firstValue("user"), a.firstValue("hostname"), a.firstValue("port")}}
		if s.takeValues(a, me) == nil && (!validHost(s.Host) || !validPort(s.Port) || !validUser(s.User) || s.connectTimeout < 0) {
			t.Fatalf("%+v", s)
		}
	})
}

// FuzzRecord: a record that is taken has nothing in it that push does not write.
func FuzzRecord(f *testing.F) {
	b := judge.Value(json.Marshal(sample("bench")))(f)
	f.Add(b)
	f.Add([]byte(`{"schema":1,"host":"a","port":"22","user":"root","boot_id":"` + boot1 + `","disk":{"path":"/dev/vda","size":-1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := new(Record)
		if json.Unmarshal(b, r) != nil || r.checkRecord() != nil {
			return
		}
		if !validHost(r.Host) || !validPort(r.Port) || !validUser(r.User) || r.Disk.Size < 0 || strings.ContainsAny(r.Archive.Build, "\n/\x1b") {
			t.Fatalf("%+v", r)
		}
		if r.Disk.Path != "" && !strings.HasPrefix(r.Disk.Path, "/dev/") {
			t.Fatalf("%+v", r.Disk)
		}
	})
}

// FuzzWho: what a device says of itself is bounded and printable, or left out.
func FuzzWho(f *testing.F) {
	f.Add("machine 0123456789abcdef0123456789abcdef\nboard 10000000abcd1234\nmac 52:54:00:12:34:56\nend ok\n")
	f.Add("board \x1b[2J\nmac zz\nend ok")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := parseWho(text)
		if err != nil {
			return
		}
		if len(w.Board) > 64 || len(w.MACs) > 64 || len(w.Machine) > 32 {
			t.Fatalf("%+v", w)
		}
		for _, s := range append(w.MACs, w.Board, w.Machine) {
			if strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz.:_-") != "" {
				t.Fatalf("%q", s)
			}
		}
		if w.Differs(w) != nil {
			t.Fatalf("%+v is not itself", w)
		}
	})
}
