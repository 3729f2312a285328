package device

import "testing"

// The port of an archive is taken where the target names none, and 22 changes nothing.
func TestOnPort(t *testing.T) {
	for _, c := range []struct {
		target string
		port   uint16
		want   string
	}{
		{"bench", 2222, "2222"}, {"root@bench", 2222, "2222"}, {"root@bench:40022", 2222, ""}, {"[fe80::1]:2200", 2222, ""}, {"fe80::1", 2222, "2222"},
		{"bench", 22, ""}, {"bench", 0, ""},
	} {
		if got := (Options{}).OnPort(c.target, c.port).Port; got != c.want {
			t.Errorf("%s, %d: %q, want %q", c.target, c.port, got, c.want)
		}
	}
}
