package device

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/link"
)

func TestResolve(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	if err := os.Mkdir(home+"/.ssh", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, home+"/.ssh/included", "Host inc\n Hostname 192.0.2.1\n")
	config := write(t, home+"/.ssh/config", `# what people write
Include `+home+`/.ssh/included
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
  HostName fe80::1%eth0
Host *
  IdentityAgent SSH_AUTH_SOCK
  ProxyJump none
  ProxyCommand none
  IdentityFile none
`)
	defaults := []string{home + "/.ssh/id_ed25519", home + "/.ssh/id_ecdsa", home + "/.ssh/id_rsa"}
	known := []string{home + "/.ssh/known_hosts", home + "/.ssh/known_hosts2"}
	global := []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	type result struct {
		Target     string
		Identities []string
		Known      []string
		Agent      string
	}
	for target, want := range map[string]result{
		"a":           {"me@a.example.org:2222", []string{home + "/my keys/id", home + "/.ssh/me@a.example.org"}, append([]string{home + "/known one", "/known/a"}, global...), ""},
		"you@a:4444":  {"you@a.example.org:4444", []string{home + "/my keys/id", home + "/.ssh/you@a.example.org"}, append([]string{home + "/known one", "/known/a"}, global...), ""},
		"x@b":         {"x@b:3333", defaults, append(known, global...), "/run/agent"},
		"x@c":         {"x@c:22", defaults, append(known, global...), "/run/agent"},
		"x@inc":       {"x@192.0.2.1:22", defaults, append(known, global...), "/run/agent"},
		"x@[::1]:222": {"x@[::1]:222", defaults, append(known, global...), "/run/agent"},
		"x@v6":        {"x@[fe80::1%eth0]:22", defaults, append(known, global...), "/run/agent"},
	} {
		for about, o := range map[string]Options{"the user's": {}, "named": {Config: config}} {
			s, err := resolve(target, o)
			if err != nil {
				t.Errorf("%s, %s: %v", target, about, err)
				continue
			}
			if diff := cmp.Diff(want, result{s.Target.String(), s.identities, s.knownHosts, s.agent}); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", target, about, diff)
			}
		}
	}
	s, err := resolve("a", Options{Config: config, User: "root", Port: "22"})
	if err != nil || s.Target.String() != "root@a.example.org:22" {
		t.Errorf("with a user and a port: %v, %v", s.Target, err)
	}
	if s, err = resolve("x@a", Options{Config: "none"}); err != nil || s.Target.String() != "x@a:22" || s.agent != "/run/agent" {
		t.Errorf("without a file: %+v, %v", s, err)
	}
}

// What is not understood is refused with what to do, rather than left out.
func TestResolveRefuses(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	write(t, home+"/included", "Match exec \"true\"\n User you\n")
	for about, c := range map[string]struct{ config, said, hint string }{
		"match exec":           {"Match exec \"true\"\n User you\n", "config", "--ssh-config none"},
		"match exec, included": {"Include " + home + "/included\n", "config", "--ssh-config none"},
		"proxy command":        {"Host *\n ProxyCommand nc %h %p\n", "ProxyCommand", "ProxyJump"},
		"host name":            {"HostName a;b\n", "no host", ""},
		"host name, option":    {"HostName -oProxyCommand=x\n", "no host", ""},
		"port":                 {"Port ssh\n", "port \"ssh\"", ""},
		"user":                 {"User a$(b)\n", "no user", ""},
	} {
		_, err := resolve("a", Options{Config: write(t, home+"/config", c.config)})
		if err == nil || !strings.Contains(err.Error(), c.said) || !strings.Contains(HintOf(err), c.hint) {
			t.Errorf("%s: %v (%s), want %q (%q)", about, err, HintOf(err), c.said, c.hint)
		}
	}
	if _, err := resolve("a", Options{Config: home + "/nothing"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file that was named: %v", err)
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
		"two":            {"Host device\n ProxyJump bench@" + a.addr + ",bench@" + b.addr + "\n", nil, ""},
		"two by name":    {"Host j1\n HostName " + host + "\n Port " + port + "\n ProxyJump bench@" + a.addr + "\nHost device\n ProxyJump j1\n", nil, ""},
		"in a circle":    {"Host device\n ProxyJump j1\nHost j1\n ProxyJump device\n", nil, "to lead back to itself"},
		"to itself":      {"Host device\n ProxyJump device\n", nil, "to lead back to itself"},
		"unknown key":    {"Host device\n UserKnownHostsFile " + known + "\n ProxyJump localhost:" + port + "\n", ErrHostKey, "jump host"},
		"nobody behind":  {"Host device\n Port 1\n ProxyJump bench@" + a.addr + "\n", nil, "from jump host bench@" + a.addr},
		"no jump at all": {"Host device\n ProxyJump none\n", nil, ""},
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

// A jump host that falls silent is the reason, not just a lost connection.
func TestProxyJumpSilent(t *testing.T) {
	a, b := startServer(t), startServer(t)
	l, err := link.New(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := strings.Cut(l.Addr(), ":")
	config := write(t, a.path("config"), "Host jump\n HostName "+host+"\n Port "+port+"\n HostKeyAlias jump\n User bench\n IdentityFile "+a.path("login")+
		"\n UserKnownHostsFile "+write(t, filepath.Join(a.dir, "known_jump"), "jump "+a.read(t, "host.pub"))+"\nHost * !jump\n ProxyJump jump\n")
	o := b.good()
	o.Config, o.Keepalive, o.Silence = config, 50*time.Millisecond, 500*time.Millisecond
	c, err := Dial(t.Context(), b.target(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.Cut()
	if _, err := c.Run(t.Context(), "sleep 60", nil); !errors.Is(err, ErrSilent) {
		t.Errorf("%v, want ErrSilent", err)
	}
}
