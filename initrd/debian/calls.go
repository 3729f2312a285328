package debian

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Calls is the commands that a shell script may run, as far as its text names them.
type Calls struct {
	// by is what each function calls; "" is what stands outside of all.
	by map[string][]string
	// asked is the last elements of what the script looks for before it calls it.
	asked map[string]bool
}

// ReadCalls reads a POSIX script. A name that only a running shell knows, such as
// "$x", is no name. What is nested in it takes the parser's stack, and one that has no room left ends the whole program: a long
// script is refused.
func ReadCalls(name string, script []byte) (*Calls, error) {
	if len(script) > maxSourced {
		return nil, fmt.Errorf("%s: %d bytes, too long to look into", name, len(script))
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(parseableScript(script)), name)
	if err != nil {
		return nil, err
	}
	c := &Calls{by: map[string][]string{}, asked: map[string]bool{}}
	c.walkPart(file, "")
	return c, nil
}

// walkPart adds what a part of function calls.
func (c *Calls) walkPart(part syntax.Node, function string) {
	if c.by[function] == nil {
		c.by[function] = []string{}
	}
	syntax.Walk(part, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.FuncDecl:
			c.walkPart(n.Body, n.Name.Value)
			return false
		case *syntax.CallExpr:
			c.addCall(n.Args, function)
		}
		return true
	})
}

func (c *Calls) addCall(args []*syntax.Word, function string) {
	if len(args) == 0 {
		return // assignments only
	}
	name, next := args[0].Lit(), ""
	if len(args) > 1 {
		next = args[1].Lit()
	}
	switch {
	case name == "command" && strings.HasPrefix(next, "-"), name == "type", name == "which":
		for _, a := range args[1:] {
			c.asked[path.Base(a.Lit())] = true
		}
		return
	case name == "[" || name == "test":
		for i, a := range args[:len(args)-1] {
			if slices.Contains([]string{"-x", "-e", "-f", "-r"}, a.Lit()) {
				c.asked[path.Base(args[i+1].Lit())] = true
			}
		}
	case name == "exec" || name == "command":
		c.addCall(args[1:], function)
	}
	if name != "" {
		c.by[function] = append(c.by[function], name)
	}
}

// Main is what a script calls outside of its functions.
func (c *Calls) Main() []string { return c.by[""] }

// Every is what it calls anywhere.
func (c *Calls) Every() []string {
	var all []string
	for _, names := range c.by {
		all = append(all, names...)
	}
	return all
}

// Reached is the commands that may run when those named do: they themselves, or if they are functions
// of the scripts, what these call in turn. Neither the shell's own commands nor what a
// script looks for first are among them. Sorted.
func Reached(names []string, scripts ...*Calls) []string {
	var commands []string
	seen := map[string]bool{}
	for todo := slices.Clone(names); len(todo) > 0; {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[name] || isBuiltin[name] {
			continue
		}
		seen[name] = true
		function, asked := false, false
		for _, c := range scripts {
			if body, ok := c.by[name]; ok {
				function = true
				todo = append(todo, body...)
			}
			asked = asked || c.asked[path.Base(name)]
		}
		if !function && !asked {
			commands = append(commands, name)
		}
	}
	slices.Sort(commands)
	return commands
}

// isBuiltin is the commands that both busybox ash and dash (klibc's sh) have in them.
var isBuiltin = func() map[string]bool {
	all := map[string]bool{}
	for _, name := range strings.Fields(`. : [ alias bg break cd command continue echo eval exec exit export false fg
		getopts hash jobs kill local printf pwd read readonly return set shift test times trap true type ulimit umask unalias
		unset wait`) {
		all[name] = true
	}
	return all
}()
