package depmod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// writeAll makes the indexes.
func writeAll(modules []*module, owners map[string]*module, layout Layout) (map[string][]byte, error) {
	var dep, alias, symbols, soft, weak, devices strings.Builder
	var depTrie, aliasTrie, symbolTrie trie
	alias.WriteString("# Aliases extracted from modules themselves.\n")
	soft.WriteString("# Soft dependencies extracted from modules themselves.\n")
	weak.WriteString("# Weak dependencies extracted from modules themselves.\n")
	symbols.WriteString("# Aliases for symbols, used by symbol_request().\n")
	for _, m := range modules {
		paths := []string{m.path + ":"}
		for _, n := range m.allNeeds() {
			paths = append(paths, n.path)
		}
		line := strings.Join(paths, " ")
		dep.WriteString(line + "\n")
		if dep.Len() > maxIndex {
			return nil, fmt.Errorf("modules.dep of more than %d bytes: %w", maxIndex, ErrTooMuch)
		}
		if err := depTrie.insert(m.name, line, m.order); err != nil {
			return nil, fmt.Errorf("module %s: %w", m.path, err)
		}
		for _, field := range m.fields {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "alias":
				fmt.Fprintf(&alias, "alias %s %s\n", value, m.name)
				normal, ok := normalAlias(value)
				if !ok {
					continue
				}
				if err := aliasTrie.insert(normal, m.name, m.order); err != nil {
					return nil, fmt.Errorf("module %s: %w", m.path, err)
				}
			case "softdep":
				fmt.Fprintf(&soft, "softdep %s %s\n", m.name, value)
			case "weakdep":
				fmt.Fprintf(&weak, "weakdep %s %s\n", m.name, value)
			}
		}
		writeDevice(&devices, m)
	}
	names := slices.Collect(maps.Keys(owners))
	sortAsTable(names, 2048, func(name string) string { return name })
	for _, name := range names {
		owner := owners[name]
		fmt.Fprintf(&symbols, "alias symbol:%s %s\n", name, owner.name)
		if err := symbolTrie.insert("symbol:"+name, owner.name, owner.order); err != nil {
			return nil, fmt.Errorf("module %s: %w", owner.path, err)
		}
	}
	made := map[string][]byte{"modules.dep": []byte(dep.String()), "modules.alias": []byte(alias.String()), "modules.symbols": []byte(symbols.String()),
		"modules.softdep": []byte(soft.String()), "modules.weakdep": []byte(weak.String()), "modules.devname": []byte(devices.String())}
	for name, t := range map[string]*trie{"modules.dep.bin": &depTrie, "modules.alias.bin": &aliasTrie, "modules.symbols.bin": &symbolTrie} {
		var err error
		if made[name], err = t.file(layout); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return made, nil
}

// normalAlias is an alias as modprobe looks for it, with "_" for every "-" that is not between brackets; false where brackets do
// not fit.
func normalAlias(alias string) (string, bool) {
	b := []byte(alias)
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '-':
			b[i] = '_'
		case ']':
			return "", false
		case '[':
			end := strings.IndexByte(alias[i:], ']')
			if end < 0 {
				return "", false
			}
			i += end
		}
	}
	return string(b), true
}

// writeDevice writes the device node that has a module loaded when it is opened: a line of modules.devname, "fuse fuse c10:229".
func writeDevice(b *strings.Builder, m *module) {
	var name, number string
	for _, field := range m.fields {
		value, is := strings.CutPrefix(field, "alias=")
		if !is {
			continue
		}
		if device, is := strings.CutPrefix(value, "devname:"); is {
			name = device
		} else if n := deviceNumber(value); n != "" {
			number = n
		}
		if name != "" && number != "" {
			if b.Len() == 0 {
				b.WriteString("# Device nodes to trigger on-demand module loading.\n")
			}
			fmt.Fprintf(b, "%s %s %s\n", m.name, name, number)
			return
		}
	}
}

// deviceNumber is "c10:229" for char-major-10-229, and "" for what is no such alias.
func deviceNumber(alias string) string {
	for _, kind := range []string{"char", "block"} {
		if !strings.HasPrefix(alias, kind) { // most are of a bus
			continue
		}
		var major, minor uint32
		if n, _ := fmt.Sscanf(alias, kind+"-major-%d-%d", &major, &minor); n == 2 {
			return fmt.Sprintf("%c%d:%d", kind[0], major, minor)
		}
	}
	return ""
}
