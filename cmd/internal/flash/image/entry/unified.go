package entry

import (
	"bytes"
	"debug/pe"
	"strings"
)

// unified is a unified kernel image's parts (UAPI Group, "Unified Kernel Image Specification").
type unified struct {
	kernel, initrd          []byte
	line                    string
	title, version, sortKey string
}

// parseUnified takes a unified kernel image apart. What its stub would do beyond that is an error.
func parseUnified(image []byte) (u unified, err error) {
	f, err := pe.NewFile(bytes.NewReader(image))
	if err != nil {
		return u, none("it is no unified kernel image: %v", err)
	}
	sections := map[string][]byte{}
	for _, s := range f.Sections {
		b, err := section(image, s)
		if err != nil {
			return u, err
		}
		if _, twice := sections[s.Name]; twice || s.Name == ".profile" || s.Name == ".dtb" || s.Name == ".dtbauto" || s.Name == ".efifw" {
			return u, none("the unified image has more to it than one kernel: section %.10q", s.Name)
		}
		sections[s.Name] = b
	}
	if u.kernel = sections[".linux"]; len(u.kernel) == 0 {
		return u, none("it is no unified kernel image: it has no section .linux")
	}
	u.initrd = append(padded(bytes.Clone(sections[".ucode"])), sections[".initrd"]...)
	u.line = strings.TrimRight(string(sections[".cmdline"]), "\x00\n ")
	release := osRelease(string(sections[".osrel"]))
	pick := func(names ...string) string {
		for _, n := range names {
			if v := release[n]; v != "" {
				return v
			}
		}
		return ""
	}
	u.title = pick("PRETTY_NAME", "IMAGE_ID", "NAME", "ID")
	u.version = pick("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID")
	u.sortKey = pick("IMAGE_ID", "ID")
	return u, nil
}

// section is a section's bytes in the file, without the padding.
func section(image []byte, s *pe.Section) ([]byte, error) {
	n := min(s.VirtualSize, s.Size)
	if s.VirtualSize == 0 {
		n = s.Size
	}
	if int64(s.Offset)+int64(n) > int64(len(image)) {
		return nil, none("the unified image is cut in section %.10q", s.Name)
	}
	return image[s.Offset:][:n], nil
}

// osRelease reads os-release(5).
func osRelease(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok {
			all[name] = strings.Trim(value, `"'`)
		}
	}
	return all
}
