package device

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// fakeGetent puts a getent(1) in front of the machine's.
func fakeGetent(t *testing.T, script string) {
	t.Helper()
	bin := t.TempDir()
	judge.Must(t, judge.WriteProgram(filepath.Join(bin, "getent"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// A name's addresses are those of the C library, which ssh asks, and are tried in its order, one after the other.
func TestLookUp(t *testing.T) {
	s := startServer(t)
	_, port, _ := net.SplitHostPort(s.addr)
	second := judge.Value(net.Listen("tcp", "127.0.0.2:"+port))(t)
	defer second.Close()
	others := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := second.Accept()
			if err != nil {
				return
			}
			c.Close()
			others <- c
		}
	}()
	for about, c := range map[string]struct {
		getent string
		family string
		others int // connections to the other one
		said   string
	}{
		"the first one":       {"echo '127.0.0.1 STREAM device'; echo '127.0.0.1 DGRAM'; echo '127.0.0.2 STREAM'", "any", 0, ""},
		"the other way round": {"echo '127.0.0.2 STREAM device'; echo '127.0.0.1 STREAM'", "any", 1, "device.invalid"},
		"nobody at the first": {"echo '127.0.0.3 STREAM device'; echo '127.0.0.1 STREAM'", "any", 0, ""},
		"by its family":       {"test $2 = ahostsv4 && echo '127.0.0.1 STREAM'", "inet", 0, ""},
		"by the other family": {"test $2 = ahostsv6 && exit 2", "inet6", 0, "looking up device.invalid: no such host"},
		"of any":              {"test $2 = ahosts && test $3 = device.invalid && echo '127.0.0.1 STREAM'", "any", 0, ""},
		"an older one":        {"test $1 != -A && echo '127.0.0.1 STREAM'", "any", 0, ""},
		"no such name":        {"exit 2", "any", 0, "no such host"},
		"another getent":      {"echo 'unknown database' >&2; exit 1", "any", 0, "device.invalid"}, // Go's resolver, which does not find it, either: how it fails is the network's
		"it says nothing":     {"exec sleep 60", "any", 0, "no answer within 5s"},
	} {
		t.Run(about, func(t *testing.T) {
			fakeGetent(t, c.getent)
			seconds := "60"
			if c.said != "" { // name servers may not answer, either
				seconds = "5"
			}
			config := write(t, s.path("config"), "IdentityAgent none\nHostKeyAlias device\nConnectTimeout "+seconds+"\nAddressFamily "+c.family+"\n")
			o := Options{Config: config, Identities: []string{s.path("login")}, KnownHosts: []string{write(t, s.path("known_device"), "device "+s.read(t, "host.pub"))}}
			client, err := Dial(t.Context(), "bench@device.invalid:"+port, o)
			if err == nil {
				client.Close()
			}
			if (err == nil) != (c.said == "") || err != nil && (!errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.said)) {
				t.Errorf("%v, want %q", err, c.said)
			}
			for range c.others {
				select {
				case <-others:
				case <-time.After(10 * time.Second):
					t.Error("the other one was not reached")
				}
			}
			if len(others) > 0 {
				t.Error("the other one was reached, too")
			}
		})
	}
}

// Without getent, as on a Mac, Go's resolver is asked.
func TestLookUpWithoutGetent(t *testing.T) {
	withoutSSH(t)
	for network, of := range map[string]func(string) bool{"tcp": func(string) bool { return true }, "tcp4": func(s string) bool { return !strings.Contains(s, ":") }} {
		all, err := lookUp(t.Context(), "localhost", network, time.Minute)
		if err != nil || len(all) == 0 || !of(all[0].Unmap().String()) {
			t.Errorf("%s: %v, %v", network, all, err)
		}
	}
}
