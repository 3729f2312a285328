package loader

import (
	"errors"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// The archive boots until it is taken back, config.txt changes in one place and keeps its length, and all is as it was afterwards.
func TestAuto(t *testing.T) {
	l := newLocal(t, deviceShell)
	l.lay(auto)
	before := l.tree()
	push(t, l, auto, "archive")
	push(t, l, auto, "archive two")
	if got := l.read(configTxt); got != strings.Replace(autoConfig, "auto_initramfs=1", "initramfs gh.img", 1) || len(got) != len(autoConfig) {
		t.Errorf("config.txt is %q", got)
	}
	if out, exit := l.boot(); exit != 0 || l.tree() != before {
		t.Errorf("%d: %s:\n%s", exit, out, l.tree())
	}
	j := job(auto, "kept")
	j.Keep = true
	judge.Must(t, j.Run(t.Context(), l, strings.NewReader("kept")))
	if out, exit := l.boot(); exit != 0 || !strings.Contains(out, "--keep") || l.boots(auto) != "kept" {
		t.Errorf("a boot after --keep: %d: %s", exit, out)
	}
	if _, err := Restore(t.Context(), l); err != nil || l.tree() != before {
		t.Errorf("%v:\n%s", err, l.tree())
	}
	if _, err := Restore(t.Context(), l); !errors.Is(err, ErrRefused) {
		t.Errorf("restoring what was not pushed: %v", err)
	}
}

// What somebody wrote into config.txt in between stays, and what is taken back is that one line.
func TestAutoEdited(t *testing.T) {
	l := newLocal(t, "dash")
	l.lay(auto)
	push(t, l, auto, "archive")
	l.write(configTxt, "dtoverlay=x\n"+strings.Repeat("# long\n", 100)+l.read(configTxt)+"gpu_mem=16\n")
	if out, exit := l.boot(); exit != 0 || l.read(configTxt) != "dtoverlay=x\n"+strings.Repeat("# long\n", 100)+autoConfig+"gpu_mem=16\n" || l.boots(auto) != "the original" {
		t.Errorf("%d: %s: %q", exit, out, l.read(configTxt))
	}
}

// What comes damaged changes nothing that boots, and where the line is not what it was at the survey nothing is changed either.
func TestAutoRefused(t *testing.T) {
	for name, c := range map[string]struct{ config, sent string }{
		"cut":           {autoConfig, "arch"},
		"no line":       {"arm_64bit=1\n", "archive"},
		"two lines":     {autoConfig + "auto_initramfs=1\n", "archive"},
		"one of a name": {autoConfig + "initramfs other.img followkernel\n", "archive"},
		"one board's":   {"[cm4]\nauto_initramfs=1\n[all]\n", "archive"},
		"a blank more":  {"auto_initramfs=1 \n", "archive"},
		"CR":            {"auto_initramfs=1\r\n", "archive"},
	} {
		l := newLocal(t, "dash")
		l.lay(auto)
		l.write(configTxt, c.config)
		before := l.tree()
		if err := job(auto, "archive").Run(t.Context(), l, strings.NewReader(c.sent)); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if got := l.read(configTxt); got != c.config {
			t.Errorf("%s: config.txt is %q", name, got)
		}
		if got, want := l.survey("").Get("firmware_flip"), map[bool]string{true: "yes"}[name == "cut"]; got != want {
			t.Errorf("%s: the survey says %q", name, got)
		}
		if l.tree() != before {
			t.Errorf("%s: it leaves\n%s", name, l.tree())
		}
	}
}
