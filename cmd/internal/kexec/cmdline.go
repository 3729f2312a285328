package kexec

import "strings"

// Go is the line by which the client tells the device to start the loaded kernel.
const Go = "go\n"

// nextCmdline is the running kernel's command line for the next one. initrd= goes: it is how systemd-boot and the kernel's
// EFI stub name the initramfs that they load.
func nextCmdline(running string) string {
	var kept []string
	for _, word := range splitWords(running) {
		if !strings.HasPrefix(word, "initrd=") {
			kept = append(kept, word)
		}
	}
	return strings.Join(kept, " ")
}

// splitWords cuts at white space outside of double quotes, as the kernel does (next_arg in lib/cmdline.c).
func splitWords(line string) []string {
	quoted := false
	return strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\n' || r == '\t')
	})
}
