package manifest_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
	"groundhog/manifest"

	"github.com/google/go-cmp/cmp"
)

// countedFS notes which files are opened.
type countedFS struct {
	fstest.MapFS
	mu     sync.Mutex
	opened map[string]int
}

func (c *countedFS) Open(name string) (fs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened == nil {
		c.opened = map[string]int{}
	}
	c.opened[name]++
	return c.MapFS.Open(name)
}

// systems are root trees, each odd in a way in which a path of dpkg's records is not the path of a file.
func systems() map[string]fstest.MapFS {
	f := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }
	l := func(to string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
	}
	all := map[string]fstest.MapFS{}
	for name, more := range map[string]fstest.MapFS{
		"as it is":              {},
		"an absolute link":      {"bin": l("/usr/bin")},
		"a link by a detour":    {"bin": l("sbin/../usr/bin"), "sbin": l("opt/sbin"), "opt/sbin/x": f("x"), "opt/usr/bin/curl": f("other")},
		"a link out of it":      {"bin": l("../../usr/bin")},
		"a link to a link":      {"bin": l("sbin"), "sbin": l("usr/bin")},
		"a link to nowhere":     {"bin": l("gone")},
		"not merged":            {"bin": &fstest.MapFile{Mode: fs.ModeDir | 0o755}, "bin/curl": f("mine"), "bin/tool": f("ours")},
		"moved":                 {"usr/bin/curl": f("other"), "opt/curl": f("curl")},
		"a link further down":   {"usr/lib/x": l("y"), "usr/lib/y/libz.so.1.2": f("zlib"), "usr/lib/x/libz.so.1": nil, "usr/lib/x/libz.so.1.2": nil, "usr/lib/x/libz.so": nil},
		"changed":               {"usr/bin/curl": f("CURL"), "usr/lib/x/libz.so.1.2": f("ZLIB")},
		"twice":                 {"usr/share/x/libz.so.1.2": f("zlib"), "srv/libz.so.1.2": f("zlib")},
		"a package's is a link": {"usr/bin/curl": l("/opt/curl"), "opt/curl": f("curl")},
		"no records":            {"var/lib/dpkg/status": nil},
		"bad records":           {"var/lib/dpkg/info/curl.md5sums": f("x")},
		"another backslash":     {"usr/bin/a\\b": f("curl"), "opt\\x": l("usr/bin")},
	} {
		root := handmade.Debian()
		maps.Copy(root, more)
		maps.DeleteFunc(root, func(_ string, f *fstest.MapFile) bool { return f == nil })
		all[name] = root
	}
	return all
}

// A system that is read and attributed at once has the very manifest that reading it and then attributing has.
func TestOfSystem(t *testing.T) {
	for name, root := range systems() {
		want, wantErr := manifest.OfTree(root)
		if wantErr == nil {
			if err := want.Attribute(root); err != nil && name != "no records" {
				wantErr = err
			}
		}
		got, err := manifest.OfSystem(root, root, nil)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%s: %v, want %v", name, err, wantErr)
			continue
		}
		if err == nil {
			if diff := cmp.Diff(string(encode(t, want)), string(encode(t, got))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	if _, err := manifest.OfSystem(systems()["bad records"], handmade.Debian(), nil); err != nil {
		t.Errorf("the records are others' than those of the tree: %v", err)
	}
	closed := closedTo{handmade.Debian(), " etc/empty usr/bin/curl "}
	var u *manifest.Unreadable
	if _, err := manifest.OfSystem(closed, closed, nil); !errors.As(err, &u) || strings.Join(u.Names, " ") != "etc/empty usr/bin/curl" {
		t.Errorf("files that may not be read: %v", err)
	}
}

// To attribute files, none is read that was read before; and how far it is is told in order, to the end.
func TestOfSystemReadsOnce(t *testing.T) {
	root, records := handmade.Debian(), &countedFS{MapFS: handmade.Debian()}
	var done, total []int64
	judge.Value(manifest.OfSystem(root, records, func(d, n int64) { done, total = append(done, d), append(total, n) }))(t)
	for name := range records.opened {
		if !strings.HasPrefix(name, "var/lib/dpkg/") && !strings.HasPrefix(name, "var/lib/ucf/") {
			t.Errorf("%s was read to attribute it", name)
		}
	}
	if len(records.opened) == 0 {
		t.Error("no records were read")
	}
	size := int64(0)
	for _, f := range root {
		if f.Mode.IsRegular() {
			size += int64(len(f.Data))
		}
	}
	if !slices.IsSorted(done) || len(done) == 0 || done[len(done)-1] != size || slices.ContainsFunc(total, func(n int64) bool { return n != size }) {
		t.Errorf("told %d of %d, want %d", done, total, size)
	}
}

// In a root tree nothing is said to be made by what makes an archive, so that a rule finds an etc/passwd of nobody's; and dpkg's records of
// an upgrade are not from nowhere. The scripts of packages are, for they run.
func TestGeneratedInTree(t *testing.T) {
	root := handmade.Debian()
	for _, name := range []string{"etc/passwd", "etc/fstab", "etc/nsswitch.conf", "conf/modules", "scripts/x/ORDER", "var/lib/dpkg/info/mine.postinst", "var/log/dpkg.log",
		"etc/ld.so.cache", "usr/lib/modules/6.1/modules.dep", manifest.RecordPath} {
		root[name] = &fstest.MapFile{Data: []byte("made: " + name), Mode: 0o644}
	}
	m := judge.Value(manifest.OfSystem(root, root, nil))(t)
	got := map[string]string{}
	for _, e := range m.Entries {
		if e.Origin != nil && e.Origin.Kind != manifest.FromPackage {
			got[e.Path] = strings.TrimSuffix(string(e.Origin.Kind)+" "+e.Origin.Name, " ")
		}
	}
	want := map[string]string{"bin": "generated usrmerge", "lib": "generated usrmerge", "etc/ld.so.cache": "generated ldconfig", "usr/lib/modules/6.1/modules.dep": "generated depmod",
		"var/lib/dpkg/status": "generated dpkg", "var/log/dpkg.log": "generated dpkg"}
	for _, name := range []string{"etc/passwd", "etc/fstab", "etc/nsswitch.conf", "conf/modules", "scripts/x/ORDER", "var/lib/dpkg/info/mine.postinst", manifest.RecordPath, "etc/alternatives/editor", "usr/bin/editor", "var/lib/dpkg/diversions"} {
		want[name] = "unknown"
	}
	for name := range root {
		if strings.HasPrefix(name, "var/lib/dpkg/info/") && !strings.HasSuffix(name, "inst") {
			want[name] = "generated dpkg"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
