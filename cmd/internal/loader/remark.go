package loader

import "cmp"

// Use is what is to become of a push.
type Use struct {
	Keep  bool // it is for more than one boot
	Stays bool // it does not reboot the device
}

// Remark is what a way has to say of a push, besides that it is taken.
type Remark struct {
	ID         string // of the check that it is
	Refuses    bool   // the push; else it warns
	Text, Hint string
}

// wayRemarks has the ways that have something to say, each in the file of its loader.
var wayRemarks = map[Way]func(Facts, Use) []Remark{Replace: fatRemarks, Auto: autoRemarks, TryBoot: tryBootRemarks}

// Remarks is what the way has to say of a push to that device.
func (b Boot) Remarks(f Facts, u Use) []Remark {
	if r := wayRemarks[b.Way]; r != nil {
		return r(f, u)
	}
	return nil
}

// Says is who boots what, in words.
func (b Boot) Says(l Loader) string {
	who := cmp.Or(b.who, l.Name())
	if b.Way.Once() {
		return who + " is told to boot the archive once; what it boots otherwise stays as it is"
	}
	return who + " boots " + cmp.Or(b.what, b.File)
}

// Room is what the way takes besides the archive: key is how the facts of [Boot.Dir] begin, beside is KiB that go there, kept KiB of
// a copy of what the archive takes the place of, which /var/lib/groundhog gets.
func (b Boot) Room(f Facts) (key string, beside, kept int64) {
	switch b.Way {
	case Name, Auto, TryBoot: // config.txt alone is kept
		return "firmware", 0, 0
	case Entry, BootNext:
		return "esp", f.Number("kernel_size") / 1024, 0
	case NextEntry:
		return "boot", 0, 0
	}
	return "boot", 0, f.Number("initrd_size") / 1024
}
