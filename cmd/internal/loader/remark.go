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

// Remarks is what the way has to say of a push to that device.
func (b Boot) Remarks(f Facts, u Use) []Remark {
	if remarks := b.Way.rules().remarks; remarks != nil {
		return remarks(f, u)
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
// a copy of what the archive takes the place of, which /var/lib/groundhog gets unless that is the archive of an earlier push.
func (b Boot) Room(f Facts) (key string, beside, kept int64) {
	rules := b.Way.rules()
	if rules.way == "" { // none was found: what Replace would take
		rules = replaceWay
	}
	if rules.copies {
		beside = f.Number("kernel_size") / 1024
	}
	if rules.keeps && f.Get("pushed_kept") == "" {
		kept = f.Number("initrd_size") / 1024
	}
	return rules.room, beside, kept
}
