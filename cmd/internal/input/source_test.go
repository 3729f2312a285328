package input

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"groundhog/initrd"
	"groundhog/manifest"
)

// A root tree that has few of an archive's files is noticed; modules of a kernel of one's own, a few .debs and
// archives with next to nothing in them are no reason.
func TestForeignTree(t *testing.T) {
	of := func(known, unknown, modules int) *Source {
		m := &manifest.Manifest{}
		add := func(n int, where string, kind manifest.OriginKind) {
			for i := range n {
				m.Entries = append(m.Entries, manifest.Entry{Path: fmt.Sprintf("%s/%s%d", where, kind, i), Type: manifest.File, Size: 1,
					Origin: &manifest.Origin{Kind: kind}})
			}
		}
		add(known, "usr/bin", manifest.FromPackage)
		add(unknown, "usr/bin", manifest.FromUnknown)
		add(modules, "usr/lib/modules/6.1.0", manifest.FromUnknown)
		add(50, "etc", manifest.FromGenerator)
		return &Source{m, &initrd.Image{}}
	}
	dir, debs := Layers{{"root", false}}, Layers{{"debs", true}}
	for name, c := range map[string]struct {
		source *Source
		root   Layers
		want   string
	}{
		"its own":             {of(90, 10, 0), dir, ""},
		"a kernel of its own": {of(90, 0, 1000), dir, ""},
		"another":             {of(10, 90, 1000), dir, "of 100 files that are neither modules nor made by a tool, 10 are in its packages"},
		"a few .debs":         {of(10, 90, 0), debs, ""},
		"none":                {of(0, 90, 0), nil, ""},
		"next to nothing":     {of(1, 15, 0), dir, ""},
		"a manifest":          {&Source{of(10, 90, 0).Manifest, nil}, dir, ""},
	} {
		err := c.source.Foreign(c.root)
		if (err != nil) != (c.want != "") || err != nil && (!errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
