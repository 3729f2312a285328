package debian

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// A line in which no mark stands matches none of what lines are looked through with, and loses nothing as harmless: of lines put
// together from the words and the halves of words that those match.
func TestMarks(t *testing.T) {
	words := append([]string{"nc", "netcat", "-l", "-e", "-x", "DROPBEAR_", "OPTIONS", "LD_", "PRELOAD", "AUDIT", "LIBRARY_PATH", "ld.so.", "preload", "authorized_", "keys", "etc/", "passwd",
		"shadow", "group", "shells", "nsswitch", "/dev/", "tcp/", "udp/", "readlink -f", "/sbin/", "drop", "bear", "/scripts/init-", "premount", "bottom", "/", `"$@"`, "!=", "]", "log_a_msg", "log_", "_msg", `"x"`, `"`,
		"groundhog_say", "groundhog_state", "groundhog", "_say", "-e", "/etc/", "rm -f", "~root/.ssh/", " # a", "#", ".", ". ", "fun", "ction", "in", "et", "d", "mount"}, serverPrograms...)
	r := rand.New(rand.NewPCG(1, 2))
	unmarked := 0
	for range 100_000 {
		var b strings.Builder
		for range 1 + r.IntN(6) {
			b.WriteString(words[r.IntN(len(words))] + []string{"", "", " "}[r.IntN(3)])
		}
		line := strings.TrimSpace(b.String())
		if isMarked(line) {
			continue
		}
		unmarked++
		if harmlessLine.MatchString(line) || serverWord.MatchString(line) || listens(line) != "" || steersDropbear.MatchString(line) {
			t.Fatalf("no mark in %q", line)
		}
	}
	for _, line := range []string{"export LD_PRELOAD=x", "ListenStream=22", ". /groundhog/patches.json", "cat >/dev/tcp/x", "x /root/.ssh/y"} {
		if namesIn(line) == nil {
			t.Errorf("no name in %q", line)
		}
	}
	if unmarked < 1000 {
		t.Errorf("only %d lines without a mark", unmarked)
	}
	for _, s := range serverPrograms {
		if !isMarked(s) {
			t.Errorf("no mark in %s", s)
		}
	}
}
