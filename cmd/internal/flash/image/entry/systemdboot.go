package entry

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// findSystemdBoot looks for entries of both types in all FATs: the EFI system partition and an XBOOTLDR have them together.
func findSystemdBoot(ctx context.Context, all []Filesystem) ([]foundConfig, error) {
	var items []bootItem
	pattern, left := "", entryRoom{maxText, maxUnified}
	for _, f := range all {
		if f.Kind != "vfat" {
			continue
		}
		conf, err := readText(ctx, f, "/loader/loader.conf")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(conf)) {
			if key, value := loaderSetting(line); key == "default" {
				pattern = value
			}
		}
		here, err := bootItems(ctx, f, &left)
		if err != nil {
			return nil, err
		}
		items = append(items, here...)
	}
	if len(items) == 0 {
		return nil, nil
	}
	return []foundConfig{{"entries of systemd-boot on " + items[0].on.String(), func(ctx context.Context) (Entry, error) { return systemdBoot(ctx, items, pattern) }}}, nil
}

// loaderSetting is a line of loader.conf or an entry.
func loaderSetting(line string) (key, value string) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return "", ""
	}
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return line, ""
	}
	return line[:at], strings.TrimSpace(line[at:])
}

// bootItem is an entry: a file below /loader/entries, or a unified image.
type bootItem struct {
	id                                     string // its file's name, without the counters
	counted                                string // the counters
	title, sortKey, machine, version, arch string
	linux, efi                             string
	initrds, options                       []string
	odd                                    string
	unified                                bool
	on                                     Filesystem
}

// tryCounters are the tries that are left, and those that were made (Automatic Boot Assessment).
var tryCounters = regexp.MustCompile(`\+[0-9]+(-[0-9]+)?(\.(?:conf|efi))$`)

// entryRoom is how many bytes may still be read of entries: what is looked into stays in memory until one is chosen.
type entryRoom struct{ texts, unified int64 }

func bootItems(ctx context.Context, f Filesystem, left *entryRoom) (items []bootItem, err error) {
	for _, kind := range []struct{ dir, suffix string }{{"/loader/entries", ".conf"}, {"/EFI/Linux", ".efi"}} {
		names, err := f.List(ctx, kind.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !strings.HasSuffix(strings.ToLower(name), kind.suffix) || strings.HasPrefix(name, "auto-") {
				continue
			}
			if len(items) == maxEntries {
				return nil, noEntry("it has more than %d entries of systemd-boot", maxEntries)
			}
			i := bootItem{id: name, on: f, unified: kind.suffix == ".efi"}
			if m := tryCounters.FindStringSubmatchIndex(name); m != nil {
				i.id, i.counted = name[:m[0]]+name[m[4]:], name[m[0]:m[4]]
			}
			if err := i.readItem(ctx, kind.dir+"/"+name, left); err != nil {
				return nil, err
			}
			items = append(items, i)
		}
	}
	return items, nil
}

func (i *bootItem) readItem(ctx context.Context, name string, left *entryRoom) error {
	if i.unified {
		b, err := i.on.ReadFile(ctx, name, maxKernel)
		if errors.Is(err, fs.ErrNotExist) {
			i.odd = "it is not there" // a name that its directory has and nothing is at: one with a slash in it
			return nil
		}
		if left.unified -= int64(len(b)); err == nil && left.unified < 0 {
			err = noEntry("it has unified images of more than %d bytes", maxUnified)
		}
		if err != nil {
			return err
		}
		u, err := parseUnified(b)
		if err != nil { // systemd-boot passes such a file over, too
			i.odd = err.Error()
			return nil
		}
		i.linux, i.title, i.version, i.sortKey, i.options = name, u.title, u.version, u.sortKey, []string{u.line}
		return nil
	}
	b, err := i.on.ReadFile(ctx, name, maxEntryText)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if left.texts -= int64(len(b)); err == nil && left.texts < 0 {
		err = noEntry("its entries of systemd-boot have more than %d bytes", maxText)
	}
	for line := range strings.Lines(string(b)) {
		switch key, value := loaderSetting(line); key {
		case "title":
			i.title = value
		case "version":
			i.version = value
		case "sort-key":
			i.sortKey = value
		case "machine-id":
			i.machine = value
		case "architecture":
			i.arch = value
		case "linux":
			i.linux = value
		case "efi", "uki", "uki-url":
			i.efi = value
		case "initrd":
			i.initrds = append(i.initrds, value)
		case "options":
			i.options = append(i.options, value)
		case "devicetree", "devicetree-overlay", "extra":
			i.odd = "it has " + key
		}
	}
	return err
}

// systemdBoot is the entry that systemd-boot starts by itself: the first one in its order that the pattern fits, or the first of all
// (systemd's src/boot/boot.c).
func systemdBoot(ctx context.Context, items []bootItem, pattern string) (Entry, error) {
	if strings.HasPrefix(pattern, "@") || strings.HasPrefix(pattern, "auto-") {
		return Entry{}, noEntry("loader.conf says %.80q, which its firmware knows", "default "+pattern)
	}
	var able []bootItem
	for _, i := range items {
		if i.arch != "" && !strings.EqualFold(i.arch, "x64") || i.linux == "" && i.efi == "" {
			continue
		}
		if !i.unified && i.linux != "" { // one whose kernel is gone is passed over
			name, err := Clean(i.linux)
			if err != nil {
				return Entry{}, err
			}
			if _, err := i.on.ReadFile(ctx, name, 0); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		able = append(able, i)
	}
	slices.SortStableFunc(able, compareItems)
	chosen := 0
	if pattern != "" {
		if at := slices.IndexFunc(able, func(i bootItem) bool {
			ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(i.id))
			return ok
		}); at >= 0 {
			chosen = at
		}
	}
	if len(able) == 0 {
		return Entry{}, noEntry("none of systemd-boot's entries can be started")
	}
	i := able[chosen]
	switch {
	case i.counted != "":
		return Entry{}, noEntry("systemd-boot counts the tries of %.80q, and would not know of this one", i.id)
	case i.efi != "" || i.linux == "":
		return Entry{}, noEntry("systemd-boot's entry %.80q is no kernel", i.id)
	case i.odd != "":
		return Entry{}, noEntry("systemd-boot's entry %.80q: %s", i.id, i.odd)
	}
	e := Entry{Loader: "systemd-boot", Kind: "entry in a file", Title: cmp.Or(i.title, i.id), on: i.on, unified: i.unified,
		Line: withoutInitrd(strings.Fields(strings.Join(i.options, " ")))}
	if i.unified {
		e.Kind = "unified image"
	}
	return e, e.setFiles(i.linux, i.initrds)
}

// compareItems is the order of systemd-boot's menu.
func compareItems(a, b bootItem) int {
	spent := func(i bootItem) bool { // it has no tries left
		left, _, _ := strings.Cut(i.counted, "-")
		return left != "" && strings.Trim(left, "+0") == ""
	}
	if n := cmp.Or(falseFirst(spent(a), spent(b)), falseFirst(a.sortKey == "", b.sortKey == "")); n != 0 {
		return n
	}
	if a.sortKey != "" {
		if n := cmp.Or(strings.Compare(a.sortKey, b.sortKey), strings.Compare(a.machine, b.machine), compareVersions(b.version, a.version)); n != 0 {
			return n
		}
	}
	return compareVersions(strings.ToLower(b.id), strings.ToLower(a.id))
}
