package debian

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd"
)

// confDir holds further settings, which /init sources in the order of their names.
const confDir = "conf/conf.d"

// initExports is what /init exports before it sources any settings (its first
// lines, the same from bullseye to trixie).
var initExports = []string{"ROOT", "ROOTDELAY", "ROOTFLAGS", "ROOTFSTYPE", "IP", "DEVICE", "BOOT", "BOOTIF", "UBIMTD", "DPKG_ARCH", "debug"}

// confFiles is the settings that an archive has, in the order in which /init
// sources them. conf/param.conf is for scripts to write; ORDER sources it after
// each of them.
func confFiles(img *initrd.Image) []string {
	files := []string{"conf/arch.conf", "conf/initramfs.conf"}
	if dir, ok := img.Resolve(confDir); ok {
		var more []string
		for name := range img.Tree() {
			if path.Dir(name) == dir && !strings.HasPrefix(path.Base(name), ".") { // as the shell's * has them
				more = append(more, confDir+"/"+path.Base(name))
			}
		}
		slices.Sort(more)
		files = append(files, more...)
	}
	return append(files, "conf/param.conf")
}

// SettingsFiles is the settings of an archive, in the order in which /init sources them.
func SettingsFiles(img *initrd.Image) []SourceFile {
	var files []SourceFile
	for i, name := range confFiles(img) {
		if i == maxConfFiles {
			return append(files, SourceFile{Name: confDir, Odd: "more files than are looked into"})
		}
		b, err := img.ReadFile(name)
		if err != nil {
			continue
		}
		f := SourceFile{Name: name, Text: b}
		if oddWord.MatchString(name) { // /init has it as several words, or as a pattern
			f.Odd = "its name is not one word"
		}
		files = append(files, f)
	}
	return files
}

// maxConfFiles bounds the files that are sourced.
const maxConfFiles = 1000

// oddWord is what a shell splits, or takes for a pattern.
var oddWord = regexp.MustCompile(`[][*?\\\s]`)

// initShell is the shell that runs /init once it has its settings.
func initShell(files []SourceFile) *shellState {
	s := newShell()
	for _, name := range initExports {
		s.setVariable(name, "", true)
		s.exportVariable(name)
	}
	s.sourceAll(files)
	return s
}

func (s *shellState) sourceAll(files []SourceFile) {
	for _, f := range files {
		s.sourceText(f.Name, f.Text)
		if f.Odd != "" {
			s.distrustAll("%s", f.Odd)
		}
	}
}

// Settings is the variables that files of settings set. Doubt says why none of them is
// certain; where it is "" each variable without Maybe is.
type Settings struct {
	Vars  map[string]Variable
	Doubt string
}

// Get is a setting's value, and whether it is certain.
func (s Settings) Get(name string) (string, bool) {
	v := s.Vars[name]
	return v.Value, s.Doubt == "" && len(v.Maybe) == 0
}

func (s *shellState) sourcedSettings() Settings {
	vars := maps.Clone(s.vars)
	maps.DeleteFunc(vars, func(_ string, v Variable) bool { return v.From == "" })
	return Settings{vars, s.blind}
}

// SourceInInit is the settings after the shell of /init, where some variables are set already, has sourced these texts, one after the
// other; names are for messages.
func SourceInInit(files []SourceFile) Settings { return initShell(files).sourcedSettings() }

// SourceFile is a file that a shell sources.
type SourceFile struct {
	Name string
	Text []byte
	Odd  string // why only the machine can tell what becomes of it
}
