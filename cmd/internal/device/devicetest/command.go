package devicetest

import (
	"io"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Command is what the device is asked to do.
type Command struct {
	Text   string   // for the shell; of a program its text
	Args   []string // of a program
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	channel ssh.Channel
}

// Endings of an answer that are no exit status.
const (
	Pass      = -1 // the device's own answer, after all
	Killed    = -2 // by a signal
	Gone      = -3 // the connection ends, and nothing is said of the end
	Rebooting = -4 // it ends well, and the device reboots
)

// Say answers with a text.
func Say(text string, exit int) func(*Command) int {
	return func(c *Command) int { io.WriteString(c.Stdout, text); return exit }
}

// Complain answers with a text on standard error.
func Complain(text string, exit int) func(*Command) int {
	return func(c *Command) int { io.WriteString(c.Stderr, text+"\n"); return exit }
}

// loadingPrefix is how a program of any length is sent: it comes first on standard input (device.Client.Script).
var loadingPrefix = regexp.MustCompile(`^groundhog_program=\$\(dd bs=1 count=([0-9]+) 2>/dev/null\); case `)

// framingPrefix is how the client has a command begin: with a word that the command says on both of its outputs.
var framingPrefix = regexp.MustCompile(`^printf "%s%s\\n" ([0-9a-f]+) ([0-9a-f]+); printf "%s%s\\n" [0-9a-f]+ [0-9a-f]+ >&2; `)

// octalEscape is how the client writes what no two login shells agree on.
var octalEscape = regexp.MustCompile(`\\0[0-7]{3}`)

// parseCommand takes off what device.Client wraps a command in, and says the word that it begins with.
func parseCommand(line string, channel ssh.Channel) *Command {
	c := &Command{Text: line, Stdin: channel, Stdout: channel, Stderr: channel.Stderr(), channel: channel}
	for range 2 {
		if m := framingPrefix.FindStringSubmatch(c.Text); m != nil {
			c.Text = c.Text[len(m[0]):]
			io.WriteString(c.Stdout, m[1]+m[2]+"\n")
			io.WriteString(c.Stderr, m[1]+m[2]+"\n")
		}
		words := shellWords(c.Text)
		if len(words) < 4 || words[0] != "exec" || words[1] != "/bin/sh" || words[2] != "-c" {
			break
		}
		c.Text = words[3]
		if c.Text == `eval "$(printf %b "$1")"` && len(words) == 6 {
			c.Text = octalEscape.ReplaceAllStringFunc(words[5], func(e string) string {
				n, _ := strconv.ParseUint(e[2:], 8, 8)
				return string(rune(n))
			})
		} else if len(words) > 5 {
			c.Args = words[5:]
		}
	}
	if m := loadingPrefix.FindStringSubmatch(c.Text); m != nil {
		n, _ := strconv.Atoi(m[1])
		program := make([]byte, n)
		io.ReadFull(channel, program)
		c.Text = string(program)
	}
	return c
}

// shellWords splits what device.Quote wrote.
func shellWords(s string) (words []string) {
	var word strings.Builder
	quoted, any := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'':
			quoted, any = !quoted, true
		case c == '\\' && !quoted && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			any = true
		case c == ' ' && !quoted:
			if any {
				words = append(words, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		words = append(words, word.String())
	}
	return words
}
