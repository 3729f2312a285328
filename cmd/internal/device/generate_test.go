package device

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// generator makes ssh_config(5) files as people might write them.
type generator struct {
	*rand.Rand
	dir   string // where the files that it includes are
	files int
	plain bool // only what is understood without ssh, mostly
}

func (g *generator) pick(all ...string) string { return all[g.IntN(len(all))] }

func (g *generator) some(n int) bool { return g.IntN(n) == 0 }

// names are the hosts that a target can be; patterns are about them.
var (
	names    = []string{"a", "b", "dev-1", "dev-2", "box.lab", "Box.Lab", "10.0.0.7"}
	patterns = []string{"*", "a", "b", "dev-?", "dev-*", "*.lab", "*.*", "10.0.0.*", "!a", "!dev-2", "!*.lab", "box.lab", "??", "d*-*1", "nobody"}
	users    = []string{"me", "root", "you"}
)

func (g *generator) patterns(separator string) string {
	all := []string{}
	for range 1 + g.IntN(3) {
		all = append(all, g.pick(patterns...))
	}
	return strings.Join(all, separator)
}

// header begins a block.
func (g *generator) header() string {
	if g.plain || g.some(2) {
		return g.pick("Host ", "host ", "Host=", "HOST\t") + g.patterns(" ")
	}
	conditions := []string{}
	for range 1 + g.IntN(2) {
		conditions = append(conditions, g.condition())
	}
	if slices.Contains(conditions, "all") { // which stands alone
		conditions = []string{"all"}
	}
	return "Match " + strings.Join(conditions, " ")
}

func (g *generator) condition() string {
	switch g.IntN(9) {
	case 0:
		return "host " + g.patterns(",")
	case 1:
		return "originalhost " + g.patterns(",")
	case 2:
		return "user " + g.pick("me", "root", "r*", "!me", "me,you")
	case 3:
		return "exec " + g.pick(`"test %n = a"`, `"test %h = box.lab"`, `"test %r = root"`, "true", "false", `"test %p = 2222"`, `"exit 3"`)
	case 4:
		return "!exec " + g.pick(`"test %n = a"`, "false")
	case 5:
		return "localuser " + g.pick("*", "nobody-at-all")
	case 6:
		return "!host " + g.pick("a", "dev-?")
	case 7:
		return g.pick("host a exec false", "host a,b exec true", "host dev-1 user root", "final host a", "all", "canonical host *", "originalhost box.lab host box.lab")
	}
	return "host " + g.pick(names...)
}

// option is one line.
func (g *generator) option() string {
	file := g.pick("~/.ssh/%h", "/keys/%n-%p", "/k/%r@%h", "%d/x", "/k/100%%", "/u/%u/%i", "/k/%k", "/c/%C", "/h/%L/%l", "/e/${GROUNDHOG_TEST}/x", "/plain", "~/id")
	line := g.pick("HostName", "HostName", "User", "Port", "IdentityFile", "IdentityFile", "HostKeyAlias", "UserKnownHostsFile", "GlobalKnownHostsFile",
		"IdentitiesOnly", "CertificateFile", "ConnectTimeout", "AddressFamily", "IdentityAgent", "StrictHostKeyChecking", "ServerAliveInterval",
		"BindAddress", "ProxyJump", "ProxyCommand", "ControlPath", "RevokedHostKeys", "ForwardAgent", "RequestTTY")
	value := ""
	switch line {
	case "HostName":
		value = g.pick("%h", "%h.example.org", "192.0.2.1", "2001:db8::1", "x-%h", "Mixed.Example.ORG", "100%%.example.org")
	case "User":
		value = g.pick(users...)
	case "Port":
		value = g.pick("22", "2222", "2200", "65535")
	case "IdentityFile", "CertificateFile":
		value = file
		if g.some(8) {
			value = `"~/my keys/%h"`
		}
	case "HostKeyAlias":
		value = g.pick("alias", "Alias", "lab-box")
	case "UserKnownHostsFile":
		value = g.pick(file, file+" /known/two", "none", "/dev/null", `"/known/with blank"`, "~/.ssh/known_%n /b /c")
	case "GlobalKnownHostsFile":
		value = g.pick("none", "/dev/null", "/etc/known /etc/known2")
	case "IdentitiesOnly":
		value = g.pick("yes", "no")
	case "ConnectTimeout":
		value = g.pick("5", "30", "120")
	case "AddressFamily":
		value = g.pick("any", "inet", "inet6")
	case "IdentityAgent":
		value = g.pick("none", "SSH_AUTH_SOCK", "~/agent", "/run/%u/agent", "$GROUNDHOG_TEST")
	case "StrictHostKeyChecking":
		value = g.pick("no", "accept-new", "yes", "ask")
	case "ServerAliveInterval":
		value = "15"
	case "BindAddress":
		value = "127.0.0.1"
	case "ProxyJump":
		value = g.pick("none", "jump", "me@jump:2222", "one,two")
	case "ProxyCommand":
		value = g.pick("none", "nc %h %p", "ssh -W [%h]:%p -l %r gate # no comment", "connect %n %%")
		if g.plain {
			value = "none"
		}
	case "ControlPath":
		value = g.pick("~/.ssh/%C", "none", "/tmp/%r@%h:%p")
	case "RevokedHostKeys":
		value = g.pick("none", "/etc/ssh/revoked")
	case "ForwardAgent", "RequestTTY":
		value = g.pick("yes", "no")
	}
	if g.some(5) {
		line = strings.ToLower(line)
	} else if g.some(10) {
		line = strings.ToUpper(line)
	}
	comment := ""
	if !g.plain && g.some(20) && line != "ProxyCommand" && line != "proxycommand" {
		comment = " # why"
	}
	return g.pick("", "  ", "\t") + line + g.pick(" ", " ", "=", " = ", "\t") + value + comment
}

// text is a whole file; deep is how many files include it.
func (g *generator) text(t *testing.T, deep int) string {
	var b strings.Builder
	for range g.IntN(3) {
		b.WriteString(g.option() + "\n")
	}
	for range 1 + g.IntN(4) {
		b.WriteString(g.header() + "\n")
		for range 1 + g.IntN(4) {
			switch {
			case deep < 2 && g.some(10):
				g.files++
				name := filepath.Join(g.dir, fmt.Sprintf("included-%d", g.files))
				write(t, name, g.text(t, deep+1))
				b.WriteString("Include " + name + "\n")
			case g.some(12):
				b.WriteString(g.pick("\n", "# a comment\n", "   \n"))
			default:
				b.WriteString(g.option() + "\n")
			}
		}
	}
	return b.String()
}
