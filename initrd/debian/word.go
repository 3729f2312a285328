package debian

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// expandWord is what a word comes to, and whether that is certain. Words are not split
// and no file names are put in: assignments know neither.
func (s *shellState) expandWord(w *syntax.Word) (text string, certain bool) {
	if w == nil {
		return "", true
	}
	var b strings.Builder
	certain = true
	for i, part := range w.Parts {
		switch p := part.(type) {
		case *syntax.Lit:
			if i == 0 && strings.HasPrefix(p.Value, "~") {
				certain = false
			}
			if i+1 < len(w.Parts) && strings.HasSuffix(p.Value, "$") { // $'...' has escapes in some shells
				switch w.Parts[i+1].(type) {
				case *syntax.SglQuoted, *syntax.DblQuoted:
					certain = false
				}
			}
			b.WriteString(meantWord(unescapeWord(p.Value, "")))
		case *syntax.SglQuoted:
			b.WriteString(meantWord(p.Value))
			certain = certain && !p.Dollar
		case *syntax.DblQuoted:
			for _, inner := range p.Parts {
				if lit, ok := inner.(*syntax.Lit); ok {
					b.WriteString(meantWord(unescapeWord(lit.Value, "$`\"\\")))
					continue
				}
				certain = s.expandPart(&b, inner) && certain
			}
		default:
			certain = s.expandPart(&b, part) && certain
		}
		if b.Len() > maxSourced {
			s.distrustAll("a value grows too large")
			return "", false
		}
	}
	return b.String(), certain && s.blind == ""
}

// unescapeWord takes out backslashes before the characters in only, "" for all, and
// with them the line ends that they hide.
func unescapeWord(s, only string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			switch next := s[i+1]; {
			case next == '\n':
				i++
				continue
			case only == "" || strings.IndexByte(only, next) >= 0:
				i++
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// expandPart is $name and ${name} with a default or an alternative.
func (s *shellState) expandPart(b *strings.Builder, part syntax.WordPart) bool {
	p, ok := part.(*syntax.ParamExp)
	if !ok || p.Param == nil || !syntax.ValidName(p.Param.Value) || p.Excl || p.Length || p.Width || p.Index != nil ||
		p.Slice != nil || p.Repl != nil || p.Names != 0 || p.NestedParam != nil {
		s.mayAssign(part)
		return false
	}
	v, set := s.vars[p.Param.Value]
	if !set && ofTheShell.MatchString(p.Param.Value) || len(v.Maybe) > 0 && p.Exp != nil {
		s.mayAssign(part)
		return false
	}
	if p.Exp == nil {
		b.WriteString(v.Value)
		return len(v.Maybe) == 0
	}
	value := func() bool {
		text, certain := s.expandWord(p.Exp.Word)
		b.WriteString(text)
		return certain
	}
	switch op := p.Exp.Op; op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if set && (op == syntax.AlternateUnset || v.Value != "") {
			return value() && len(v.Maybe) == 0
		}
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		if !set || op == syntax.DefaultUnsetOrNull && v.Value == "" {
			return value() && len(v.Maybe) == 0
		}
		b.WriteString(v.Value)
	case syntax.AssignUnset, syntax.AssignUnsetOrNull:
		if !set || op == syntax.AssignUnsetOrNull && v.Value == "" {
			text, certain := s.expandWord(p.Exp.Word)
			s.setVariable(p.Param.Value, text, certain && len(v.Maybe) == 0)
			v = s.vars[p.Param.Value]
		}
		b.WriteString(v.Value)
	default:
		s.mayAssign(part)
		return false
	}
	return len(v.Maybe) == 0
}

// ofTheShell is the variables that a shell has by itself, and those that /init and its scripts work with: they have values that no settings say.
var ofTheShell = regexp.MustCompile(`[a-z]|^(?:PATH|HOME|PWD|OLDPWD|IFS|OPTIND|OPTARG|PPID|LINENO|PS[124]|RANDOM|HOSTNAME|TERM|SHELL|SHLVL|USER|LOGNAME|E?UID|PREREQ)$`)
