package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd/show"
)

func TestHello(t *testing.T) {
	tool, err := HearHello(NewReader(bytes.NewReader(sample(t))))
	if err != nil || tool != "groundhog 1.2" {
		t.Errorf("heard %q, %v", tool, err)
	}
	for _, name := range []string{"a\nb", "\x1b[2J", strings.Repeat("x", 65)} {
		var b bytes.Buffer
		if err := SayHello(NewWriter(&b), name); err == nil || b.Len() > 0 {
			t.Errorf("%q was said: %v", name, err)
		}
	}
}

// What a shell says in the writer's place reaches the user, and cannot write to the
// terminal.
func TestNoise(t *testing.T) {
	for _, noise := range []string{"sh: not found\n", "Welcome\x1b[2J to the lab of the century\n", "groundhog flask\n"} {
		_, err := HearHello(NewReader(strings.NewReader(noise)))
		if !errors.Is(err, ErrNoise) || show.ASCII(err.Error()) != err.Error() {
			t.Errorf("%q: %q", noise, err)
		}
	}
	if _, err := HearHello(NewReader(strings.NewReader(""))); err != io.EOF {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestAnotherVersion(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(preamble)
	judge.Must(t, NewWriter(&b).Write(Hello, []byte{0x7f, 2}, []byte("groundhog 9.0")))
	tool, err := HearHello(NewReader(&b))
	v, ok := errors.AsType[*VersionError](err)
	if !ok || v.Version != 0x7f02 || tool != "groundhog 9.0" || !strings.Contains(err.Error(), "groundhog 9.0") {
		t.Errorf("%q: %v", tool, err)
	}
}

// A hello whose frame is whole and whose content is not.
func TestBadHello(t *testing.T) {
	for name, c := range map[string]struct {
		kind    Type
		payload string
	}{
		"another type":  {2, "\x00\x01tool"},
		"no version":    {Hello, "\x01"},
		"empty":         {Hello, ""},
		"a control":     {Hello, "\x00\x01to\x1bol"},
		"a long name":   {Hello, "\x00\x01" + strings.Repeat("x", 65)},
		"a long binary": {Hello, strings.Repeat("\x00", 5000)},
	} {
		var b bytes.Buffer
		b.WriteString(preamble)
		judge.Must(t, NewWriter(&b).Write(c.kind, []byte(c.payload)))
		if _, err := HearHello(NewReader(&b)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
