package sysroot

import (
	"strings"
	"testing"
	"testing/fstest"
)

// FuzzLdConf: whatever ld.so.conf and a file that it includes say, what comes of it
// are absolute directories, each once, no more than there may be, and twice the same.
func FuzzLdConf(f *testing.F) {
	f.Add("include /etc/ld.so.conf.d/*.conf\n", "/usr/lib/x\n")
	f.Add("include ld.so.conf.d/*\ninclude ld.so.conf\n", "include ../ld.so.conf\nhwcap 1 x\n/a=libc6\n# c\n")
	f.Add("include ["+"\n", "/\x1b[2J\n//\n/../..\n")
	f.Fuzz(func(t *testing.T, conf, included string) {
		tree := fstest.MapFS{"etc/ld.so.conf": {Data: []byte(conf)}, "etc/ld.so.conf.d/a.conf": {Data: []byte(included)}, "etc/ld.so.conf.d/b": {}}
		dirs, err := ldConf(tree)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("more than a line: %q", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, dir := range dirs {
			if dir[0] != '/' || seen[dir] || strings.Contains(dir, "\n") {
				t.Fatalf("%q", dirs)
			}
			seen[dir] = true
		}
		if again, err := ldConf(tree); err != nil || len(dirs) > confMaxDirs || strings.Join(again, "\n") != strings.Join(dirs, "\n") {
			t.Fatalf("%q, then %q, %v", dirs, again, err)
		}
	})
}

// FuzzRelease: what an os-release says is found, and quoted as a shell would it is
// the same.
func FuzzRelease(f *testing.F) {
	f.Add("ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID=\"12\"\n", "x")
	f.Add("ID='a'\"b\"c # d\n", `$(id) "`)
	f.Add("NAME='B\xfcro'\n", "\x8b")
	f.Add("ID='a\nb'\n", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		r, err := Release(fstest.MapFS{"etc/os-release": {Data: []byte(text)}})
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") || strings.Contains(r.ID+r.Codename+r.Version, "\n") {
			t.Fatalf("%q, %q", r, err)
		}
		if strings.ContainsAny(name, "'\n\r\x00") {
			return
		}
		if got, err := Release(fstest.MapFS{"etc/os-release": {Data: []byte("VERSION_CODENAME='" + name + "'\n")}}); err != nil || got.Codename != name {
			t.Fatalf("%q was read as %q, %v", name, got, err)
		}
	})
}
