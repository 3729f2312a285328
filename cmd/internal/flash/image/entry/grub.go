package entry

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// grubNames is where grub.cfg is: on the filesystem of /, or on /boot's own.
var grubNames = []string{"/boot/grub/grub.cfg", "/grub/grub.cfg"}

func findGRUB(ctx context.Context, all []Filesystem) (found []foundConfig, err error) {
	for _, f := range all {
		for _, name := range grubNames {
			b, err := readText(ctx, f, name)
			if err != nil {
				return nil, err
			}
			if len(b) == 0 {
				continue
			}
			found = append(found, foundConfig{"grub.cfg on " + f.String(), func(ctx context.Context) (Entry, error) {
				env, err := readText(ctx, f, path.Dir(name)+"/grubenv")
				if err != nil {
					return Entry{}, err
				}
				if custom, err := fileExists(ctx, f, path.Dir(name)+"/custom.cfg"); err != nil || custom {
					return Entry{}, cmpErr(err, noEntry("grub.cfg has a custom.cfg beside it, which may change anything"))
				}
				return grubEntry(all, f, string(b), string(env))
			}})
		}
	}
	return found, nil
}

// grubMenu is a menu entry of GRUB, or a submenu.
type grubMenu struct {
	title, id string
	sub       []grubMenu
	is        grubCommand
}

// grubEntry is the entry that is the default by grub.cfg and grubenv.
func grubEntry(all []Filesystem, own Filesystem, config, environment string) (Entry, error) {
	commands, err := readGrubScript(config)
	if err != nil {
		return Entry{}, err
	}
	env := readGrubenv(environment)
	for _, told := range []string{"next_entry", "prev_saved_entry"} {
		if env[told] != "" {
			return Entry{}, noEntry("its grubenv has a %s", told)
		}
	}
	def, err := grubDefault(commands, env["saved_entry"])
	if err != nil {
		return Entry{}, err
	}
	items := findMenus(commands)
	if len(items) == 0 {
		return Entry{}, noEntry("grub.cfg has no entries")
	}
	item, err := chooseMenu(items, def)
	if err != nil {
		return Entry{}, err
	}
	return item.menuEntry(all, own, commands)
}

// readGrubenv reads grub-editenv's file.
func readGrubenv(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok && !strings.HasPrefix(line, "#") {
			all[name] = value
		}
	}
	return all
}

// grubDefault is what the variable default is set to. The caller has made sure that next_entry is empty.
func grubDefault(commands []grubCommand, saved string) (string, error) {
	var values []string
	for _, c := range commands {
		for _, w := range assignedWords(c) {
			value, ok := strings.CutPrefix(w.text, "default=")
			switch {
			case !ok, value == "\x00next_entry\x00":
				continue
			case value == "\x00saved_entry\x00":
				value = saved
			case w.isUncertain():
				return "", noEntry("grub.cfg makes its default of a variable")
			}
			if !c.maybe {
				values = nil
			}
			values = append(values, value)
		}
	}
	slices.Sort(values)
	switch values = slices.Compact(values); {
	case len(values) > 1:
		return "", noEntry("grub.cfg's default hangs on a condition: %q", values)
	case len(values) == 0 || values[0] == "":
		return "0", nil
	}
	return values[0], nil
}

// assignedWords is the words of "set NAME=VALUE", or of NAME=VALUE alone.
func assignedWords(c grubCommand) []grubWord {
	switch {
	case c.commandName() == "set" && len(c.words) > 1:
		return c.words[1:]
	case len(c.words) == 1 && strings.Contains(c.commandName(), "="):
		return c.words
	}
	return nil
}

func findMenus(commands []grubCommand) (items []grubMenu) {
	for _, c := range commands {
		if (c.commandName() != "menuentry" && c.commandName() != "submenu") || len(c.words) < 2 {
			continue
		}
		m := grubMenu{title: c.words[1].text, is: c}
		for i, w := range c.words[2:] {
			if (w.text == "--id" || w.text == "\x00menuentry_id_option\x00") && i+3 < len(c.words) {
				m.id = c.words[i+3].text
			} else if id, ok := strings.CutPrefix(w.text, "--id="); ok {
				m.id = id
			}
		}
		if c.commandName() == "submenu" {
			m.sub = findMenus(c.body)
		}
		items = append(items, m)
	}
	return items
}

// chooseMenu finds an entry by its number, its title or its id. For an entry in a submenu these stand behind those of the submenu, with a >
// between. As in GRUB it is the first entry if none fits.
func chooseMenu(items []grubMenu, def string) (grubMenu, error) {
	first, rest, more := strings.Cut(def, ">")
	if strings.HasPrefix(rest, ">") {
		return grubMenu{}, noEntry("grub.cfg's default has a > in its name")
	}
	at := slices.IndexFunc(items, func(m grubMenu) bool { return m.title == first || m.id == first && first != "" })
	if n, err := strconv.Atoi(first); err == nil && n >= 0 {
		at = n
	} else if first != "" && isDigit(rune(first[0])) { // GRUB takes the number in front, and forgets the rest
		return grubMenu{}, noEntry("grub.cfg's default, %.80q, begins with a number", first)
	}
	if at < 0 {
		at = 0
	}
	if at >= len(items) {
		return grubMenu{}, noEntry("grub.cfg's default is entry %q, and it has %d", first, len(items))
	}
	if slices.ContainsFunc(items[:at+1], func(m grubMenu) bool { return m.is.maybe }) {
		return grubMenu{}, noEntry("grub.cfg's default is entry %q, and which that is hangs on a condition", first)
	}
	m := items[at]
	switch {
	case m.is.commandName() == "submenu" && !more:
		return grubMenu{}, noEntry("grub.cfg's default is a menu, %.80q", m.title)
	case m.is.commandName() == "submenu" && len(m.sub) > 0:
		return chooseMenu(m.sub, rest)
	case m.is.commandName() == "submenu":
		return grubMenu{}, noEntry("grub.cfg's default is in an empty menu, %.80q", m.title)
	}
	return m, nil
}

// kernelCommands and initrdCommands load a kernel, and its initramfs.
var (
	kernelCommands = []string{"linux", "linux16", "linuxefi"}
	initrdCommands = []string{"initrd", "initrd16", "initrdefi"}
)

// otherCommands is commands by which an entry starts something else than a kernel, or more than that: they are not followed here.
var otherCommands = []string{"devicetree", "chainloader", "configfile", "multiboot", "multiboot2", "module", "module2", "xen_hypervisor", "xen_module", "source", ".", "blscfg", "kexec", "acpi", "legacy_configfile", "extract_entries_configfile"}

// menuEntry is what a menu's entry starts. GRUB's root, where its files are, is set by what comes before the entry and in it.
func (m grubMenu) menuEntry(all []Filesystem, own Filesystem, before []grubCommand) (Entry, error) {
	e := Entry{Loader: "GRUB", Title: m.title}
	on := &own
	for _, c := range before {
		if !c.maybe {
			on = rootAfter(c, all, on)
		}
	}
	var kernel string
	var initrds []string
	var maybe *Filesystem // root as set under a condition: Debian has a search with hints, and the same without in the other branch
	for _, c := range m.is.body {
		if now := rootAfter(c, all, on); c.maybe && rootKind(c) != "" {
			if maybe != nil && now != maybe {
				return e, noEntry("grub.cfg's default entry, %.80q, hangs on a condition", m.title)
			}
			on, maybe = now, now
		} else {
			on = now
		}
		switch name := c.commandName(); {
		case slices.Contains(otherCommands, name):
			return e, noEntry("grub.cfg's default entry, %.80q, has %q", m.title, name)
		case slices.Contains(kernelCommands, name):
			if c.maybe || kernel != "" || len(c.words) < 2 {
				return e, noEntry("grub.cfg's default entry, %.80q, has not one kernel", m.title)
			}
			files, err := grubFiles(c.words[1:2], on, &e)
			if err != nil {
				return e, err
			}
			kernel = files[0]
			if e.Line, err = grubLine(kernel, c.words[2:]); err != nil {
				return e, err
			}
		case slices.Contains(initrdCommands, name):
			if c.maybe || initrds != nil || kernel == "" || len(c.words) < 2 {
				return e, noEntry("grub.cfg's default entry, %.80q, has not one list of initramfs files", m.title)
			}
			var err error
			if initrds, err = grubFiles(c.words[1:], on, &e); err != nil {
				return e, err
			}
		}
	}
	if kernel == "" {
		return e, noEntry("grub.cfg's default entry, %.80q, has no kernel", m.title)
	}
	e.Kind = "grub.cfg on " + own.Kind
	return e, e.setFiles(kernel, initrds)
}

// grubFiles is the names of files on the entry's filesystem, which is root.
func grubFiles(words []grubWord, root *Filesystem, e *Entry) (names []string, err error) {
	for _, w := range words {
		name := strings.TrimPrefix(w.text, "(\x00root\x00)")
		switch {
		case !strings.HasPrefix(name, "/") || strings.Contains(name, "\x00"):
			return nil, noEntry("grub.cfg's default entry, %.80q, names the file %.80q", e.Title, strings.ReplaceAll(name, "\x00", "$"))
		case root == nil:
			return nil, noEntry("grub.cfg's default entry, %.80q, is on a filesystem that cannot be read here", e.Title)
		case e.on.Files != nil && e.on.N != root.N:
			return nil, noEntry("grub.cfg's default entry, %.80q, is on two filesystems", e.Title)
		}
		e.on = *root
		names = append(names, name)
	}
	return names, nil
}

// plainWord is a word of a command line that GRUB passes on as it is.
var plainWord = regexp.MustCompile(`^[!#-&(-\[\]-~]+$`)

// grubLine is the kernel's command line as GRUB makes it: BOOT_IMAGE comes first.
func grubLine(kernel string, words []grubWord) (string, error) {
	line := []string{"BOOT_IMAGE=" + kernel}
	for _, w := range words {
		switch {
		case w.isUncertain():
			return "", noEntry("grub.cfg has a variable in the kernel's command line")
		case w.text == "":
			return "", noEntry("grub.cfg has an empty word in the kernel's command line")
		case plainWord.MatchString(w.text):
			line = append(line, w.text)
		case plainWord.MatchString(strings.ReplaceAll(w.text, " ", "")):
			line = append(line, `"`+w.text+`"`)
		default:
			return "", noEntry("grub.cfg has %.80q in the kernel's command line", w.text)
		}
	}
	return withoutInitrd(line), nil
}

// grubDevice is GRUB's name of a partition of the first disk.
var grubDevice = regexp.MustCompile(`^\(?hd0,(?:gpt|msdos)?([1-9][0-9]{0,2})\)?$`)

// rootAfter is GRUB's root after a command; nil is one that cannot be read here.
func rootAfter(c grubCommand, all []Filesystem, root *Filesystem) *Filesystem {
	find := func(is func(Filesystem) bool) *Filesystem {
		if at := slices.IndexFunc(all, is); at >= 0 {
			return &all[at]
		}
		return nil
	}
	for _, w := range assignedWords(c) {
		if value, ok := strings.CutPrefix(w.text, "root="); ok {
			m := grubDevice.FindStringSubmatch(value)
			if m == nil {
				return nil
			}
			n, _ := strconv.Atoi(m[1])
			return find(func(f Filesystem) bool { return f.N == n })
		}
	}
	kind, name := searchedRoot(c)
	switch kind {
	case "":
		return root
	case "uuid":
		return find(func(f Filesystem) bool { return strings.EqualFold(f.UUID, name) && name != "" })
	case "label":
		return find(func(f Filesystem) bool { return f.Label == name && name != "" })
	}
	return nil
}

// rootKind is how a command gives GRUB's root a value: "set", or what a search looks for; "" where it does not.
func rootKind(c grubCommand) string {
	if slices.ContainsFunc(assignedWords(c), func(w grubWord) bool { return strings.HasPrefix(w.text, "root=") }) {
		return "set"
	}
	kind, _ := searchedRoot(c)
	return kind
}

// searchedRoot is what a search for root looks for; "" of any other command.
func searchedRoot(c grubCommand) (kind, name string) {
	words := c.words[1:]
	switch c.commandName() {
	case "search.fs_uuid", "search.fs_label", "search.file": // UUID [VARIABLE [HINT...]]
		if len(words) > 1 && words[1].text != "root" || len(words) == 0 {
			return "", ""
		}
		return map[string]string{"search.fs_uuid": "uuid", "search.fs_label": "label", "search.file": "file"}[c.commandName()], words[0].text
	case "search":
	default:
		return "", ""
	}
	kind, sets := "file", false
	for i := 0; i < len(words); i++ {
		switch w := words[i].text; {
		case w == "--fs-uuid" || w == "-u":
			kind = "uuid"
		case w == "--label" || w == "-l":
			kind = "label"
		case w == "--file" || w == "-f":
			kind = "file"
		case w == "--set" || w == "--set=root":
			sets = true
		case slices.Contains([]string{"--hint", "--hint-bios", "--hint-efi", "--hint-baremetal", "--hint-ieee1275", "--hint-arc"}, w):
			i++ // what it is
		case !strings.HasPrefix(w, "-"):
			name = w
		}
	}
	if !sets {
		return "", ""
	}
	return kind, name
}
