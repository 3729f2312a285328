package device

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ConfiguredHosts is the hosts that an ssh_config(5) file names, sorted: those of its Host lines that are no patterns, and of
// the files that it includes. An empty path means the user's own file. It is for a shell to offer: what cannot be read is not
// offered, and no more is said of it.
func ConfiguredHosts(path, home string) []string {
	if path == "" {
		path = filepath.Join(home, ".ssh/config")
	}
	var names []string
	collectHosts(path, home, map[string]bool{}, &names)
	slices.Sort(names)
	return slices.Compact(names)
}

// IsConfigured reports whether the ssh configuration has a host of that name: one of its Host lines names it, or it leads to another name than its own.
// config is as [Options] has it. Nothing is looked up but what the configuration itself has ssh(1) look up.
func IsConfigured(ctx context.Context, name, config string) bool {
	me, err := whoAmI()
	if err != nil || isNoConfig(config) || CheckFiles(config, nil) != nil {
		return false
	}
	files := []string{config}
	if config == "" {
		files = append(files, "/etc/ssh/ssh_config")
	}
	for _, file := range files {
		if slices.Contains(ConfiguredHosts(file, me.home), name) {
			return true
		}
	}
	a, err := askConfig(ctx, Target{Host: name}, config, false, me)
	return err == nil && !strings.EqualFold(a.firstValue("hostname"), name)
}

// mostIncluded bounds how many files are looked into. Each is once: two that include each other twice would have no end to speak of.
const mostIncluded = 1000

func collectHosts(path, home string, seen map[string]bool, names *[]string) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || seen[path] || len(seen) == mostIncluded {
		return
	}
	seen[path] = true
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(line)
		end := strings.IndexAny(line, " \t=")
		if end < 0 {
			continue
		}
		keyword, value := line[:end], strings.Replace(line[end:], "=", " ", 1)
		switch strings.ToLower(keyword) {
		case "host":
			for _, name := range strings.Fields(value) {
				name = unquotedWord(name)
				if name != "" && !strings.ContainsAny(name, "*?!#\"") {
					*names = append(*names, name)
				}
			}
		case "include":
			for _, pattern := range strings.Fields(value) {
				pattern = unquotedWord(pattern)
				if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
					pattern = filepath.Join(home, rest)
				} else if !filepath.IsAbs(pattern) {
					pattern = filepath.Join(home, ".ssh", pattern)
				}
				files, _ := filepath.Glob(pattern)
				for _, name := range files {
					collectHosts(name, home, seen, names)
				}
			}
		}
	}
}

// unquotedWord is a word without the quotes around it.
func unquotedWord(word string) string {
	if len(word) >= 2 && word[0] == '"' && word[len(word)-1] == '"' {
		return word[1 : len(word)-1]
	}
	return word
}
