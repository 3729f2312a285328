package patches

import (
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
)

// hostile are texts that mean more than themselves to a shell, a path or a
// terminal.
var hostile = []string{
	" ", "a b", "a;b", "$(reboot)", "`reboot`", "a\nb", "a\x00b", "-a", "--", "a'b", `a"b`, `a\b`, "a|b", "a&b",
	"a>b", "a<b", "a*", "a?", "[a]", "{a,b}", "~a", "#a", "!a", "a=b", "a\tb", "a\x1b[2J", "ä", "a\u202eb", "a\xff",
	strings.Repeat("a", 300),
}

func TestRefusesOptions(t *testing.T) {
	for name, set := range map[string]func(o *Options, v string){
		"device":  func(o *Options, v string) { o.Device = v },
		"module":  func(o *Options, v string) { o.Modules = []string{"mii", v} },
		"tool":    func(o *Options, v string) { o.Tools = []string{v} },
		"mac":     func(o *Options, v string) { o.MAC = v },
		"board":   func(o *Options, v string) { o.Board = v },
		"release": func(o *Options, v string) { o.Release = v },
	} {
		bad := append([]string{"", ".", "..", "a:b", "/a"}, hostile...)
		for _, v := range bad {
			if v == "" && (name == "device" || name == "mac" || name == "release") || name == "tool" && (v == "/a" || len(v) == 300) {
				continue // mean something
			}
			err := refused(t, tiny.New("bookworm", true), func(o *Options) { set(o, v) })
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s %q: %v", name, v, err)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == '\u202e' || r == 0xfffd }) {
				t.Errorf("%s %q: the error holds what it should quote: %q", name, v, err)
			}
		}
	}
}

func TestRefusesTimes(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, time.Nanosecond, 1500 * time.Millisecond, 8 * 24 * time.Hour, 1<<63 - 1, -1 << 63} {
		for name, set := range map[string]func(o *Options){
			"wait":              func(o *Options) { o.Wait = d },
			"interface timeout": func(o *Options) { o.InterfaceTimeout = d },
		} {
			o := Defaults()
			set(&o)
			if err := o.checkOptions(); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "whole seconds") {
				t.Errorf("%s %v: %v", name, d, err)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "keep"}, {"keep", "keep"}, {"cmdline", "cmdline"},
		{"02:00:5E:10:00:01", "02:00:5e:10:00:01"}, {"02-00-5e-10-00-01", "02:00:5e:10:00:01"},
	} {
		o := Defaults()
		o.MAC = c.in
		if err := o.checkOptions(); err != nil || o.MAC != c.want {
			t.Errorf("mac %q: %q, %v; want %q", c.in, o.MAC, err, c.want)
		}
	}
	for _, mac := range []string{"01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00:5e:10:00", "02:00:5e:10:00:01:02:03"} {
		o := Defaults()
		o.MAC = mac
		if err := o.checkOptions(); err == nil {
			t.Errorf("mac %s was taken", mac)
		}
	}
	for _, device := range []string{"eth0", "enp0s31f6", "eth0.12", "a", "enx02005e100001"} {
		o := Defaults()
		o.Device = device
		if err := o.checkOptions(); err != nil {
			t.Error(err)
		}
	}
	o := Defaults()
	o.Board, o.Modules, o.MAC = "cm3", []string{"e1000"}, "keep"
	if err := o.checkOptions(); err != nil || strings.Join(o.Modules, " ") != "mii phy_generic smsc95xx e1000" || o.MAC != "keep" {
		t.Errorf("cm3: %q, mac %s, %v", o.Modules, o.MAC, err)
	}
	// The caller's options are the caller's.
	list := make([]string, 1, 9)
	list[0] = "e1000"
	o = Defaults()
	o.Board, o.Modules = "cm3", list
	if err := o.checkOptions(); err != nil || list[0] != "e1000" || list[:2][1] != "" {
		t.Errorf("%q, %v", list[:2], err)
	}
}

// Nothing but plain words gets into the settings, whoever puts them there.
func TestSettings(t *testing.T) {
	img := read(t, tiny.New("bookworm", true))
	target := judge.Value(openArchive(img, nil, nil, Defaults()))(t)
	for _, v := range append([]string{"a/b", "(a)"}, hostile...) {
		if v[0] == '-' || v == strings.Repeat("a", 300) {
			continue // harmless behind NAME=
		}
		if err := target.setSetting("GROUNDHOG_X", v); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", v, err)
		}
	}
	if len(img.Edits()) != 0 {
		t.Error("a refused value changed something")
	}
	judge.Must(t, target.setSetting("GROUNDHOG_X", "02:00:5e:10:00:01"))
	judge.Must(t, target.setSetting("GROUNDHOG_XY", ""))
	judge.Must(t, target.setSetting("GROUNDHOG_X", "eth0.1_a-b"))
	if got := text(t, img, confPath); got != "GROUNDHOG_X=eth0.1_a-b\nGROUNDHOG_XY=\n" || target.readSetting("GROUNDHOG_X") != "eth0.1_a-b" {
		t.Errorf("%q", got)
	}
}

// FuzzSetLine: afterwards one line has the value, all other lines are as they
// were, and again changes nothing.
func FuzzSetLine(f *testing.F) {
	f.Add("A=1\nB=2\nA=3\n", "A", "4")
	f.Add("x", "B", "")
	f.Add("\n\nA", "A", "=")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		if name == "" || strings.ContainsAny(name, "\n=") || strings.Contains(value, "\n") {
			return // names are ours, values are checked
		}
		once := setLine([]byte(text), name, value)
		if twice := setLine(once, name, value); string(twice) != string(once) {
			t.Fatalf("again: %q, then %q", once, twice)
		}
		n := 0
		var others, want []string
		for l := range strings.Lines(string(once)) {
			if strings.HasPrefix(l, name+"=") {
				n++
			} else {
				others = append(others, strings.TrimSuffix(l, "\n"))
			}
		}
		for l := range strings.Lines(text) {
			if !strings.HasPrefix(l, name+"=") {
				want = append(want, strings.TrimSuffix(l, "\n"))
			}
		}
		if n != 1 || !strings.Contains("\n"+string(once), "\n"+name+"="+value+"\n") || strings.Join(others, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q with %s=%q became %q", text, name, value, once)
		}
	})
}
