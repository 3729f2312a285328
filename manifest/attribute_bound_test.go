package manifest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/handmade"
	"groundhog/initrd"
)

// Many files of one name, none of them any package's: each of the packages' files is looked at once, not once for each of ours.
func TestAttributeIsLinear(t *testing.T) {
	const many = 300
	root, list := handmade.Debian(), []initrd.Entry{dir("."), dir("d")}
	var owned strings.Builder
	for i := range many {
		fmt.Fprintf(&owned, "/usr/share/%d/same\n", i)
		root[fmt.Sprintf("usr/share/%d/same", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "theirs %03d", i), Mode: 0o644}
		list = append(list, dir(fmt.Sprintf("d/%03d", i)), file(fmt.Sprintf("d/%03d/same", i), fmt.Sprintf("mine %05d", i)))
	}
	root["var/lib/dpkg/info/mine.list"].Data = append(root["var/lib/dpkg/info/mine.list"].Data, owned.String()...)
	for _, held := range []bool{false, true} {
		img, counted := archive(t, list...), &countedFS{MapFS: root}
		m, err := of(t, img), error(nil)
		if held {
			err = m.AttributeArchive(counted, img)
		} else {
			err = m.Attribute(counted)
		}
		opened := 0
		for _, n := range counted.opened {
			opened += n
		}
		if err != nil || opened < many || opened > 4*many {
			t.Errorf("%d files were opened %d times (%v)", many, opened, err)
		}
	}
}

// Packages that need one name, which all of them go by, many times: there are as many ways as they say, times as many.
func TestDependsIsBounded(t *testing.T) {
	root := handmade.Debian()
	status := root["var/lib/dpkg/status"]
	status.Data = []byte(strings.Replace(string(status.Data), "Version: ", "Depends: "+strings.Repeat("aa, ", 3000)+"\nProvides: "+strings.Repeat("aa, ", 3000)+"\nVersion: ", 1))
	m := of(t, archive(t, dir("."), dir("usr"), dir("usr/bin"), file("usr/bin/tool", "ours"), file("usr/bin/curl", "curl")))
	before := encode(t, m)
	if err := m.Attribute(root); err == nil || !strings.Contains(err.Error(), "need one another in more than") {
		t.Errorf("%v", err)
	}
	if !bytes.Equal(before, encode(t, m)) {
		t.Error("the manifest was changed")
	}
}
