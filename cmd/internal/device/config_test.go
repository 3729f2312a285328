package device

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/link"
)

// withoutSSH takes ssh away, as on a machine that has none.
func withoutSSH(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", t.TempDir())
}

// bothWays runs a test with ssh, and without it.
func bothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("ssh", func(t *testing.T) {
		judge.Tool(t, "ssh")
		test(t)
	})
	t.Run("no ssh", func(t *testing.T) {
		withoutSSH(t)
		test(t)
	})
}

func TestResolve(t *testing.T) {
	me := judge.Value(whoAmI())(t)
	dir, home := t.TempDir(), me.home
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	write(t, dir+"/included", "Host inc\n Hostname 192.0.2.1\n")
	config := write(t, dir+"/config", `# what people write
Include `+dir+`/included
HOST a
  hostname %h.example.org
  port=2222
  User = me
  IdentityFile "~/my keys/id"
  IdentityFile %d/.ssh/%r@%h
  UserKnownHostsFile "~/known one" /known/%n
  IdentityAgent none
Host a b !c
  Port 3333
Host v6
  HostName fe80::1%%eth0
Host *
  IdentityAgent SSH_AUTH_SOCK
  ProxyJump none
  ProxyCommand none
`)
	var defaults []string
	for _, kind := range []string{"rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"} {
		defaults = append(defaults, home+"/.ssh/id_"+kind)
	}
	known := []string{home + "/.ssh/known_hosts", home + "/.ssh/known_hosts2"}
	global := []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	type result struct {
		Target     string
		Identities []string
		Known      []string
		Agent      string
	}
	cases := map[string]result{
		"a":           {"me@a.example.org:2222", []string{home + "/my keys/id", home + "/.ssh/me@a.example.org"}, append([]string{home + "/known one", "/known/a"}, global...), ""},
		"you@a:4444":  {"you@a.example.org:4444", []string{home + "/my keys/id", home + "/.ssh/you@a.example.org"}, append([]string{home + "/known one", "/known/a"}, global...), ""},
		"x@b":         {"x@b:3333", defaults, append(known, global...), "/run/agent"},
		"x@c":         {"x@c:22", defaults, append(known, global...), "/run/agent"},
		"x@inc":       {"x@192.0.2.1:22", defaults, append(known, global...), "/run/agent"},
		"x@[::1]:222": {"x@[::1]:222", defaults, append(known, global...), "/run/agent"},
		"x@v6":        {"x@[fe80::1%eth0]:22", defaults, append(known, global...), "/run/agent"},
	}
	bothWays(t, func(t *testing.T) {
		for target, want := range cases {
			s, err := resolveTarget(t.Context(), target, Options{Config: config})
			if err != nil {
				t.Errorf("%s: %v", target, err)
				continue
			}
			s.identities = slices.DeleteFunc(s.identities, func(f string) bool { // which ssh goes on with
				return f == home+"/.ssh/id_xmss" || f == home+"/.ssh/id_dsa"
			})
			if diff := cmp.Diff(want, result{s.Target.String(), s.identities, s.knownHosts, s.agent}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", target, diff)
			}
		}
		s, err := resolveTarget(t.Context(), "a", Options{Config: config, User: "root", Port: "22"})
		if err != nil || s.Target.String() != "root@a.example.org:22" {
			t.Errorf("with a user and a port: %v, %v", s.Target, err)
		}
		for _, none := range []string{"none", "/dev/null"} {
			if s, err = resolveTarget(t.Context(), "x@a", Options{Config: none}); err != nil || s.Target.String() != "x@a:22" || s.agent != "/run/agent" || CheckFiles(none, nil) != nil {
				t.Errorf("without a file, as %s: %+v, %v", none, s, err)
			}
		}
	})
}

// What is not understood is refused with what to do, rather than left out.
func TestResolveRefuses(t *testing.T) {
	dir := t.TempDir()
	cases := map[string]struct {
		config string
		said   [2]string // with ssh, without it; "": taken
	}{
		"match exec":           {"Match exec \"true\"\n User you\n", [2]string{"", "line 1: match is not understood"}},
		"match host exec":      {"User me\nMatch host a exec \"false\"\n User you\n", [2]string{"", "line 2: match"}},
		"match exec, included": {"Include " + dir + "/included\n", [2]string{"", dir + "/included, line 1"}},
		"proxy command":        {"Host *\n ProxyCommand nc %h %p\n", [2]string{"", "proxycommand"}},
		"unknown":              {"Host *\n Foo bar\n", [2]string{"line 2: Bad configuration option: foo", "line 2: foo"}},
		"unknown, elsewhere":   {"Host nobody\n Foo bar\n", [2]string{"line 2: Bad configuration option: foo", "line 2: foo"}},
		"a quote is open":      {"User \"me\n", [2]string{"line 1", "line 1"}},
		"a comment behind":     {"User me # really\n", [2]string{"", "line 1: a comment"}},
		"escaped":              {"User \\m\\e\n", [2]string{"", "line 1"}},
		"canonicalisation":     {"CanonicalizeHostname yes\n", [2]string{"", "canonicalizehostname"}},
		"host name":            {"HostName a;b\n", [2]string{"no host", "no host"}},
		"host name, option":    {"HostName -oProxyCommand=x\n", [2]string{"no host", "no host"}},
		"port":                 {"Port nothing\n", [2]string{"line 1", "port \"nothing\""}},
		"user":                 {"User a$(b)\n", [2]string{"no user", "user"}},
		"no variable":          {"IdentityFile ${GROUNDHOG_NOT_SET}/id\n", [2]string{"GROUNDHOG_NOT_SET", "GROUNDHOG_NOT_SET"}},
		"no token":             {"IdentityFile /%z\n", [2]string{"%z", "%z"}},
	}
	write(t, dir+"/included", "Match exec \"true\"\n User you\n")
	bothWays(t, func(t *testing.T) {
		way := 0
		if strings.HasSuffix(t.Name(), "no_ssh") {
			way = 1
		}
		for about, c := range cases {
			name := write(t, dir+"/config", c.config)
			_, err := resolveTarget(t.Context(), "a", Options{Config: name})
			switch said := c.said[way]; {
			case said == "" && err != nil, said != "" && (err == nil || !strings.Contains(err.Error(), said)):
				t.Errorf("%s: %v, want %q", about, err, said)
			case said != "" && strings.Contains(said, "line") && !strings.Contains(err.Error(), dir):
				t.Errorf("%s: %v: does not name the file", about, err)
			}
		}
		if _, err := resolveTarget(t.Context(), "a", Options{Config: dir + "/nothing"}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a missing file that was named: %v", err)
		}
	})
}

// The configuration that made groundhog write to another device than ssh reaches: the words after "Match host NAME" were taken for
// host patterns.
func TestMatchIsNoHost(t *testing.T) {
	config := write(t, t.TempDir()+"/config", "Match host bench-1 exec \"false\"\n  Port 1\nHost bench-1\n  HostName 127.0.0.1\n  Port 2222\n")
	bothWays(t, func(t *testing.T) {
		s, err := resolveTarget(t.Context(), "root@bench-1", Options{Config: config})
		if _, alone := sshProgram(); alone != nil {
			if err == nil || !strings.Contains(err.Error(), config+", line 1: match is not understood") {
				t.Errorf("%+v, %v", s, err)
			}
		} else if err != nil || s.Target.String() != "root@127.0.0.1:2222" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// A configuration's commands run only where nobody else could have written them.
func TestConfigOfStrangers(t *testing.T) {
	dir := t.TempDir()
	ran := dir + "/ran"
	config := write(t, dir+"/config", "Match exec \"touch "+ran+"\"\n Port 1\nHost *\n ProxyCommand touch "+ran+"\n")
	link := dir + "/link"
	for about, c := range map[string]struct {
		mode  os.FileMode
		owner int
		link  int
	}{
		"others write to it":      {0o602, 0, 0},
		"a group writes to it":    {0o620, 0, 0},
		"a stranger's":            {0o600, 1234, 0},
		"by a link of a stranger": {0o600, 0, 1234},
	} {
		if c.owner+c.link != 0 && os.Geteuid() != 0 {
			continue // only root can give files away
		}
		os.Remove(link)
		err := errors.Join(os.Symlink(config, link), os.Chmod(config, c.mode))
		if os.Geteuid() == 0 {
			err = errors.Join(err, os.Chown(config, c.owner, 0), os.Lchown(link, c.link, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
		bothWays(t, func(t *testing.T) {
			client, err := Dial(t.Context(), "a", Options{Config: link})
			if err == nil {
				client.Close()
			}
			if !errors.Is(err, sidefile.ErrStranger) || hint.Of(err) == "" {
				t.Errorf("%s: %v", about, err)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Errorf("%s: its command ran", about)
			}
		})
	}
}

// Each hop has its own key and name; the device behind is known by its own.
func TestProxyJump(t *testing.T) {
	a, b := startServer(t), startServer(t)
	known := write(t, a.path("known_both"), a.read(t, "known_hosts")+b.read(t, "known_hosts"))
	common := "Host *\n IdentityFile " + a.path("login") + "\n IdentityFile " + b.path("login") + "\n User bench\n UserKnownHostsFile " + known + "\n"
	host, port, _ := strings.Cut(b.addr, ":")
	device := "Host device\n HostName " + host + "\n Port " + port + "\n"
	for about, c := range map[string]struct {
		config string
		err    error
		said   string
	}{
		"one":            {"Host device\n ProxyJump bench@" + a.addr + "\n", nil, ""},
		"uri":            {"Host device\n ProxyJump ssh://bench@" + a.addr + "\n", nil, ""},
		"two":            {"Host device\n ProxyJump bench@" + a.addr + ",bench@" + a.addr + "\n", nil, ""},
		"two by name":    {"Host j1\n HostName " + host + "\n Port " + port + "\n ProxyJump bench@" + a.addr + "\nHost device\n ProxyJump j1\n", nil, ""},
		"in a circle":    {"Host device\n ProxyJump j1\nHost j1\n ProxyJump device\n", nil, "to lead back to itself"},
		"to itself":      {"Host device\n ProxyJump device\n", nil, "to lead back to itself"},
		"unknown key":    {"Host device\n UserKnownHostsFile " + known + "\n ProxyJump localhost:" + port + "\n", ErrHostKey, "jump host"},
		"nobody behind":  {"Host device\n Port 1\n ProxyJump bench@" + a.addr + "\n", nil, "from jump host bench@" + a.addr},
		"no jump at all": {"Host device\n ProxyJump none\n", nil, ""},
		"tokens":         {"Host device\n ProxyJump j-%n\nHost j-%n\n Port 1\nHost j-device\n HostName " + host + "\n Port " + port + "\n ProxyJump %r@" + a.addr + "\n", nil, ""},
		"in all of them": {"Host device\n ProxyJump j-%n,100%%\nHost j-device\n HostName " + host + "\n Port " + port + "\nHost 100%\n HostName " + host + "\n Port " + port + "\n", nil, ""},
		"no such token":  {"Host device\n ProxyJump j-%u\n", nil, "ProxyJump: \"j-%u\": %u is not supported"},
	} {
		o := Options{Config: write(t, a.path("config"), c.config+device+common)}
		client, err := Dial(t.Context(), "device", o)
		if err == nil {
			out, rerr := client.Output(t.Context(), "echo it works")
			if out != "it works\n" {
				t.Errorf("%s: %q, %v", about, out, rerr)
			}
			client.Close()
		}
		if (err != nil) != (c.said != "") || err != nil && !strings.Contains(err.Error(), c.said) || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %q", about, err, c.said)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d characters: %v", about, len(err.Error()), err)
		}
	}
}

// The key that the command line names is the device's, and is not offered to a jump host; nor does ssh.
func TestIdentityBehindJumpHost(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	jump, b := startServer(t), startServer(t)
	key := b.path("login")
	host, port, _ := strings.Cut(b.addr, ":")
	text := "Host device\n HostName " + host + "\n Port " + port + "\n ProxyJump bench@" + jump.addr + "\nHost *\n User bench\n UserKnownHostsFile " +
		write(t, jump.path("known_both"), jump.read(t, "known_hosts")+b.read(t, "known_hosts")) + "\n"
	login := "Match host 127.0.0.1 !originalhost device\n IdentityFile " + jump.path("login") + "\n"
	offered := func() bool {
		tried, _ := os.ReadFile(jump.path("tried"))
		judge.Must(t, os.Remove(jump.path("tried")))
		return strings.Contains(string(tried), strings.Fields(b.read(t, "login.pub"))[1])
	}
	o := Options{Config: write(t, jump.path("config"), login+text), Identities: []string{key}}
	c := judge.Value(Dial(t.Context(), "device", o))(t)
	c.Close()
	if offered() {
		t.Error("it was offered to the jump host")
	}
	judge.Run(t, exec.Command(judge.Tool(t, "ssh"), "-F", o.Config, "-i", key, "-o", "BatchMode=yes", "device", "true"))
	if offered() {
		t.Error("ssh offers it to the jump host")
	}
	write(t, jump.path("authorized"), b.read(t, "login.pub"))
	if _, err := Dial(t.Context(), "device", o); !errors.Is(err, ErrAuth) || !strings.Contains(hint.Of(err), "which -i does not") {
		t.Errorf("%v, %q", err, hint.Of(err))
	}
}

// A jump host that forbids to go on by it is not worth another try, unlike one from which nobody is reached.
func TestProxyJumpForbidden(t *testing.T) {
	a := startServer(t)
	o := Options{Config: write(t, a.path("config"), "Host device\n HostName 127.0.0.1\n Port 1\n ProxyJump bench@"+a.addr+"\nHost *\n IdentityFile "+a.path("login")+"\n UserKnownHostsFile "+a.path("known_hosts")+"\n")}
	for _, forbids := range []bool{false, true} {
		a.forbids.Store(forbids)
		_, err := Dial(t.Context(), "device", o)
		if err == nil || !strings.Contains(err.Error(), "from jump host") || errors.Is(err, ErrUnreachable) == forbids || (hint.Of(err) != "") != forbids {
			t.Errorf("forbids %v: %v", forbids, err)
		}
	}
}

// A jump host that falls silent is the reason, not just a lost connection.
func TestProxyJumpSilent(t *testing.T) {
	a, b := startServer(t), startServer(t)
	l := judge.Value(link.New(a.addr))(t)
	defer l.Close()
	host, port, _ := strings.Cut(l.Addr(), ":")
	config := write(t, a.path("config"), "Host jump\n HostName "+host+"\n Port "+port+"\n HostKeyAlias jump\n User bench\n IdentityFile "+a.path("login")+
		"\n UserKnownHostsFile "+write(t, filepath.Join(a.dir, "known_jump"), "jump "+a.read(t, "host.pub"))+"\nHost * !jump\n ProxyJump jump\n")
	o := b.good()
	o.Config, o.Keepalive, o.Silence = config, 100*time.Millisecond, 3*time.Second // which no dial on a loaded machine takes
	c := judge.Value(Dial(t.Context(), b.target(), o))(t)
	defer c.Close()
	l.Cut()
	if _, err := c.Run(t.Context(), "sleep 60", nil); !errors.Is(err, ErrSilent) {
		t.Errorf("%v, want ErrSilent", err)
	}
}

// Where ssh(1) does not work for a user without a name, as in a container that runs by number, the files are read as where there is no ssh.
func TestUserWithoutName(t *testing.T) {
	bin := t.TempDir()
	judge.Must(t, judge.WriteProgram(bin+"/ssh", []byte("#!/bin/sh\necho 'No user exists for uid 54321' >&2\nexit 255\n"), 0o755))
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	config := write(t, t.TempDir()+"/config", "Host a\n HostName 192.0.2.1\n")
	s, err := resolveTarget(t.Context(), "me@a", Options{Config: config})
	if err != nil || s.Target.String() != "me@192.0.2.1:22" {
		t.Errorf("%+v, %v", s, err)
	}
}

// Of a jump host ssh is asked as it calls itself there, which Match sessiontype and Match command of OpenSSH 10 look at.
func TestAskedOfJumpHost(t *testing.T) {
	a, b := startServer(t), startServer(t)
	write(t, b.path("authorized"), a.read(t, "login.pub"))
	real, bin := judge.Tool(t, "ssh"), t.TempDir()
	judge.Must(t, judge.WriteProgram(bin+"/ssh", []byte("#!/bin/sh\necho \"$@\" >>"+bin+"/asked\nexec "+real+" \"$@\"\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	config := write(t, a.path("config"), "Host *\n IdentityAgent none\n IdentityFile "+a.path("login")+"\n UserKnownHostsFile "+write(t, a.path("known_both"), a.read(t, "known_hosts")+b.read(t, "known_hosts"))+
		"\nHost 127.0.0.1\n User bench\n"+strings.Replace("Match originalhost device\n HostName H\n Port P\n User bench\n ProxyJump "+a.addr+"\n", "H\n Port P", strings.Replace(b.addr, ":", "\n Port ", 1), 1))
	c := judge.Value(Dial(t.Context(), "device", Options{Config: config}))(t)
	c.Close()
	var asked []string
	for line := range strings.Lines(string(judge.ReadFile(t, bin+"/asked"))) {
		if !strings.Contains(line, "-F none") { // what it says without a configuration
			asked = append(asked, strings.TrimSpace(line[strings.Index(line, "-F"):]))
		}
	}
	_, port, _ := strings.Cut(a.addr, ":")
	if want := []string{"-F /dev/stdin -- device true", "-F /dev/stdin -p " + port + " -W localhost:22 -- 127.0.0.1"}; !slices.Equal(asked, want) {
		t.Errorf("%q, want %q", asked, want)
	}
}
