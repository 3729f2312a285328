package dropbear

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"groundhog/fixtures/judge"
)

func TestKnownHostsOrder(t *testing.T) {
	k := sample(t)
	want := ""
	for _, x := range k {
		want += "* " + publicLine(x.Public()) + "\n"
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0, 1}} {
		var keys []ssh.PublicKey
		for _, i := range order {
			keys = append(keys, k[i].Public())
		}
		got, err := KnownHosts(nil, keys...)
		if err != nil || string(got) != want {
			t.Errorf("in order %v: %v, %q; want %q", order, err, got, want)
		}
		if Fingerprint(keys[0]) != k[order[0]].Fingerprint() {
			t.Error("the caller's slice was sorted")
		}
	}
}

// golang.org/x/crypto takes our lines, and "*" for port 22 only, as documented.
func TestKnownHostsInGo(t *testing.T) {
	key := generate(t, "ed25519").Public()
	for _, c := range []struct {
		hosts []string
		addr  string
		found bool
	}{
		{nil, "bench:22", true}, {nil, "bench:2222", false}, {[]string{"[bench]:2222"}, "bench:2222", true},
		{[]string{"*", "!bench"}, "bench:22", false}, {[]string{"*", "!bench"}, "other:22", true},
	} {
		b := judge.Value(KnownHosts(c.hosts, key))(t)
		check := judge.Value(knownhosts.New(tempFile(t, b)))(t)
		if err := check(c.addr, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}, key); (err == nil) != c.found {
			t.Errorf("%q looked up as %s: %v", c.hosts, c.addr, err)
		}
	}
}

func TestKnownHostsRefuses(t *testing.T) {
	key := generate(t, "ed25519").Public()
	for _, h := range []string{
		"", "!", "a b", "a\nb", "a,b", "#a", "@revoked", "|1|x", "a:22", "[a]", "[a]:0", "[a]:022", "[a]:70000", "[]:22", "[a", "ä", "a\x00", "!a",
	} {
		if b, err := KnownHosts([]string{h}, key); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %q, %v", h, b, err)
		}
	}
	for _, keys := range [][]ssh.PublicKey{nil, {nil}, {key, nil}} {
		if b, err := KnownHosts(nil, keys...); err == nil {
			t.Errorf("keys %v: %q", keys, b)
		}
	}
}
