package entry

import "strings"

// grubWord is a word of GRUB's shell. A variable in its text stands as NUL, name, NUL.
type grubWord struct {
	text   string
	quoted bool // at least in part: then it is no reserved word
}

func (w grubWord) isUncertain() bool { return strings.Contains(w.text, "\x00") }

// grubCommand is a command of GRUB's shell, as far as it is understood: its words, and the commands in braces behind them.
type grubCommand struct {
	words []grubWord
	maybe bool // it is run only under some condition
	body  []grubCommand
}

func (c grubCommand) commandName() string { return c.words[0].text }

// maxDepth bounds how deep braces may be nested.
const maxDepth = 8

// readGrubScript reads grub.cfg (GRUB's manual, "Writing full configuration files directly"). Nothing is run: conditions make what hangs on
// them uncertain.
func readGrubScript(text string) ([]grubCommand, error) {
	if strings.ContainsRune(text, 0) {
		return nil, noEntry("grub.cfg is no text")
	}
	s := &grubScanner{rest: text}
	all, err := s.readCommands(0)
	if err == nil && s.rest != "" {
		err = noEntry("grub.cfg has a brace that opens nothing")
	}
	return all, err
}

type grubScanner struct{ rest string }

// readCommands reads commands up to the closing brace, or to the end of the text.
func (s *grubScanner) readCommands(depth int) (all []grubCommand, err error) {
	conditions := 0
	for s.skipSeparators(); s.rest != ""; s.skipSeparators() {
		if s.atClosingBrace() {
			if depth > 0 {
				s.rest = s.rest[1:]
			}
			return all, nil
		}
		c, braces, err := s.readCommand()
		if err != nil {
			return nil, err
		}
		conditions += stripReserved(&c)
		c.maybe = conditions > 0
		if braces {
			if depth == maxDepth {
				return nil, noEntry("grub.cfg has more than %d braces in each other", maxDepth)
			}
			if c.body, err = s.readCommands(depth + 1); err != nil {
				return nil, err
			}
		}
		if len(c.words) > 0 {
			all = append(all, c)
		}
	}
	if depth > 0 {
		err = noEntry("grub.cfg ends before an entry of it does")
	}
	return all, err
}

// stripReserved takes the reserved words off a command's beginning, and counts the conditions that begin and end with them.
func stripReserved(c *grubCommand) (conditions int) {
	for len(c.words) > 0 && !c.words[0].quoted {
		switch c.words[0].text {
		case "if", "while", "until", "for":
			conditions++
			c.words = nil // the condition itself
		case "elif":
			c.words = nil
		case "fi", "done":
			conditions--
			c.words = c.words[1:]
		case "then", "else", "do":
			c.words = c.words[1:]
		default:
			return conditions
		}
	}
	return conditions
}

// skipSeparators skips what separates commands.
func (s *grubScanner) skipSeparators() {
	for {
		s.rest = strings.TrimLeft(s.rest, " \t\r\n;")
		if !strings.HasPrefix(s.rest, "#") {
			return
		}
		_, s.rest, _ = strings.Cut(s.rest, "\n")
	}
}

// atClosingBrace reports whether a closing brace is next.
func (s *grubScanner) atClosingBrace() bool {
	return strings.HasPrefix(s.rest, "}") && (len(s.rest) == 1 || strings.ContainsRune(" \t\r\n;", rune(s.rest[1])))
}

// readCommand reads one command's words, up to its end or an opening brace.
func (s *grubScanner) readCommand() (c grubCommand, braces bool, err error) {
	for {
		s.rest = strings.TrimLeft(s.rest, " \t\r")
		if cut, ok := strings.CutPrefix(s.rest, "\\\n"); ok {
			s.rest = cut
			continue
		}
		if s.rest == "" || s.rest[0] == '\n' || s.rest[0] == ';' {
			return c, false, nil
		}
		if s.rest[0] == '#' {
			_, s.rest, _ = strings.Cut(s.rest, "\n")
			return c, false, nil
		}
		w, err := s.readWord()
		if err != nil {
			return c, false, err
		}
		if w.text == "{" && !w.quoted {
			return c, true, nil
		}
		c.words = append(c.words, w)
	}
}

// readWord reads one word.
func (s *grubScanner) readWord() (w grubWord, err error) {
	var text strings.Builder
	quote := byte(0) // that is open
	for s.rest != "" {
		c := s.rest[0]
		switch {
		case quote == 0 && strings.IndexByte(" \t\r\n;", c) >= 0:
			w.text = text.String()
			return w, nil
		case c == '\'' && quote != '"', c == '"' && quote != '\'':
			if w.quoted = true; quote == 0 {
				quote = c
			} else {
				quote = 0
			}
			s.rest = s.rest[1:]
		case c == '\\' && quote != '\'' && len(s.rest) > 1:
			if next := s.rest[1]; next != '\n' {
				if quote == '"' && strings.IndexByte("\\\"$", next) < 0 {
					text.WriteByte('\\')
				}
				text.WriteByte(next)
			}
			w.quoted = true
			s.rest = s.rest[2:]
		case c == '$' && quote != '\'':
			s.readVariable(&text)
		default:
			text.WriteByte(c)
			s.rest = s.rest[1:]
		}
	}
	if quote != 0 {
		return w, noEntry("grub.cfg ends in a quotation")
	}
	w.text = text.String()
	return w, nil
}

// readVariable reads $name or ${name}; a $ alone is itself.
func (s *grubScanner) readVariable(text *strings.Builder) {
	rest := s.rest[1:]
	name, ok := "", false
	if strings.HasPrefix(rest, "{") {
		name, rest, ok = strings.Cut(rest[1:], "}")
	} else {
		end := strings.IndexFunc(rest, func(r rune) bool { return !isDigit(r) && !isLetter(r) && r != '_' && r != '?' })
		if end < 0 {
			end = len(rest)
		}
		name, rest = rest[:end], rest[end:]
		ok = name != ""
	}
	if !ok {
		text.WriteByte('$')
		s.rest = s.rest[1:]
		return
	}
	text.WriteString("\x00" + name + "\x00")
	s.rest = rest
}
