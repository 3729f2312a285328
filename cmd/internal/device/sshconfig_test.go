package device

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// seedOf is where generated tests begin: at 1, or where GROUNDHOG_SEED says, for one that has failed.
func seedOf(t *testing.T) (from uint64, one bool) {
	if s := os.Getenv("GROUNDHOG_SEED"); s != "" {
		n := judge.Value(strconv.ParseUint(s, 10, 64))(t)
		return n, true
	}
	return 1, false
}

// told is what ssh -G says to somebody who has typed this.
func told(t *testing.T, args ...string) (map[string][]string, error) {
	t.Helper()
	cmd := exec.Command(judge.Tool(t, "ssh"), append([]string{"-G"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &said)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		all[k] = append(all[k], v)
	}
	return all, nil
}

// reached is what decides who is reached, and how.
type reached struct {
	Target, Alias, Jump, Proxy, Bind, Network, Agent, Revoked string
	Only                                                      bool
	Known                                                     string // files with blanks between them
	Keys, Certificates                                        []string
	Seconds                                                   int
}

func (s *sshSettings) reached() reached {
	return reached{s.Target.String(), s.hostKeyAlias, s.jump, s.proxy, s.bind, s.network, s.agent, strings.Join(s.revoked, " "), s.identitiesOnly,
		strings.Join(s.knownHosts, " "), s.identities, s.certificates, int(s.connectTimeout.Seconds())}
}

// byHand reads the answer of ssh -G as a person would. Where ssh leaves tokens in, it is asked what they mean: in
// UserKnownHostsFile it replaces the same ones.
func byHand(t *testing.T, args []string) (reached, error) {
	a, err := told(t, args...)
	if err != nil {
		return reached{}, err
	}
	one := func(k string) string {
		if len(a[k]) == 0 || a[k][0] == "none" {
			return ""
		}
		return a[k][0]
	}
	means := func(names []string) (all []string) {
		for _, f := range names {
			if f == "none" {
				continue
			}
			b, err := told(t, append([]string{"-o", `UserKnownHostsFile="` + f + `"`}, args...)...)
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			all = append(all, b["userknownhostsfile"][0])
		}
		return all
	}
	r := reached{Target: Target{one("user"), one("hostname"), one("port")}.String(), Alias: one("hostkeyalias"), Jump: one("proxyjump"),
		Bind: one("bindaddress"), Revoked: one("revokedhostkeys"), Only: one("identitiesonly") == "yes",
		Keys: means(a["identityfile"]), Certificates: means(a["certificatefile"])}
	r.Network = map[string]string{"any": "tcp", "inet": "tcp4", "inet6": "tcp6"}[one("addressfamily")]
	r.Known = strings.TrimSpace(one("userknownhostsfile") + " " + one("globalknownhostsfile"))
	r.Seconds, _ = strconv.Atoi(one("connecttimeout"))
	r.Agent = os.Getenv("SSH_AUTH_SOCK")
	if v := a["identityagent"]; len(v) > 0 {
		switch r.Agent = v[0]; r.Agent {
		case "none":
			r.Agent = ""
		case "SSH_AUTH_SOCK":
			r.Agent = os.Getenv("SSH_AUTH_SOCK")
		case "$GROUNDHOG_TEST":
			r.Agent = os.Getenv("GROUNDHOG_TEST")
		}
	}
	if c := one("proxycommand"); c != "" && r.Jump == "" {
		alias := r.Alias
		if alias == "" {
			alias = args[len(args)-1]
		}
		r.Proxy = strings.NewReplacer("%%", "%", "%h", one("hostname"), "%p", one("port"), "%r", one("user"), "%n", args[len(args)-1], "%k", alias).Replace(c)
	}
	return r, nil
}

// Of generated configurations, each for a generated target, we make what ssh makes of it; without ssh the same, or nothing.
func TestConfigurationsAsSSH(t *testing.T) { configurationsAsSSH(t, 15) }

func configurationsAsSSH(t *testing.T, tries int) {
	judge.Tool(t, "ssh")
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	t.Setenv("GROUNDHOG_TEST", "/run/it")
	me := judge.Value(whoAmI())(t)
	from, one := seedOf(t)
	understood, refused, invalid := 0, 0, 0
	for seed := from; seed < from+uint64(tries) && (!one || seed == from); seed++ {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 14)), dir: t.TempDir(), plain: seed%3 == 0}
		text := g.text(t, 0)
		name := write(t, g.dir+"/config", text)
		host, args, target, o := g.pick(names...), []string{"-F", name}, "", Options{Config: name}
		target = host
		if g.some(3) {
			user := g.pick(users...)
			target, args = user+"@"+host, append(args, "-l", user)
		} else if g.some(3) {
			o.User = "root"
			args = append(args, "-l", "root")
		}
		if g.some(4) {
			target, args = target+":2022", append(args, "-p", "2022")
		}
		about := fmt.Sprintf("GROUNDHOG_SEED=%d, %s of\n%s", seed, target, text)
		want, wantErr := byHand(t, append(args, host))
		s, err := resolveTarget(t.Context(), target, o)
		if wantErr != nil {
			if invalid++; err == nil {
				t.Errorf("%s\ntaken; ssh says %v", about, wantErr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s\nrefused: %v", about, err)
			continue
		}
		if diff := cmp.Diff(want, s.reached()); diff != "" {
			t.Errorf("%s\n(-ssh +groundhog):\n%s", about, diff)
		}
		asked := Target{User: strings.TrimSuffix(strings.TrimSuffix(target, ":2022"), host), Host: host}
		asked.User = strings.TrimSuffix(asked.User, "@")
		if o.User != "" {
			asked.User = o.User
		}
		if strings.HasSuffix(target, ":2022") {
			asked.Port = "2022"
		}
		a, err := readConfig(asked, name, me)
		alone := &sshSettings{alias: host}
		if err == nil {
			alone.Target = Target{a.firstValue("user"), a.firstValue("hostname"), a.firstValue("port")}
			err = alone.takeValues(a, me)
		}
		if err != nil {
			refused++
			continue
		}
		understood++
		got := alone.reached()
		if len(a["identityfile"]) == 5 { // the defaults: ssh goes on with kinds of keys that we do not use
			want.Keys = slices.DeleteFunc(want.Keys, func(f string) bool { return strings.HasSuffix(f, "/id_xmss") || strings.HasSuffix(f, "/id_dsa") })
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\nwithout ssh (-ssh +groundhog):\n%s", about, diff)
		}
	}
	t.Logf("seeds from %d: without ssh %d understood, %d refused; ssh itself refuses %d", from, understood, refused, invalid)
	if !one && (understood < tries/5 || refused < tries/10 || invalid > tries*3/10) {
		t.Errorf("this shows little: %d understood, %d refused, %d refused by ssh", understood, refused, invalid)
	}
}

// A name that ssh makes canonical, and what it then reads once more, are what ssh says.
func TestCanonicalAsSSH(t *testing.T) {
	judge.Tool(t, "ssh")
	t.Setenv("SSH_AUTH_SOCK", "")
	name := write(t, t.TempDir()+"/config", `CanonicalizeHostname yes
CanonicalDomains groundhog.invalid
Match canonical host localhost*
  Port 77
Match canonical host *
  User me
Match final host *
  Port 78
`)
	for _, host := range []string{"localhost", "box", "localhost.groundhog.invalid", "127.0.0.1"} {
		want := judge.Value(byHand(t, []string{"-F", name, host}))(t)
		s := judge.Value(resolveTarget(t.Context(), host, Options{Config: name}))(t)
		if diff := cmp.Diff(want, s.reached()); diff != "" || s.User != "me" {
			t.Errorf("%s (-ssh +groundhog):\n%s", host, diff)
		}
	}
}
