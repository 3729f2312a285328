package patches

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/manifest"
)

// each runs test for every release, with dropbear in the archive and without.
func each(t *testing.T, test func(t *testing.T, tgt *tiny.Target)) {
	for _, release := range releases {
		for _, kind := range []string{"dropbear", "plain"} {
			t.Run(release+"/"+kind, func(t *testing.T) {
				test(t, tiny.New(release, kind == "dropbear"))
			})
		}
	}
}

func everything(o *Options) {
	o.Board = "cm3"
	o.Tools = []string{"sfdisk", "/usr/bin/hello"}
	o.Writer = func(string) ([]byte, error) { return program64(elf.EM_X86_64, elf.ET_EXEC), nil }
}

// Applied to its own result a patch changes nothing, and the file is the same.
func TestAgainChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, first := patch(t, tgt, everything)
		before := write(t, img)
		o := defaults(tgt)
		everything(&o)
		again := judge.Value(apply(img, tgt.Root, o))(t)
		if again.Changed() || len(img.Edits()) != 0 {
			t.Errorf("changed: %+v", img.Edits())
		}
		if again.Build != first.Build {
			t.Errorf("build %s, then %s", first.Build, again.Build)
		}
		if !bytes.Equal(write(t, img), before) {
			t.Error("not the same bytes")
		}
	})
}

// What differs between the archives is what the report says, and the two
// files that hold the id; directories made on the way are not in it.
func TestReportsWhatChanged(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		before := snapshot(read(t, tgt))
		img, r := patch(t, tgt, everything)
		after := snapshot(img)
		var changed []string
		for _, name := range slices.Sorted(maps.Keys(after)) {
			old, was := before[name]
			if old != after[name] && (was || after[name][0] != 'd') && !ours(name) {
				changed = append(changed, name)
			}
			delete(before, name)
		}
		if len(before) > 0 {
			t.Errorf("lost: %q", slices.Sorted(maps.Keys(before)))
		}
		var said []string
		for _, a := range r.Patches {
			if !slices.IsSorted(a.Paths) || a.Changed != (len(a.Paths) > 0) {
				t.Errorf("%s: changed %v, %q", a.Name, a.Changed, a.Paths)
			}
			for _, p := range a.Paths {
				if e := img.Lookup(p); e == nil || !e.IsDir() && !ours(p) {
					said = append(said, p)
				}
			}
		}
		slices.Sort(said)
		if diff := cmp.Diff(changed, slices.Compact(said)); diff != "" {
			t.Errorf("changed, reported (-want +got):\n%s", diff)
		}
	})
}

// The report and the record name the patches in the order of All.
func TestOrder(t *testing.T) {
	var want []string
	for _, p := range All() {
		if p.Archive != nil {
			want = append(want, p.Name)
		}
		if p.Doc == "" || strings.Contains(p.Doc, "\n") {
			t.Errorf("%s: its doc is no line: %q", p.Name, p.Doc)
		}
	}
	img, r := patch(t, tiny.New("bookworm", false), everything)
	rec := judge.Value(manifest.ReadRecord(img))(t)
	for i, p := range r.Patches {
		if p.Name != want[i] || rec.Patches[i].Name != want[i] || p.Summary == "" || strings.Contains(p.Summary, "\n") {
			t.Errorf("patch %d is %+v, recorded as %s, want %s", i, p, rec.Patches[i].Name, want[i])
		}
	}
	if len(r.Patches) != len(want) || len(rec.Patches) != len(want) {
		t.Errorf("%d patches, %d recorded, want %d", len(r.Patches), len(rec.Patches), len(want))
	}
}

// What was not asked for is not in the report.
func TestNotAskedFor(t *testing.T) {
	_, r := patch(t, tiny.New("bookworm", true), func(o *Options) { o.Curl = false })
	for _, a := range r.Patches {
		if slices.Contains([]string{"curl", "tools", "modules"}, a.Name) {
			t.Errorf("%+v", a)
		}
	}
}

// The same inputs give the same bytes, in any run.
func TestDeterministic(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		a, ra := patch(t, tgt, everything)
		b, rb := patch(t, tiny.New(tgt.Release, tgt.Archive["usr/sbin/dropbear"] != nil), everything)
		if !bytes.Equal(write(t, a), write(t, b)) {
			t.Error("archives differ")
		}
		if diff := cmp.Diff(fmt.Sprintf("%+v", ra), fmt.Sprintf("%+v", rb)); diff != "" {
			t.Errorf("reports differ:\n%s", diff)
		}
	})
}

// No private key is in what is printed of a report, nor in the record or the
// manifest.
func TestNoSecrets(t *testing.T) {
	img, r := patch(t, tiny.New("bookworm", true), nil)
	var out bytes.Buffer
	m := judge.Value(manifest.Of(img))(t)
	judge.Must(t, manifest.Encode(&out, m))
	fmt.Fprintf(&out, "%+v %#v %s", r, r, text(t, img, manifest.RecordPath))
	archive := write(t, img)
	for i, secret := range tiny.Secrets {
		if !bytes.Contains(archive, []byte(secret)) {
			t.Fatalf("the %s key is not where it must be", tiny.HostKeys[i].Type())
		}
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
			if strings.Contains(out.String(), form) {
				t.Errorf("the %s key is in it", tiny.HostKeys[i].Type())
			}
		}
	}
	if len(r.HostKeys) != 2 || len(r.AuthorizedKeys) != 1 {
		t.Errorf("%v, %v", r.HostKeys, r.AuthorizedKeys)
	}
}

// The archive that the patches make is what its manifest says, written anew or
// appended.
func TestManifestOfPatched(t *testing.T) {
	tgt := tiny.New("trixie", true)
	for _, appended := range []bool{false, true} {
		img := read(t, tgt)
		o := defaults(tgt)
		everything(&o)
		_, err := apply(img, tgt.Root, o)
		judge.Must(t, err)
		var out bytes.Buffer
		if appended {
			_, err = img.WriteAppended(&out, initrd.Gzip, 0)
		} else {
			_, err = img.WriteTo(&out)
		}
		judge.Must(t, err)
		img = reread(t, out.Bytes())
		m := judge.Value(manifest.Of(img))(t)
		found, err := manifest.Verify(img, m)
		if err != nil || len(found) > 0 {
			t.Errorf("appended %v: %v, %v", appended, found, err)
		}
		if m.Groundhog == nil || m.Groundhog.Board != "cm3" || m.Release != "trixie" || len(m.Problems) > 0 {
			t.Errorf("appended %v: %+v, %s, %q", appended, m.Groundhog, m.Release, m.Problems)
		}
	}
}

// Another --wait on a patched archive changes the wait and nothing else.
func TestOtherWait(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, first := patch(t, tgt, nil)
		before := snapshot(img)
		o := defaults(tgt)
		o.Wait = time.Hour
		r := judge.Value(apply(img, tgt.Root, o))(t)
		for _, a := range r.Patches {
			if a.Changed != (a.Name == "wait") {
				t.Errorf("%+v", a)
			}
		}
		var changed []string
		for name, now := range snapshot(img) {
			if now != before[name] {
				changed = append(changed, name)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, []string{manifest.RecordPath, confPath}) || r.Build == first.Build {
			t.Errorf("changed %q, build %s, then %s", changed, first.Build, r.Build)
		}
		if conf := text(t, img, confPath); !strings.Contains(conf, "\nGROUNDHOG_WAIT=3600\n") || strings.Count(conf, "GROUNDHOG_WAIT=") != 1 {
			t.Errorf("settings:\n%s", conf)
		}
	})
}
