package entry

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// unifiedImage is a unified kernel image's parts (UAPI Group, "Unified Kernel Image Specification").
type unifiedImage struct {
	kernel, initrd          []byte
	line                    string
	title, version, sortKey string
}

// parseUnified takes a unified kernel image apart. What its stub would do beyond that is an error.
func parseUnified(image []byte) (u unifiedImage, err error) {
	all, err := sectionsOf(image)
	if err != nil {
		return u, err
	}
	sections := map[string][]byte{}
	for _, s := range all {
		if _, twice := sections[s.name]; twice || s.name == ".profile" || s.name == ".dtb" || s.name == ".dtbauto" || s.name == ".efifw" {
			return u, noEntry("the unified image has more to it than one kernel: section %.10q", s.name)
		}
		sections[s.name] = s.bytes
	}
	for name, most := range map[string]int{".cmdline": maxEntryText, ".osrel": maxRelease} {
		if len(sections[name]) > most {
			return u, noEntry("the unified image has more than %d bytes in %s", most, name)
		}
	}
	if u.kernel = sections[".linux"]; len(u.kernel) == 0 {
		return u, noEntry("it is no unified kernel image: it has no section .linux")
	}
	u.initrd = append(padArchive(bytes.Clone(sections[".ucode"])), sections[".initrd"]...)
	u.line = strings.TrimRight(string(sections[".cmdline"]), "\x00\n ")
	if len(u.line) > maxLine {
		return unifiedImage{}, noEntry("the unified image's command line has more than %d bytes", maxLine)
	}
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

// peSection is one of a PE file: its bytes are the file's, without the padding.
type peSection struct {
	name  string
	bytes []byte
}

// sectionsOf finds a PE file's sections (Microsoft, "PE Format"). The library's reader looks into what nobody needs here, relocations above all, of which a
// file of 3 MB can have 51 GB.
func sectionsOf(image []byte) (all []peSection, err error) {
	const header, entry = 24, 40 // bytes: of what begins with PE, and of an entry in the table
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(image[at:])) }
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(image[at:])) }
	if len(image) < 64 || image[0] != 'M' || image[1] != 'Z' || u32(60)+header > int64(len(image)) || !bytes.HasPrefix(image[u32(60):], []byte("PE\x00\x00")) {
		return nil, noEntry("it is no unified kernel image")
	}
	at := int(u32(60))
	n, table := u16(at+6), at+header+u16(at+20)
	if n > maxSections || table+n*entry > len(image) {
		return nil, noEntry("it is no unified kernel image: it has %d sections", n)
	}
	for ; n > 0; n, table = n-1, table+entry {
		name, _, _ := bytes.Cut(image[table:table+8], []byte{0})
		virtual, size, from := u32(table+8), u32(table+16), u32(table+20)
		if virtual != 0 {
			size = min(size, virtual)
		}
		if from+size > int64(len(image)) {
			return nil, noEntry("the unified image is cut in section %.10q", name)
		}
		all = append(all, peSection{string(name), image[from : from+size]})
	}
	return all, nil
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
