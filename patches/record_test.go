package patches

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd/debian/dropbear"
	"groundhog/manifest"
)

// The archive's id names input and options: another one for another of
// either, the same for the same.
func TestBuildID(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	seen := map[string]string{}
	id := regexp.MustCompile(`^[0-9a-f]{16}$`)
	for name, change := range map[string]func(*Options){
		"nothing":   nil,
		"device":    func(o *Options) { o.Device = "eth1" },
		"timeout":   func(o *Options) { o.InterfaceTimeout = time.Second },
		"mac":       func(o *Options) { o.MAC = "02:00:5e:10:00:01" },
		"cmdline":   func(o *Options) { o.MAC = "cmdline" },
		"wait":      func(o *Options) { o.Wait = time.Second },
		"no wait":   func(o *Options) { o.Wait = 0 },
		"no curl":   func(o *Options) { o.Curl = false },
		"tool":      func(o *Options) { o.Tools = []string{"sfdisk"} },
		"ca":        func(o *Options) { o.CA = []byte("x") },
		"keys":      func(o *Options) { o.AuthorizedKeys = []byte(tiny.LoginEd25519) },
		"host keys": func(o *Options) { o.HostKeys = []*dropbear.HostKey{tiny.OtherHostKey} },
		"module":    want("smsc95xx"),
		"listed":    want("mii"),
	} {
		img, r := patch(t, tgt, change)
		if other := seen[r.Build]; other != "" || !id.MatchString(r.Build) {
			t.Errorf("%s and %s are both %q", name, other, r.Build)
		}
		seen[r.Build] = name
		if !strings.Contains(text(t, img, confPath), "GROUNDHOG_BUILD="+r.Build+"\n") {
			t.Errorf("%s: the settings have another id", name)
		}
		rec := judge.Value(manifest.ReadRecord(img))(t)
		if rec.Build != r.Build || rec.Tool != "groundhog test" || rec.Release != "bookworm" || rec.Board != "generic" {
			t.Errorf("%s: %+v", name, rec)
		}
		if _, again := patch(t, tgt, change); again.Build != r.Build {
			t.Errorf("%s: %s, then %s", name, r.Build, again.Build)
		}
	}
	img := read(t, tgt)
	r := judge.Value(Apply(img, tgt.Root, nil, defaults(tgt), "groundhog test", "another source"))(t)
	if other := seen[r.Build]; other != "" {
		t.Errorf("another source and %s are both %s", other, r.Build)
	}
}

// A second run adds to the record: paths of both, the summary of the one that
// changed something.
func TestRecordMerged(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	img, first := patch(t, tgt, nil)
	o := defaults(tgt)
	o.Tools, o.Wait = []string{"sfdisk"}, time.Hour
	_, err := apply(img, tgt.Root, o)
	judge.Must(t, err)
	rec := judge.Value(manifest.ReadRecord(img))(t)
	find := func(name string) manifest.Patch {
		i := slices.IndexFunc(rec.Patches, func(p manifest.Patch) bool { return p.Name == name })
		if i < 0 {
			t.Fatalf("no %s in %+v", name, rec.Patches)
		}
		return rec.Patches[i]
	}
	if got := find("tools"); !slices.Contains(got.Paths, "usr/sbin/sfdisk") {
		t.Errorf("%+v", got)
	}
	if got := find("wait"); !strings.HasPrefix(got.Summary, "1h0m0s") || !slices.Contains(got.Paths, "scripts/groundhog/wait") || !slices.Contains(got.Paths, confPath) {
		t.Errorf("%+v", got)
	}
	for _, a := range first.Patches {
		for _, p := range a.Paths {
			if !slices.Contains(find(a.Name).Paths, p) {
				t.Errorf("%s: %s is lost", a.Name, p)
			}
		}
	}
}
