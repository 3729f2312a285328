package dpkg

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// What records say many times over costs what it says once, and what no tree has is refused.
func TestRecordsAreBounded(t *testing.T) {
	const tool = "Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
	var many, names strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "%s\n", strings.Replace(tool, "tool", fmt.Sprintf("tool%02d", i), 1))
		fmt.Fprintf(&names, "s%02d\n/l%02d\n", i, i)
	}
	for about, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a path many times": {map[string]string{"status": tool, "info/tool.list": strings.Repeat("/usr/bin/a\n", 3000),
			"alternatives/x": "auto\n/b\n\n" + strings.Repeat("/usr/bin/a\n1\n", 3000) + "\n"}, ""},
		"a path of many packages": {map[string]string{"status": many.String(), "alternatives/x": "auto\n/b\n" + names.String() + "\n/usr/bin/a\n1\n" + strings.Repeat("/usr/bin/a\n", 100) + "\n"}, ""},
		"a package twice":         {map[string]string{"status": tool + "\n" + tool, "info/tool.list": "/a\n"}, "status: record 2: tool of all is there twice"},
		"a long record":           {map[string]string{"status": tool + "Description: " + strings.Repeat("x", maxStanza)}, "status: record 1: longer than"},
		"needs without end":       {map[string]string{"status": strings.Repeat(tool+"Depends: "+strings.Repeat("aa,", maxStanza/4)+"\n\n", 5), "info/tool.list": "/a\n"}, "name others more than"},
	} {
		root := fstest.MapFS{"etc/alternatives/x": {Data: []byte("/usr/bin/a"), Mode: 0o777 | 1<<27}}
		for i := range 100 {
			root[fmt.Sprintf("var/lib/dpkg/info/tool%02d.list", i)] = &fstest.MapFile{Data: []byte("/usr/bin/a\n")}
		}
		for name, text := range c.files {
			if about == "needs without end" && name == "status" {
				for i := range 5 { // each a package of its own
					text = strings.Replace(text, "Package: tool\n", fmt.Sprintf("Package: tool%02d\n", i), 1)
				}
			}
			root["var/lib/dpkg/"+name] = &fstest.MapFile{Data: []byte(text)}
		}
		db, err := Read(root)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", about, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		links := 0
		for at := range db.made {
			links += len(db.MadeLinks(at))
		}
		if n := len(db.Owners("usr/bin/a")); n == 0 || n > maxOwners || len(db.Named("a")) != n || links < n || links > 300*maxOwners {
			t.Errorf("%s: %d owners, %d of that name, %d links", about, n, len(db.Named("a")), links)
		}
	}
}
