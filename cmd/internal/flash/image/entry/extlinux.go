package entry

import (
	"context"
	"path"
	"strings"
)

// extlinuxNames is where extlinux.conf may be: U-Boot looks at the first two, SYSLINUX where it was installed.
var extlinuxNames = []string{"/extlinux/extlinux.conf", "/boot/extlinux/extlinux.conf", "/extlinux.conf", "/syslinux/syslinux.cfg", "/boot/syslinux/syslinux.cfg", "/syslinux.cfg"}

func findExtlinux(ctx context.Context, all []Filesystem) (found []foundConfig, err error) {
	for _, f := range all {
		for _, name := range extlinuxNames {
			b, err := readText(ctx, f, name)
			if err != nil {
				return nil, err
			}
			if len(b) > 0 {
				found = append(found, foundConfig{path.Base(name) + " on " + f.String(), func(context.Context) (Entry, error) { return readExtlinux(f, name, string(b)) }})
			}
		}
	}
	return found, nil
}

// extlinuxLabel is an entry of extlinux.conf.
type extlinuxLabel struct {
	name, kernel, line string
	initrds            []string
	odd                string // something that it asks for and that is not supported here; "" for nothing
}

// readExtlinux reads extlinux.conf (SYSLINUX' doc/syslinux.txt, U-Boot's doc/README.pxe).
func readExtlinux(f Filesystem, name, config string) (Entry, error) {
	var labels []extlinuxLabel
	def, global, odd := "", "", ""
	for line := range strings.Lines(config) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		var l *extlinuxLabel
		if len(labels) > 0 {
			l = &labels[len(labels)-1]
		}
		switch key = strings.ToLower(key); key {
		case "default":
			def = value
		case "ontimeout", "include", "ui":
			if key != "ui" { // a menu has its own default, "menu default"
				odd = key
			}
		case "label":
			if len(labels) == maxEntries {
				return Entry{}, noEntry("%s has more than %d entries", name, maxEntries)
			}
			labels = append(labels, extlinuxLabel{name: value, line: global})
		case "menu":
			if l != nil && strings.EqualFold(value, "default") {
				def = l.name
			}
		case "append":
			if l == nil {
				global = value
			} else if l.line = value; value == "-" {
				l.line = ""
			}
		case "linux", "kernel":
			if l != nil {
				l.kernel = value
			}
		case "initrd":
			if l != nil {
				l.initrds = strings.Split(value, ",")
			}
		case "fdt", "devicetree", "fdtdir", "devicetreedir", "fdtoverlays", "devicetree-overlay", "com32", "boot", "localboot", "config":
			if l != nil {
				l.odd = key
			}
		}
	}
	if odd != "" {
		return Entry{}, noEntry("%s has %q", name, odd)
	}
	for _, l := range labels {
		if l.name != def && def != "" {
			continue
		}
		if l.odd != "" || l.kernel == "" {
			return Entry{}, noEntry("%s' default entry, %.80q, has no kernel alone: %s", name, l.name, l.odd)
		}
		e := Entry{Loader: "extlinux", Kind: path.Base(name) + " on " + f.Kind, Title: l.name, on: f}
		var words []string
		for _, w := range strings.Fields(l.line) {
			if files, ok := strings.CutPrefix(w, "initrd="); ok && len(l.initrds) == 0 { // SYSLINUX' older way to say it
				l.initrds = strings.Split(files, ",")
			}
			words = append(words, w)
		}
		e.Line = withoutInitrd(words)
		dir := path.Dir(name)
		at := func(file string) string {
			if !strings.HasPrefix(file, "/") {
				return dir + "/" + file
			}
			return file
		}
		for i := range l.initrds {
			l.initrds[i] = at(strings.TrimSpace(l.initrds[i]))
		}
		return e, e.setFiles(at(l.kernel), l.initrds)
	}
	return Entry{}, noEntry("%s has no entry %.80q, its default", name, def)
}
