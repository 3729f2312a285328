package patches

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"

	"groundhog/patches/scripts"
	"groundhog/patches/sysroot"
)

// maxHookFile bounds the files of a root tree that are read to be edited: each
// is a text of a few kilobytes.
const maxHookFile = 16 << 20

// load is the file at name, read once. Its original is what the state keeps, as
// long as nobody changed the file since; else what is there now, without what
// groundhog is known to have put there.
func (h *hooks) load(name string, pristine edit) (*hookFile, error) {
	at, ok := h.names[name]
	if !ok {
		var err error
		if at, err = place(h.Root, name); err != nil {
			return nil, err
		}
		h.names[name] = at
		if at != name {
			h.note("%s leads to %s, which is what is changed", name, at)
		}
	}
	if f := h.files[at]; f != nil {
		return f, nil
	}
	f, err := readHookFile(h.Root, at)
	if err != nil {
		return nil, err
	}
	f.original = f.current
	if e := h.state.entry(at); e != nil && e.wrote(sum(f.current)) && sum(f.current) != e.Before {
		kept, err := h.keeper.before(e)
		if err != nil {
			return nil, err
		}
		f.original = kept.current
	}
	if f.original != nil && pristine != nil {
		if f.original, err = pristine(f.original); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", name, h.Release, err)
		}
	}
	f.after = f.original
	h.files[at] = f
	return f, nil
}

// readHookFile reads what is at a path free of links.
func readHookFile(root fs.FS, at string) (*hookFile, error) {
	r, err := root.Open(at)
	if errors.Is(err, fs.ErrNotExist) {
		return &hookFile{}, nil
	} else if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", at)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxHookFile+1))
	if err == nil && len(b) > maxHookFile {
		err = fmt.Errorf("%s: more than %d bytes", at, maxHookFile)
	}
	if b == nil {
		b = []byte{}
	}
	return &hookFile{current: b, mode: info.Mode().Perm(), nowMode: info.Mode().Perm()}, err
}

// place is where name leads, links followed inside the tree; what is not there
// yet is placed below what is.
func place(root fs.FS, name string) (string, error) {
	at, err := sysroot.Resolve(root, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || name == "." {
		return at, err
	}
	dir, err := place(root, path.Dir(name))
	if err != nil {
		return "", err
	}
	at = path.Join(dir, path.Base(name))
	if _, err := fs.Lstat(root, at); err == nil {
		return "", fmt.Errorf("%s: a symbolic link that leads nowhere", at)
	}
	return at, nil
}

// edit changes a text that is there already, or makes one where there is none.
func (h *hooks) edit(name string, pristine, change edit) error {
	f, err := h.load(name, pristine)
	if err != nil {
		return err
	}
	after, err := change(bytes.Clone(f.after))
	if err != nil {
		return fmt.Errorf("%s of %s: %w", name, h.Release, err)
	}
	h.set(name, f, 0o644, after)
	return nil
}

// own writes a file that is groundhog's alone: no original, and its mode is ours.
func (h *hooks) own(name string, mode fs.FileMode, data []byte) error {
	f, err := h.load(name, nil)
	if err != nil {
		return err
	}
	f.original, f.mode = nil, 0
	h.set(name, f, mode, data)
	return nil
}

// keep leaves the file as it is now, even where an earlier run made it so.
func (h *hooks) keep(name string) error {
	f, err := h.load(name, nil)
	if err == nil {
		f.after = f.current
	}
	return err
}

// set notes the new content. mode is that of a new file.
func (h *hooks) set(name string, f *hookFile, mode fs.FileMode, after []byte) {
	f.after = after
	if f.mode == 0 {
		f.mode = mode
	}
	if at := h.names[name]; !slices.Contains(h.touched, at) {
		h.touched = append(h.touched, at)
	}
}

// setting makes NAME=value the one line for NAME in our scripts' settings.
func (h *hooks) setting(name, value string) error {
	if !confValue.MatchString(value) {
		return fmt.Errorf("%s=%q: not a value for the settings", name, value)
	}
	at := path.Join(toolsDir, scripts.Conf)
	f, err := h.load(at, func([]byte) ([]byte, error) { return nil, nil })
	if err != nil {
		return err
	}
	return h.own(at, 0o644, setLine(f.after, name, value))
}

// paths is those of all loaded files, sorted.
func (h *hooks) paths() []string { return slices.Sorted(maps.Keys(h.files)) }

// changed reports whether the file has to be written.
func (f *hookFile) changed() bool {
	return (f.after == nil) != (f.current == nil) || !bytes.Equal(f.after, f.current) ||
		f.after != nil && f.mode != f.nowMode
}

// ours reports whether groundhog makes the file other than it was.
func (f *hookFile) ours() bool {
	return (f.after == nil) != (f.original == nil) || !bytes.Equal(f.after, f.original)
}
