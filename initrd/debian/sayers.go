package debian

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Functions that scripts say things with, Debian's and ours. What stands in quotes behind one is no command, as long as
// it does no more than print.
const sayers = `log_(?:success|failure|warning|begin|end)_msg|groundhog_say|groundhog_state`

var (
	saidText     = regexp.MustCompile("(?:log_(?:success|failure|warning|begin|end)_msg|groundhog_say|groundhog_state \\w+) \"(?:[^\"`$]|\\$[^\"`(])*\"")
	sayerName    = regexp.MustCompile(`^(?:` + sayers + `)$`)
	definesSayer = regexp.MustCompile(`(?:^|[\s;&|({])(?:` + sayers + `|_log_msg|printf|echo)\s*\(\s*\)|\balias\b.*(?:_msg|groundhog_|printf|echo)`)
)

// printers is the commands of such functions.
var printers = []string{"printf", "echo", "[", "return", "_log_msg", "groundhog_say"}

// maxSayerFiles bounds the files that are parsed to know how scripts say things; an archive has two or three.
const maxSayerFiles = 16

// lookForSayers finds out whether a script defines a function or an alias by the name of one that only prints, and has it run something.
// script is the text with the parts of its words joined; text is the same as it stands in the file.
func (f *wayFinder) lookForSayers(script string, text []byte) {
	if f.otherSayers || !slices.ContainsFunc(slices.Collect(strings.Lines(script)), func(line string) bool {
		line = strings.TrimSpace(line)
		return (strings.Contains(line, "(") || strings.Contains(line, "alias")) && !strings.HasPrefix(line, "#") && definesSayer.MatchString(line)
	}) {
		return
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(parseableScript(bytes.ReplaceAll(text, []byte{0}, nil))), "")
	if f.sayerFiles++; f.sayerFiles > maxSayerFiles || err != nil {
		f.otherSayers = true
		return
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.FuncDecl:
			if definesSayer.MatchString(n.Name.Value+"()") && !printsOnly(n.Body) {
				f.otherSayers = true
			}
		case *syntax.CallExpr:
			f.otherSayers = f.otherSayers || len(n.Args) > 0 && n.Args[0].Lit() == "alias"
		}
		return true
	})
}

// printsOnly reports whether a function runs nothing but commands that print.
func printsOnly(body syntax.Node) bool {
	only := true
	syntax.Walk(body, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst, *syntax.FuncDecl:
			only = false
		case *syntax.CallExpr:
			only = only && (len(n.Args) == 0 || slices.Contains(printers, n.Args[0].Lit()))
		}
		return only
	})
	return only
}
