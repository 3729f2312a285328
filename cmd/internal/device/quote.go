package device

import "strings"

// Quote is s as one word of POSIX sh, whatever is in it (2.2.2, single-quotes).
// A NUL cannot be in a word and is dropped.
func Quote(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+:,./_-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// loginQuote is a command as what stands behind `/bin/sh -c`, for any login shell. Between single quotes csh knows a history (!) and no
// second line, and fish takes two backslashes for one: a command with such is written out anew by the sh that runs it.
func loginQuote(command string) string {
	if strings.ContainsAny(command, "!\n") || strings.Contains(command, `\\`) || strings.Contains(command, `\'`) || strings.HasSuffix(command, `\`) {
		return `'eval "$(printf %b "$1")"' /bin/sh '` + printfOctal.Replace(command) + "'"
	}
	return Quote(command)
}

// printfOctal writes for printf's %b (POSIX, printf) what no two login shells agree on.
var printfOctal = strings.NewReplacer("\x00", "", "\n", `\0012`, "!", `\0041`, "'", `\0047`, `\`, `\0134`)

// quoteAll is words, each quoted, with a blank before each.
func quoteAll(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(" " + Quote(w))
	}
	return b.String()
}
