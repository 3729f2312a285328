package show

import (
	"math"
	"strings"
	"testing"
)

// An error about a name without end keeps what it is about and why.
func TestLine(t *testing.T) {
	if got := Line("reading " + strings.Repeat("\x1b", 1<<20) + ": no"); len(got) > 7*maxLine || !strings.HasPrefix(got, `reading \u001b`) || !strings.HasSuffix(got, ": no") || !strings.Contains(got, "[1008.0 KiB more]") {
		t.Errorf("%d bytes: %.60q ... %s", len(got), got, got[len(got)-60:])
	}
	if got := Line("reading x: no\n"); got != `reading x: no\u000a` {
		t.Errorf("%q", got)
	}
}

func TestShow(t *testing.T) {
	for got, want := range map[string]string{
		Printable("a\tb\n\x1b[31m\u202e\u00e9"): `a` + "\t" + `b\u000a\u001b[31m\u202eé`,
		Printable("\U000e0001 \ue0001"):         `\U000e0001 \ue0001`,
		Printable("plain"):                      "plain",
		Printable("a\xffb"):                     `a\xffb`,
		ASCII("a~\té\xff\x1b"):                  "a~????",
		OrNone(""):                              "none",
		OrNone("\x07"):                          `\u0007`,
		Bytes(0):                                "0 B",
		Bytes(1023):                             "1023 B",
		Bytes(1 << 10):                          "1.0 KiB",
		Bytes(1<<20 - 1):                        "1.0 MiB",
		Bytes(-3 << 20):                         "-3.0 MiB",
		Bytes(math.MaxInt64):                    "8.0 EiB",
		Growth(0):                               "±0 B",
		Growth(5):                               "+5 B",
		Growth(-5):                              "-5 B",
		Count(1, "key"):                         "1 key",
		Count(2, "key"):                         "2 keys",
		Count(0, "entry"):                       "0 entries",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
