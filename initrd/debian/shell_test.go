package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// handEdits is what people write into files of settings, and what only a shell
// makes of it.
var handEdits = []string{
	"DEVICE=eth0\n", "DEVICE=\"eth0\"\n", "DEVICE='eth0'\n", "export DEVICE=eth0\n", "  DEVICE=eth0\n", "\tDEVICE=eth0  \n",
	"DEVICE=eth0 # the left one\n", "DEVICE=eth0#x\n", "#DEVICE=eth0\n", " # DEVICE=eth0\n", "DEVICE=\n", "DEVICE=\"\"\n", "DEVICE\n",
	"DEVICE=a\nDEVICE=b\n", "DEVICE=a DEVICE=b\n", "DEVICE=a; DEVICE=b\n", "DEVICE=a\nunset DEVICE\n", "readonly DEVICE=a\n",
	"DEVICE=et\\\nh0\n", "DEVICE=\"et\\\nh0\"\n", "DEVICE='et\\\nh0'\n", "DEVICE=eth0\\ x\n", "DEVICE=\"a\\$b\\x\"\n", "DEVICE=e't'h\"0\"\n",
	"DEVICE=a true\n", "DEVICE=a :\n", "DEVICE = eth0\n", "DEVICE= eth0\n", "X=eth1\nDEVICE=$X\n", "X=eth1\nDEVICE=${X}.43\n", "DEVICE=$X.43\n",
	"X=1\nDEVICE=\"eth$X\"\n", "X=1\nDEVICE='eth$X'\n", "DEVICE=${DEVICE:-eth0}\n", "DEVICE=a\nDEVICE=${DEVICE-b}\n", "DEVICE=\nDEVICE=${DEVICE-b}\n",
	"DEVICE=\nDEVICE=${DEVICE:-b}\n", ": \"${DEVICE:=eth0}\"\n", ": ${DEVICE=eth0}\n", "DEVICE=a\nDEVICE=${DEVICE:+b}\n", "DEVICE=${X:+b}\n",
	"[ -n \"$DEVICE\" ] || DEVICE=eth0\n", "DEVICE=a\n[ -n \"$DEVICE\" ] || DEVICE=eth0\n", "[ -z \"$DEVICE\" ] && DEVICE=eth0\n",
	"if [ \"$X\" = y ]; then DEVICE=a; else DEVICE=b; fi\n", "X=y\nif test \"$X\" = y; then DEVICE=a; else DEVICE=b; fi\n",
	"if [ a != b ]; then\n\tDEVICE=a\nfi\n", "if ! [ a = a ]; then DEVICE=a; elif [ x ]; then DEVICE=b; fi\n", "{ DEVICE=a; }\n", "(DEVICE=a)\n",
	"DEVICE=a &\nwait\n", "true | DEVICE=a\n", "false && DEVICE=a\n", "true && DEVICE=a\n", "false || DEVICE=a\n", "DEVICE=eth0\r\n",
	"f() { DEVICE=a; }\n", "export DEVICE\nDEVICE=a\n", "DEVICE=a\nexport DEVICE\n", "DEVICE=\"a\n b\"\n", "DEVICE=a'\nb'\n", "A=1 B=2 DEVICE=c\n",
	"DEVICE=*\n", "DEVICE=\"a b\"\nX=$DEVICE\nDEVICE=$X\n", "DEVICE=a\n. ./nothing\n", "DEVICE=$(echo a)\n", "DEVICE=`echo a`\n", "DEVICE=$((1+1))\n",
	"for x in a b; do DEVICE=$x; done\n", "case x in x) DEVICE=a ;; esac\n", "[ -d / ] && DEVICE=a\n", "[ -d /nothing ] && DEVICE=a\n", "DEVICE=~\n",
	"eval DEVICE=a\n", "DEVICE=a\neval \"DEVICE=b\"\n", "read DEVICE </dev/null\n", "DEVICE=${X#y}a\n", "DEVICE=${#X}\n", "DEVICE='a\n", "DEVICE=a\nfi\n",
	"DEVICE=a\nset -- x\nDEVICE=$1\n", "while false; do DEVICE=a; done\n", "DEVICE=a\nreturn 0\nDEVICE=b\n", "DEVICE=\"$(cat /etc/hostname)\"\n",
}

// Shells say what they end up with. What we call certain is that; of the rest, which
// only a running machine can tell, nothing is believed.
func TestSourceAsShells(t *testing.T) {
	for _, sh := range [][]string{{judge.Tool(t, "busybox"), "sh"}, {judge.Tool(t, "dash")}} {
		certain := 0
		for _, text := range handEdits {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(sh[0], append(sh[1:], "-c", `unset DEVICE X; . ./conf; printf "<%s>" "${DEVICE-unset}"`)...)
			cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
			out, err := cmd.Output()
			got := Source([]SourceFile{{"conf", []byte(text)}})
			value, sure := got.Get("DEVICE")
			if _, set := got.Vars["DEVICE"]; !set {
				value = "unset"
			}
			if !sure {
				continue
			}
			certain++
			if want := "<" + value + ">"; err != nil || string(out) != want {
				t.Errorf("%v: %q gives %q, %v; we say %q for certain", sh, text, out, err, want)
			}
		}
		if certain < 55 {
			t.Errorf("only %d of %d were certain", certain, len(handEdits))
		}
	}
}

// What may set anything leaves nothing certain, and no file makes us work long.
func TestSourceDoubt(t *testing.T) {
	double := strings.Repeat("A=$A$A\n", 60)
	for _, text := range []string{"eval X=1\n", ". /x\n", "DEVICE='a\n", "if\n", strings.Repeat("(", 60000), "A=xxxxxxxx\n" + double,
		strings.Repeat("#", maxSourced+1), "alias a=b\n", "read DEVICE\n"} {
		if got := Source([]SourceFile{{"conf", []byte("DEVICE=a\n")}, {"more", []byte(text)}}); got.Doubt == "" {
			t.Errorf("%.40q: certain of %v", text, got.Vars)
		}
	}
}

func FuzzSource(f *testing.F) {
	for _, text := range handEdits {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Source([]SourceFile{{"conf", []byte(text)}})
		size := 0
		for name, v := range got.Vars {
			size += len(v.Value)
			if name == "" || v.From != "conf" || len(v.Maybe) > maxOtherWords {
				t.Fatalf("%q: %+v", name, v)
			}
		}
		if size > maxShellState+maxSourced {
			t.Fatalf("%d bytes of values from %d", size, len(text))
		}
		// A last word makes up for all that was not certain, but for what may set anything.
		if got.Doubt == "" {
			again := Source([]SourceFile{{"conf", []byte(text)}, {"last", []byte("DEVICE=last\n")}})
			if value, sure := again.Get("DEVICE"); value != "last" || !sure {
				t.Fatalf("%q, %v", value, sure)
			}
		}
	})
}
