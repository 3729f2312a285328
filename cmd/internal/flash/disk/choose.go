package disk

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of Choose. ErrSilent is one of reading a disk's beginning, too.
var (
	ErrNone    = errors.New("no such disk")
	ErrSeveral = errors.New("more than one disk could be meant")
	ErrInUse   = errors.New("the disk is in use")
	ErrSilent  = errors.New("the disk does not answer")
	ErrInstead = errors.New("the disk's device node is not there")
	ErrLocked  = errors.New("the disk is read-only")
)

// Choose says which disk is meant. want is one of [Names];
// where it is empty, the disk that was recorded, and where none was, the only
// one that is not removable. The error lists what there is. One that does not answer, is read-only, as many are that have come to their end, or has no device node, is
// never chosen, and another one is not the only one beside it: it may be the one that is meant.
func Choose(all []Info, want string, recorded *Identity) (Info, error) {
	var fits func(Info) bool
	var what string
	switch {
	case want != "":
		f, err := targetMatcher(want)
		if err != nil {
			return Info{}, err
		}
		fits, what = f, want
	case recorded != nil:
		fits, what = func(d Info) bool { return recorded.sameDisk(d.Identity) }, "the disk recorded at push ("+recorded.String()+")"
	default:
		fits, what = func(d Info) bool { return !d.Removable }, "a disk that is not removable"
	}
	var found []Info
	for _, d := range all {
		if fits(d) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return Info{}, fmt.Errorf("%w as %s; there is %s", ErrNone, what, describeDisks(all))
	case len(found) > 1:
		return Info{}, fmt.Errorf("%w by %s: %s", ErrSeveral, what, describeDisks(found))
	case found[0].Instead != "":
		return Info{}, fmt.Errorf("%w: at its path is %s: %s", ErrInstead, found[0].Instead, found[0].Identity)
	case found[0].Silent:
		return Info{}, fmt.Errorf("%w: %s", ErrSilent, found[0].Identity)
	case found[0].InUse != "":
		return Info{}, fmt.Errorf("%w: %s", ErrInUse, found[0].InUse)
	case found[0].ReadOnly:
		return Info{}, fmt.Errorf("%w: %s", ErrLocked, found[0].Identity)
	}
	return found[0], nil
}

// CheckWanted refuses what names no disk, whichever there are.
func CheckWanted(want string) error {
	_, err := targetMatcher(want)
	return err
}

// targetMatcher reads --target's value.
func targetMatcher(want string) (func(Info) bool, error) {
	if strings.HasPrefix(want, "/") {
		return func(d Info) bool { return d.Path == want }, nil
	}
	name, value, ok := strings.Cut(want, ":")
	for _, k := range nameKinds {
		if ok && value != "" && k.name == name {
			return func(d Info) bool { return k.sameName(*k.of(&d.Identity), value) }, nil
		}
	}
	return nil, fmt.Errorf("%q names no disk: %s does", want, Names())
}

// Names says by what [Choose] knows a disk, for people: "a path, or serial:, cid: or ptuuid: and its value".
func Names() string {
	var all []string
	for _, k := range nameKinds {
		all = append(all, k.name+":")
	}
	last := len(all) - 1
	return "a path, or " + strings.Join(all[:last], ", ") + " or " + all[last] + " and its value"
}

// String is a disk in a few words, with what names it.
func (d Info) String() string {
	s := d.Identity.String()
	if d.Removable {
		s += ", removable"
	}
	if d.ReadOnly {
		s += ", read-only"
	}
	if d.Instead != "" {
		s += ", with " + d.Instead + " at its path"
	}
	if d.Silent {
		s += ", does not answer"
	}
	return s
}

func describeDisks(all []Info) string {
	if len(all) == 0 {
		return "none"
	}
	var s []string
	for _, d := range all {
		s = append(s, d.String())
	}
	return strings.Join(s, "; ")
}
