package debian

import (
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

func TestCalls(t *testing.T) {
	library := "log() { printf x; plymouth; }\nup() { ipconfig; log; udevadm settle; }\nunused() { never; }\ncommand -v udevadm || true\n[ -x /usr/bin/plymouth ]\n"
	for script, want := range map[string]string{
		"up":                            "ipconfig",
		"a=1 stat x; $b c; \"$d\"; e=2": "stat",
		"f() { cat; }; f":               "cat",
		"f() { cat; }":                  "",
		"if ! date; then x=$(readlink y | sed z); fi; for i in 1; do sleep 1; done": "date readlink sed sleep",
		"case x in y) rm z;; esac; { mkdir a && (mv b c); } || ln d e & wait":       "ln mkdir mv rm",
		"exec /sbin/dropbear -$flags":                                               "/sbin/dropbear",
		"command ip link; type less":                                                "ip",
		"command -v tool && tool x":                                                 "",
		"[ -x /sbin/opt ] && opt":                                                   "",
		"cat <<END\nnot a command\nEND":                                             "cat",
		"echo 'quoted; gone' \"$(stat y)\"":                                         "stat",
		"up() { own; }; up":                                                         "ipconfig own",
	} {
		c := judge.Value(ReadCalls("script", []byte(script)))(t)
		lib := judge.Value(ReadCalls("functions", []byte(library)))(t)
		if got := strings.Join(Reached(c.Main(), c, lib), " "); got != want {
			t.Errorf("%s: calls %q, want %q", script, got, want)
		}
	}
	if _, err := ReadCalls("x", []byte("if")); err == nil {
		t.Error("half a script passes")
	}
	c := judge.Value(ReadCalls("x", []byte("f() { a; g() { b; }; }; c")))(t)
	every := c.Every()
	if slices.Sort(every); strings.Join(every, " ") != "a b c" {
		t.Errorf("%q", every)
	}
}
