package debian

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// Bounds of what is sourced: it comes with an archive that anybody may have made.
const (
	maxSourced    = 64 << 10 // bytes of a file
	maxShellState = 1 << 20  // bytes of all values
	maxOtherWords = 16       // values that a variable may have instead
)

// standIn and those behind it stand for bytes, each by its value, while a text is parsed: the parser drops carriage returns and refuses what
// is no UTF-8, and a shell takes both as they are, in a comment of Latin-1, for example.
const standIn = '\uf000'

// parseableScript is a script with stand-ins for such bytes, and for those of the stand-ins' own characters.
func parseableScript(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == '\r' || r == utf8.RuneError && n == 1 || r >= standIn && r <= standIn+0xff {
			for _, b := range text[:n] {
				out = utf8.AppendRune(out, standIn+rune(b))
			}
		} else {
			out = append(out, text[:n]...)
		}
		text = text[n:]
	}
	return out
}

// meantWord is a word of a parsed script with the bytes that its stand-ins stand for.
func meantWord(word string) string {
	var out []byte
	for _, r := range word {
		if r >= standIn && r <= standIn+0xff {
			out = append(out, byte(r-standIn))
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

// Variable is a shell's variable after files were sourced.
type Variable struct {
	Value string
	From  string // the file that set it last, "" where none did
	// Maybe is the values that it may have instead, because a command decides
	// that only the running machine can answer.
	Maybe    []string
	exported bool
}

// shellState is what a shell knows after it has sourced files (POSIX.1-2024, "Shell
// Command Language"). Nothing is run: what only a running machine can tell makes
// a variable uncertain, and what may set any variable makes all of them so.
type shellState struct {
	vars map[string]Variable
	from string // the file that is being sourced
	// unsure is set while commands are looked at that may not be run.
	unsure bool
	// blind says why nothing is certain any more.
	blind string
	size  int
}

func newShell() *shellState { return &shellState{vars: map[string]Variable{}} }

// childEnvironment is what a program that the shell runs finds in its environment.
func (s *shellState) childEnvironment() *shellState {
	c := &shellState{vars: maps.Clone(s.vars), blind: s.blind, size: s.size}
	maps.DeleteFunc(c.vars, func(_ string, v Variable) bool { return !v.exported })
	return c
}

// sourceText reads a file as "." does.
func (s *shellState) sourceText(name string, text []byte) {
	s.from = name
	if len(text) > maxSourced {
		s.distrustAll("%d bytes, too long to look into", len(text))
		return
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(parseableScript(text)), name)
	if err != nil {
		s.distrustAll("the shell that sources it would stop with an error")
		return
	}
	s.followAll(file.Stmts)
}

func (s *shellState) distrustAll(format string, args ...any) {
	if s.blind == "" {
		s.blind = s.from + ": " + fmt.Sprintf(format, args...)
	}
}

func (s *shellState) followStatement(st *syntax.Stmt) (status commandEnd) {
	certain := true
	for _, r := range st.Redirs {
		s.mayAssign(r.Word)
		if r.Hdoc != nil {
			s.mayAssign(r.Hdoc)
		}
		certain = certain && opensAlways(r)
	}
	if st.Background || st.Coprocess {
		return endsWell // of a process of its own
	}
	if certain {
		status = s.followCommand(st.Cmd)
	} else {
		s.perhaps(func() { s.followCommand(st.Cmd) })
	}
	if st.Negated {
		status = -status
	}
	return status
}

// opensAlways reports whether a redirection cannot fail; where one does, the command is not run.
func opensAlways(r *syntax.Redirect) bool {
	to := r.Word.Lit()
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		return true
	case syntax.RdrOut, syntax.AppOut, syntax.RdrClob:
		return to == "/dev/null"
	case syntax.DplOut:
		return to == "1" || to == "2"
	}
	return false
}

// mayAssign looks at the expansions in a part that is not followed: ${X:=y} may give X a value.
func (s *shellState) mayAssign(part syntax.Node) {
	s.perhaps(func() {
		syntax.Walk(part, func(n syntax.Node) bool {
			p, ok := n.(*syntax.ParamExp)
			if ok && p.Param != nil && p.Exp != nil && (p.Exp.Op == syntax.AssignUnset || p.Exp.Op == syntax.AssignUnsetOrNull) && syntax.ValidName(p.Param.Value) {
				text, _ := s.expandWord(p.Exp.Word)
				s.setVariable(p.Param.Value, text, false)
				return false // the word was looked at
			}
			return true
		})
	})
}

// commandEnd is how a command ends, as far as that is known.
type commandEnd int

const (
	endsBadly   commandEnd = -1
	endsUnknown commandEnd = 0
	endsWell    commandEnd = 1
)

func (s *shellState) followCommand(cmd syntax.Command) commandEnd {
	switch c := cmd.(type) {
	case nil:
		return endsWell
	case *syntax.CallExpr:
		return s.followCall(c)
	case *syntax.DeclClause:
		return s.followDeclaration(c)
	case *syntax.Block:
		return s.followAll(c.Stmts)
	case *syntax.BinaryCmd:
		return s.followBinary(c)
	case *syntax.IfClause:
		return s.ifClause(c)
	case *syntax.Subshell:
		return endsUnknown
	case *syntax.FuncDecl:
		// Whether and when it is called is not followed.
		s.perhaps(func() { s.followStatement(c.Body) })
		return endsWell
	case *syntax.CaseClause:
		s.mayAssign(c.Word)
		for _, item := range c.Items {
			for _, pattern := range item.Patterns {
				s.mayAssign(pattern)
			}
			s.perhaps(func() { s.followAll(item.Stmts) })
		}
	case *syntax.WhileClause:
		s.perhaps(func() { s.followAll(c.Cond); s.followAll(c.Do) })
	case *syntax.ForClause:
		s.mayAssign(c.Loop)
		s.perhaps(func() { s.followAll(c.Do) })
		if loop, ok := c.Loop.(*syntax.WordIter); ok {
			s.perhaps(func() { s.setVariable(loop.Name.Value, "", false) })
		}
	default:
		s.distrustAll("line %d is more than is followed", cmd.Pos().Line())
	}
	return endsUnknown
}

// perhaps looks at commands that may be run, or not, or often.
func (s *shellState) perhaps(f func()) {
	was := s.unsure
	s.unsure = true
	f()
	s.unsure = was
}

// when looks at what is run if a condition is met.
func (s *shellState) when(condition commandEnd, f func()) {
	switch condition {
	case endsWell:
		f()
	case endsUnknown:
		s.perhaps(f)
	}
}

func (s *shellState) followAll(list []*syntax.Stmt) (status commandEnd) {
	status = endsWell
	for _, st := range list {
		status = s.followStatement(st)
	}
	return status
}

func (s *shellState) followBinary(c *syntax.BinaryCmd) commandEnd {
	switch c.Op {
	case syntax.AndStmt:
		left, right := s.followStatement(c.X), endsUnknown
		s.when(left, func() { right = s.followStatement(c.Y) })
		return min(left, right)
	case syntax.OrStmt:
		left, right := s.followStatement(c.X), endsUnknown
		s.when(-left, func() { right = s.followStatement(c.Y) })
		return max(left, right)
	}
	return endsUnknown // a pipe: each side is a process of its own
}

func (s *shellState) ifClause(c *syntax.IfClause) commandEnd {
	if len(c.Cond) == 0 { // else
		return s.followAll(c.Then)
	}
	met := s.followAll(c.Cond)
	s.when(met, func() { s.followAll(c.Then) })
	if c.Else != nil {
		s.when(-met, func() { s.ifClause(c.Else) })
	}
	return endsUnknown
}

// setVariable gives a variable a value, or may do so.
func (s *shellState) setVariable(name, value string, certain bool) {
	if name == "IFS" {
		s.distrustAll("it sets IFS, by which the shell splits words")
		return
	}
	v := s.vars[name]
	if s.size += len(value); s.size > maxShellState {
		s.distrustAll("its values grow too large")
		return
	}
	if certain && !s.unsure {
		v.Value, v.Maybe = value, nil
	} else if !slices.Contains(v.Maybe, value) {
		if len(v.Maybe) == maxOtherWords {
			s.distrustAll("too many values that %s may have", name)
			return
		}
		v.Maybe = append(slices.Clip(v.Maybe), value)
	}
	v.From = s.from
	s.vars[name] = v
}

func (s *shellState) exportVariable(name string) {
	v := s.vars[name]
	v.exported = true
	s.vars[name] = v
}

// followCall is a simple command.
func (s *shellState) followCall(c *syntax.CallExpr) commandEnd {
	if len(c.Args) == 0 {
		s.followAssignments(c.Assigns)
		return endsWell
	}
	name, certain := s.expandWord(c.Args[0])
	if !certain {
		s.distrustAll("line %d runs what only the machine knows", c.Pos().Line())
		return endsUnknown
	}
	args := c.Args[1:]
	switch name {
	case "export", "readonly", ":", "unset":
	default:
		for _, a := range c.Assigns { // for the command alone
			if a.Value != nil {
				s.mayAssign(a.Value)
			}
		}
	}
	switch name {
	case "export", "readonly", ":", "unset": // the assignments before a special built-in stay
		s.followAssignments(c.Assigns)
		return s.followBuiltin(name, args)
	case "[", "test":
		return s.followTest(name, args)
	case "true", "false":
		for _, w := range args {
			s.expandWord(w)
		}
		return map[string]commandEnd{"true": endsWell, "false": endsBadly}[name]
	case ".", "source", "eval", "read", "getopts", "alias", "exec", "exit", "return", "trap", "set", "shift", "break", "continue", "command", "builtin", "let", "[[", "local", "declare", "typeset":
		s.distrustAll("line %d: %q is more than is followed", c.Pos().Line(), name)
	}
	for i, w := range args { // ${X:=y} among them
		if text, certain := s.expandWord(w); name == "printf" && i == 0 && (!certain || strings.HasPrefix(text, "-")) { // -v X
			s.distrustAll("line %d: %q is more than is followed", c.Pos().Line(), name)
		}
	}
	return endsUnknown
}

func (s *shellState) followAssignments(list []*syntax.Assign) {
	for _, a := range list {
		if a.Append || a.Index != nil || a.Array != nil {
			s.distrustAll("line %d is more than is followed", a.Pos().Line())
			continue
		}
		value, certain := s.expandWord(a.Value)
		s.setVariable(a.Name.Value, value, certain)
	}
}

// followDeclaration is export or readonly, where the parser knows them for what they are.
func (s *shellState) followDeclaration(c *syntax.DeclClause) commandEnd {
	for _, a := range c.Args {
		if a.Name == nil { // a quoted word, an expansion, an option
			s.followBuiltin(c.Variant.Value, []*syntax.Word{a.Value})
			continue
		}
		if a.Value != nil {
			s.followAssignments([]*syntax.Assign{a})
		}
		if c.Variant.Value == "export" {
			s.exportVariable(a.Name.Value)
		}
	}
	return endsWell
}

func (s *shellState) followBuiltin(name string, args []*syntax.Word) commandEnd {
	for _, w := range args {
		text, certain := s.expandWord(w)
		variable, value, assigned := strings.Cut(text, "=")
		switch {
		case name == ":", text == "-p" && certain && name != "unset":
			continue
		case !certain && !assigned:
			s.distrustAll("%s of what only the machine knows", name)
			continue
		case !syntax.ValidName(variable), name == "unset" && assigned:
			s.distrustAll("%s %.40q is more than is followed", name, text)
			continue
		case name == "unset" && certain && !s.unsure:
			delete(s.vars, variable)
			continue
		case name == "unset":
			s.setVariable(variable, "", false)
			continue
		case assigned:
			s.setVariable(variable, value, certain)
		}
		if name == "export" {
			s.exportVariable(variable)
		}
	}
	return endsWell
}

// followTest is the comparisons that settings are made to depend on.
func (s *shellState) followTest(name string, words []*syntax.Word) commandEnd {
	var args []string
	for _, w := range words {
		text, certain := s.expandWord(w)
		if !certain {
			return endsUnknown
		}
		args = append(args, text)
	}
	if name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return endsUnknown
		}
		args = args[:len(args)-1]
	}
	is := func(b bool) commandEnd {
		if b {
			return endsWell
		}
		return endsBadly
	}
	switch {
	case len(args) == 1:
		return is(args[0] != "")
	case len(args) == 2 && args[0] == "-n":
		return is(args[1] != "")
	case len(args) == 2 && args[0] == "-z":
		return is(args[1] == "")
	case len(args) == 3 && (args[1] == "=" || args[1] == "=="):
		return is(args[0] == args[2])
	case len(args) == 3 && args[1] == "!=":
		return is(args[0] != args[2])
	}
	return endsUnknown
}
