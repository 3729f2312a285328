package entry

import (
	"slices"
	"strings"
)

// GRUBNext is what a machine's GRUB starts next.
type GRUBNext struct {
	Title   string
	Kernel  string // as the entry names them, on whichever filesystem
	Initrds []string
}

// NextOfGRUB is what GRUB starts next by a machine's grub.cfg and grubenv, where there is no custom.cfg beside them. The error wraps [ErrNone]
// where that hangs on something which the two do not say.
func NextOfGRUB(config, environment string) (GRUBNext, error) {
	commands, err := readGrubScript(config)
	if err != nil {
		return GRUBNext{}, err
	}
	env := readGrubenv(environment)
	if env["prev_saved_entry"] != "" {
		return GRUBNext{}, noEntry("its grubenv has a prev_saved_entry")
	}
	def, err := grubDefault(commands, env["saved_entry"])
	if err != nil {
		return GRUBNext{}, err
	}
	if told := env["next_entry"]; told != "" {
		if !slices.ContainsFunc(commands, takesNextEntry) {
			return GRUBNext{}, noEntry("its grubenv has a next_entry, and grub.cfg does not take it")
		}
		def = told
	}
	items := findMenus(commands)
	if len(items) == 0 {
		return GRUBNext{}, noEntry("grub.cfg has no entries")
	}
	item, err := chooseMenu(items, def)
	if err != nil {
		return GRUBNext{}, err
	}
	return item.filesNamed()
}

// takesNextEntry reports whether a command makes what grub-reboot(8) has set the default.
func takesNextEntry(c grubCommand) bool {
	return slices.ContainsFunc(assignedWords(c), func(w grubWord) bool { return w.text == "default=\x00next_entry\x00" })
}

// filesNamed is the files that an entry names, without a look at where they are.
func (m grubMenu) filesNamed() (GRUBNext, error) {
	next := GRUBNext{Title: m.title}
	for _, c := range m.is.body {
		name := c.commandName()
		isKernel, isInitrd := slices.Contains(kernelCommands, name), slices.Contains(initrdCommands, name)
		switch {
		case slices.Contains(otherCommands, name):
			return next, noEntry("grub.cfg's default entry, %.80q, has %q", m.title, name)
		case !isKernel && !isInitrd:
			continue
		case c.maybe, len(c.words) < 2, isKernel && next.Kernel != "":
			return next, noEntry("grub.cfg's default entry, %.80q, hangs on a condition", m.title)
		case isKernel:
			next.Kernel = strings.TrimPrefix(c.words[1].text, "(\x00root\x00)")
		default:
			for _, w := range c.words[1:] {
				next.Initrds = append(next.Initrds, strings.TrimPrefix(w.text, "(\x00root\x00)"))
			}
		}
	}
	if next.Kernel == "" || strings.Contains(next.Kernel, "\x00") {
		return next, noEntry("grub.cfg's default entry, %.80q, has no kernel", m.title)
	}
	return next, nil
}
