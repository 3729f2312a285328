//go:build e2e

package debian_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures"
	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/debian/dropbear"
	"groundhog/patches/sysroot"
)

// The owner's key and one that should not be there.
var owner, other = signerOf(1), signerOf(2)

func signerOf(b byte) ssh.Signer {
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize)))
	if err != nil {
		panic(err)
	}
	return s
}

func lineOf(s ssh.Signer) string { return string(ssh.MarshalAuthorizedKey(s.PublicKey())) }

// bareKey is a key's line with neither a comment nor its end.
func bareKey(s ssh.Signer) string { return strings.TrimSpace(lineOf(s)) }

// way is a change to an archive that may let somebody else in.
type way struct {
	name  string
	edits map[string]edit
}

type edit struct {
	mode uint32 // 0: 0644 of a file, 0755 of a directory
	uid  uint32
	data string
	link bool
	dir  bool
}

const owners = "root:*:0:0::/root-x:/bin/sh\n"

// evil is a home with the other key.
func evil(more map[string]edit) map[string]edit {
	all := map[string]edit{"evil": {dir: true}, "evil/.ssh": {dir: true}, "evil/.ssh/authorized_keys": {data: lineOf(other), mode: 0o600}}
	for name, e := range more {
		all[name] = e
	}
	return all
}

func passwd(lines string) map[string]edit { return evil(map[string]edit{"etc/passwd": {data: lines}}) }

func options(conf string, more map[string]edit) map[string]edit {
	all := evil(more)
	all["etc/dropbear/config"], all["etc/dropbear/dropbear.conf"] = edit{data: conf}, edit{data: conf}
	return all
}

func ways() []way {
	keys := "root-x/.ssh/authorized_keys"
	return []way{
		{"as it is", nil},
		{"a home nobody has", evil(nil)},
		{"a second root", passwd(owners + "toor:*:0:0::/evil:/bin/sh\n")},
		{"a second root first", passwd("toor:*:0:0::/evil:/bin/sh\n" + owners)},
		{"six fields", passwd("root:*:0:0::/evil\n" + owners)},
		{"four fields", passwd("root:*:0:0\n" + owners)},
		{"blanks before it", passwd("  root:*:0:0::/evil:/bin/sh\n" + owners)},
		{"a comment", passwd("#root:*:0:0::/evil:/bin/sh\n" + owners)},
		{"uid +0", passwd("root:*:+0: 0::/evil:\n" + owners)},
		{"uid 0x0", passwd("root:*:0x0:0::/evil:/bin/sh\n" + owners)},
		{"another user", passwd(owners + "me:*:1000:1000::/evil:/bin/sh\n")},
		{"a carriage return", passwd("root:*:0:0::/evil:/bin/sh\r\n" + owners)},
		{"home /", evil(map[string]edit{"etc/passwd": {data: "root:*:0:0::/:/bin/sh\n"}, ".ssh": {dir: true}, ".ssh/authorized_keys": {data: lineOf(other)}})},
		{"no home", evil(map[string]edit{"etc/passwd": {data: "root:*:0:0:::/bin/sh\n"}, ".ssh": {dir: true}, ".ssh/authorized_keys": {data: lineOf(other)}})},
		{"home without a slash", passwd("root:*:0:0::evil:/bin/sh\n")},
		{"home with slashes", passwd("root:*:0:0::///evil//:/bin/sh\n")},
		{"home with dots", passwd("root:*:0:0::/root-x/../evil:/bin/sh\n")},
		{"home through a link", evil(map[string]edit{"etc/passwd": {data: "root:*:0:0::/l:/bin/sh\n"}, "l": {link: true, data: "evil"}})},
		{"dots through a link", evil(map[string]edit{"etc/passwd": {data: "root:*:0:0::/l/../evil:/bin/sh\n"}, "l": {link: true, data: "usr/share"},
			"usr/share": {dir: true}, "usr/evil": {dir: true}, "usr/evil/.ssh": {dir: true}, "usr/evil/.ssh/authorized_keys": {data: lineOf(other)}})},
		{"keys through a link", evil(map[string]edit{keys: {link: true, data: "/evil/.ssh/authorized_keys"}})},
		{"invalid shell", passwd("root:*:0:0::/evil:/bin/false\n")},
		{"shell in etc/shells", evil(map[string]edit{"etc/passwd": {data: "root:*:0:0::/evil:/bin/x\n"}, "etc/shells": {data: "# x\n /bin/x # y\n"}})},
		{"shell not in etc/shells", evil(map[string]edit{"etc/passwd": {data: "root:*:0:0::/evil:/bin/sh\n"}, "etc/shells": {data: "/bin/x\n"}})},
		{"empty shell", passwd("root:*:0:0::/evil:\n")},
		{"home for the group", map[string]edit{"root-x": {dir: true, mode: 0o770}}},
		{".ssh for all", map[string]edit{"root-x/.ssh": {dir: true, mode: 0o757}}},
		{"keys for the group", map[string]edit{keys: {mode: 0o660, data: lineOf(owner)}}},
		{"keys of another", map[string]edit{keys: {uid: 1000, data: lineOf(owner)}}},
		{"home of another", map[string]edit{"root-x": {dir: true, mode: 0o700, uid: 1000}}},
		{"home of its user", evil(map[string]edit{"etc/passwd": {data: "me:*:1000:1000::/evil:/bin/sh\n"}, "evil": {dir: true, mode: 0o755, uid: 1000}})},
		{"-D", options("DROPBEAR_OPTIONS='-D /evil/.ssh'\n", nil)},
		{"-D without a blank", options("DROPBEAR_OPTIONS=-jkD/evil/.ssh\n", nil)},
		{"-D below home", options("DROPBEAR_OPTIONS='-D ~/x'\n", map[string]edit{"root-x/x": {dir: true}, "root-x/x/authorized_keys": {data: lineOf(other)}})},
		{"-D in the environment", evil(map[string]edit{"conf/initramfs.conf": {data: "export DROPBEAR_OPTIONS='-D /evil/.ssh'\n"}})},
		{"-D not in the environment", evil(map[string]edit{"conf/initramfs.conf": {data: "DROPBEAR_OPTIONS='-D /evil/.ssh'\n"}})},
		{"-D in conf.d", evil(map[string]edit{"conf/conf.d": {dir: true}, "conf/conf.d/z": {data: "export DROPBEAR_OPTIONS=-D/evil/.ssh"}})},
		{"-D in conf.d, and more in a name of two words", evil(map[string]edit{"conf/conf.d": {dir: true}, "conf/conf.d/a": {data: "export DROPBEAR_OPTIONS=-D/evil/.ssh\n"},
			"conf/conf.d/z z": {data: "export DROPBEAR_OPTIONS=-jk\n"}})},
		{"-D if", options("if [ -d / ]; then DROPBEAR_OPTIONS=-D/evil/.ssh; fi\n", nil)},
		{"-D by eval", options("eval \"DROPBEAR_OPTIONS=-D\"/evil/.ssh\n", nil)},
		{"-D of a command", options("DROPBEAR_OPTIONS=$(echo -D/evil/.ssh)\n", nil)},
		{"-D with escapes", options("DROPBEAR_OPTIONS=$'-D /evil/.ssh'\n", nil)},
		{"-D in other quotes", options("DROPBEAR_OPTIONS=$\"-D /evil/.ssh\"\n", nil)},
		{"-D and all output", options("DROPBEAR_OPTIONS=-D/evil/.ssh &>/dev/null\n", nil)},
		{"-D and all output appended", options("DROPBEAR_OPTIONS=-D/evil/.ssh &>>/dev/null\n", nil)},
		{"-D added", options("DROPBEAR_OPTIONS=-jk; DROPBEAR_OPTIONS+=' -D /evil/.ssh'\n", nil)},
		{"-D by IFS", options("IFS=,; DROPBEAR_OPTIONS=-jk,-D,/evil/.ssh\n", nil)},
		{"-D by an exported IFS", evil(map[string]edit{"conf/initramfs.conf": {data: "export IFS=, DROPBEAR_OPTIONS=-jk,-D,/evil/.ssh\n"}})},
		{"-D in a here-document", options(": <<X\n${DROPBEAR_OPTIONS:=-D/evil/.ssh}\nX\n", nil)},
		{"-D in a redirection", options(": </${DROPBEAR_OPTIONS:=-D/evil/.ssh}\n", map[string]edit{"-D": {dir: true}, "-D/evil": {dir: true}, "-D/evil/.ssh": {}})},
		{"-D in an expansion", options(": \"${X#${DROPBEAR_OPTIONS:=-D/evil/.ssh}}\"\n", nil)},
		{"-D in the length of one", options("X=1; : ${X%${DROPBEAR_OPTIONS=-D/evil/.ssh}*}\n", nil)},
		{"-D before a command", options("X=${DROPBEAR_OPTIONS:=-D/evil/.ssh} true\n", nil)},
		{"-D of a command's word", options("echo ${DROPBEAR_OPTIONS:=-D/evil/.ssh} >/dev/null\n", nil)},
		{"-D in a case", options("case ${DROPBEAR_OPTIONS:=-D/evil/.ssh} in x) ;; esac\n", nil)},
		{"-D in a case's pattern", options("case x in ${DROPBEAR_OPTIONS:=-D/evil/.ssh}) ;; esac\n", nil)},
		{"-D in a loop's words", options("for x in ${DROPBEAR_OPTIONS:=-D/evil/.ssh}; do :; done\n", nil)},
		{"-D of a loop", options("for DROPBEAR_OPTIONS in -D/evil/.ssh; do :; done\n", nil)},
		{"-D exported in quotes", evil(map[string]edit{"conf/initramfs.conf": {data: "export 'DROPBEAR_OPTIONS=-D /evil/.ssh'\n"}})},
		{"-D exported by a variable", evil(map[string]edit{"conf/initramfs.conf": {data: "X=DROPBEAR_OPTIONS=-D/evil/.ssh\nexport $X\n"}})},
		{"-D exported by its name", evil(map[string]edit{"conf/initramfs.conf": {data: "X=DROPBEAR_OPTIONS\nDROPBEAR_OPTIONS=-D/evil/.ssh\nexport $X\n"}})},
		{"-D read only", options("readonly 'DROPBEAR_OPTIONS=-D /evil/.ssh'\n", nil)},
		{"-D read only by a variable", options("X=DROPBEAR_OPTIONS=-D/evil/.ssh\nreadonly $X\n", nil)},
		{"-D with NUL", options("DROPBEAR_\x00OPTIONS=-D/evil/\x00.ssh\n", nil)},
		{"-D and a test", options("[ -n \"${DROPBEAR_OPTIONS:=-D/evil/.ssh}\" ]\n", nil)},
		{"-D and arithmetic", options(": $((${X:=1} + ${#DROPBEAR_OPTIONS})) ${DROPBEAR_OPTIONS:=-D/evil/.ssh}\n", nil)},
		{"-D in arithmetic", options(": $((0${X#${DROPBEAR_OPTIONS:=-D/evil/.ssh}}))\n", nil)},
		{"-D by a function", options("f() { DROPBEAR_OPTIONS=-D/evil/.ssh; }\nf\n", nil)},
		{"-D by a function's variable", options("f() { DROPBEAR_OPTIONS=$1; }\nf -D/evil/.ssh\n", nil)},
		{"-D by a function's environment", options("f() { :; }\nDROPBEAR_OPTIONS=-D/evil/.ssh f\n", nil)},
		{"-D by printf", options("printf -v DROPBEAR_OPTIONS %s -D/evil/.ssh\n", nil)},
		{"-D by let", options("let DROPBEAR_OPTIONS=-D/evil/.ssh\n", nil)},
		{"-D by what follows a return", options("DROPBEAR_OPTIONS=-D/evil/.ssh\nreturn\nDROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D before a true or", options("DROPBEAR_OPTIONS=-D/evil/.ssh\ntrue || DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D before a false and", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n! true && DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D before a subshell", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n(DROPBEAR_OPTIONS=-jk)\n", nil)},
		{"-D before a pipe", options("DROPBEAR_OPTIONS=-D/evil/.ssh\nDROPBEAR_OPTIONS=-jk | :\n", nil)},
		{"-D before an unset of a function", options("DROPBEAR_OPTIONS=-D/evil/.ssh\nunset -f DROPBEAR_OPTIONS\n", nil)},
		{"-D and what is unset by another name", options("DROPBEAR_OPTIONS=-D/evil/.ssh\nunset \"DROPBEAR_OPTIONS \" || :\n", nil)},
		{"-D before a local", options("DROPBEAR_OPTIONS=-D/evil/.ssh\nf() { local DROPBEAR_OPTIONS=-jk; }; f\n", nil)},
		{"-D and a failed redirection", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n{ DROPBEAR_OPTIONS=-jk; } </nothing\n", nil)},
		{"-D and a failed redirection of one", options("DROPBEAR_OPTIONS=-D/evil/.ssh\nDROPBEAR_OPTIONS=-jk </nothing\n", nil)},
		{"-D and a comparison", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n[ 1 = 1 -a 1 = 2 ] && DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D and a test of -n", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n[ ! ] || DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D and a variable that is not there", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n[ -z \"$PATH\" ] && DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D and $0", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n[ \"$0\" = x ] && DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D and PWD", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n[ -n \"$PWD\" ] || DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D and IFS as it is", options("DROPBEAR_OPTIONS=-D/evil/.ssh\n[ -n \"$IFS\" ] || DROPBEAR_OPTIONS=-jk\n", nil)},
		{"-D and more", options("X=/evil\nDROPBEAR_OPTIONS=\"-j\nDROPBEAR_OPTIONS\"\nDROPBEAR_OPTIONS=\"-D${X:-y}/.ssh\"\n", nil)},
		{"-w", options("DROPBEAR_OPTIONS=-w\n", nil)},
		{"-g", options("DROPBEAR_OPTIONS=-g\n", nil)},
		{"-t", options("DROPBEAR_OPTIONS=-t\n", nil)},
		{"-c", options("DROPBEAR_OPTIONS='-c true'\n", nil)},
		{"-c of others", options("DROPBEAR_OPTIONS='-p 2222 -s -j -k -c cryptroot-unlock'\n", nil)},
		{"flags and a carriage return", options("DROPBEAR_OPTIONS=-jk\r\n", nil)},
		{"a carriage return in a comment", options("DROPBEAR_OPTIONS=-jk # x\r\n", nil)},
		{"-G root", options("DROPBEAR_OPTIONS='-G root'\n", map[string]edit{"etc/group": {data: "root:!:0:\n"}})},
		{"-G of others and root", options("DROPBEAR_OPTIONS='-G wheel'\n", map[string]edit{"etc/group": {data: "wheel:!:10:me,root\n"}})},
		{"-G others", options("DROPBEAR_OPTIONS='-G wheel'\n", map[string]edit{"etc/group": {data: "root:!:0:\nwheel:!:10:\n"}})},
		{"one command", map[string]edit{keys: {data: "no-port-forwarding,command=\"/bin/cryptroot-unlock\" " + lineOf(owner)}}},
		{"one command, odd", map[string]edit{keys: {data: "no-pty,COMMAND=\"echo \\\"x, y\\\" #\",no-agent-forwarding " + lineOf(owner)}}},
		{"one command for another", map[string]edit{keys: {data: "command=\"x\" " + lineOf(other) + lineOf(owner)}}},
		{"one command, then any", map[string]edit{keys: {data: "command=\"x\" " + lineOf(owner) + lineOf(owner)}}},
		{"any command, then one", map[string]edit{keys: {data: lineOf(owner) + "command=\"x\" " + lineOf(owner)}}},
		{"no command but the word", map[string]edit{keys: {data: "no-pty " + strings.TrimSpace(lineOf(owner)) + " command=\"x\"\n"}}},
		{"restrict", map[string]edit{keys: {data: "restrict " + lineOf(owner)}}},
		{"a twice closed command", map[string]edit{keys: {data: "command=\"x\"y " + lineOf(owner)}}},
		{"no such option", options("DROPBEAR_OPTIONS=-Y\n", nil)},
		{"a word", options("DROPBEAR_OPTIONS='-j k'\n", nil)},
		{"behind a long line", map[string]edit{keys: {data: lineOf(owner) + "#" + strings.Repeat("x", 4199) + lineOf(other)}}},
		{"in a long line", map[string]edit{keys: {data: lineOf(owner) + "#" + strings.Repeat("x", 4198) + lineOf(other)}}},
		{"behind two long lines", map[string]edit{keys: {data: strings.Repeat("x", 8400) + lineOf(other)}}},
		{"a stray character in the key", map[string]edit{keys: {data: lineOf(owner) + strings.Replace(lineOf(other), "AAAAC3", "AAAA!C3", 1)}}},
		{"a tab in the key", map[string]edit{keys: {data: lineOf(owner) + strings.Replace(lineOf(other), "AAAAC3", "AAAA\tC3", 1)}}},
		{"an equals sign in the key", map[string]edit{keys: {data: lineOf(owner) + strings.Replace(lineOf(other), "AAAAC3", "AA=AAC3", 1)}}},
		{"a byte that is no ASCII", map[string]edit{keys: {data: lineOf(owner) + strings.Replace(lineOf(other), "AAAAC3", "AA\xffAAC3", 1)}}},
		{"a key and a half", map[string]edit{keys: {data: lineOf(owner) + strings.TrimSpace(lineOf(other)) + "A\n"}}},
		{"a key and more", map[string]edit{keys: {data: lineOf(owner) + strings.TrimSpace(lineOf(other)) + "==A=A\n"}}},
		{"a key behind blanks", map[string]edit{keys: {data: " \t" + lineOf(owner)}}},
		{"a key behind a byte order mark", map[string]edit{keys: {data: "\ufeff" + lineOf(owner)}}},
		{"a byte order mark, another key behind it", map[string]edit{keys: {data: "\ufeff" + lineOf(owner) + lineOf(other)}}},
		{"keys with carriage returns", map[string]edit{keys: {data: strings.ReplaceAll(lineOf(owner)+"command=\"x\" "+lineOf(other), "\n", "\r\n")}}},
		{"a key without a comment and with a carriage return", map[string]edit{keys: {data: bareKey(owner) + "\r\n" + lineOf(other)}}},
		{"a key without the line's end", map[string]edit{keys: {data: strings.TrimSpace(lineOf(owner))}}},
		{"keys with carriage returns alone", map[string]edit{keys: {data: strings.ReplaceAll(lineOf(owner)+lineOf(other), "\n", "\r")}}},
		{"a commented key", map[string]edit{keys: {data: "#" + lineOf(owner) + " # x\n\n" + lineOf(other)}}},
		{"a tab between the words", map[string]edit{keys: {data: strings.ReplaceAll(lineOf(owner), " ", "\t")}}},
		{"two blanks between the words", map[string]edit{keys: {data: strings.ReplaceAll(lineOf(owner), " ", "  ")}}},
		{"an option and a tab", map[string]edit{keys: {data: "no-pty\t" + lineOf(owner)}}},
		{"an option and two blanks", map[string]edit{keys: {data: "no-pty  " + lineOf(owner)}}},
		{"from", map[string]edit{keys: {data: "from=\"192.0.2.0/24\" " + lineOf(owner)}}},
		{"environment", map[string]edit{keys: {data: "environment=\"A=b\" " + lineOf(owner) + lineOf(other)}}},
		{"expiry-time", map[string]edit{keys: {data: "expiry-time=\"20200101\" " + lineOf(owner)}}},
		{"permitopen", map[string]edit{keys: {data: "permitopen=\"192.0.2.9:80\" " + lineOf(owner)}}},
		{"permitlisten", map[string]edit{keys: {data: "permitlisten=\"8080\" " + lineOf(owner)}}},
		{"no-touch-required", map[string]edit{keys: {data: "no-touch-required " + lineOf(owner)}}},
		{"verify-required", map[string]edit{keys: {data: "verify-required " + lineOf(owner)}}},
		{"cert-authority", map[string]edit{keys: {data: "cert-authority " + lineOf(owner)}}},
		{"principals", map[string]edit{keys: {data: "cert-authority,principals=\"root\" " + lineOf(owner)}}},
		{"tunnel", map[string]edit{keys: {data: "tunnel=\"0\" " + lineOf(owner)}}},
		{"all no-s", map[string]edit{keys: {data: "no-pty,no-X11-forwarding,no-agent-forwarding,no-port-forwarding,no-user-rc " + lineOf(owner)}}},
		{"pty again", map[string]edit{keys: {data: "restrict,pty " + lineOf(owner)}}},
		{"options that others write", map[string]edit{keys: {data: "pty,port-forwarding,agent-forwarding " + lineOf(owner)}}},
		{"an empty option", map[string]edit{keys: {data: "no-pty,,no-port-forwarding " + lineOf(owner)}}},
		{"a comma at the end", map[string]edit{keys: {data: "no-pty, " + lineOf(owner)}}},
		{"a comma at the start", map[string]edit{keys: {data: ",no-pty " + lineOf(owner)}}},
		{"a blank behind a comma", map[string]edit{keys: {data: "no-pty, no-port-forwarding " + lineOf(owner)}}},
		{"an empty command", map[string]edit{keys: {data: "command=\"\" " + lineOf(owner)}}},
		{"a command without quotes", map[string]edit{keys: {data: "command=x " + lineOf(owner)}}},
		{"a command that is not closed", map[string]edit{keys: {data: "command=\"x " + lineOf(owner) + lineOf(other)}}},
		{"two commands", map[string]edit{keys: {data: "command=\"x\",command=\"y\" " + lineOf(owner)}}},
		{"a command with the other key in it", map[string]edit{keys: {data: "command=\"" + strings.TrimSpace(lineOf(other)) + "\" " + lineOf(owner)}}},
		{"a shell as command", map[string]edit{keys: {data: "command=\"/bin/sh\" " + lineOf(owner)}}},
		{"a security key before it", map[string]edit{keys: {data: "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo= x\n" + lineOf(owner)}}},
		{"an RSA key's type before it", map[string]edit{keys: {data: strings.Replace(lineOf(owner), "ssh-ed25519 ", "ssh-rsa ", 1) + lineOf(other)}}},
		{"a type in capitals", map[string]edit{keys: {data: strings.Replace(lineOf(owner), "ssh-ed25519 ", "SSH-ED25519 ", 1)}}},
		{"a key in quotes", map[string]edit{keys: {data: "\"" + strings.TrimSpace(lineOf(owner)) + "\"\n" + lineOf(other)}}},
		{"a key cut short", map[string]edit{keys: {data: lineOf(owner)[:60] + "\n" + lineOf(other)}}},
		{"a key over two lines", map[string]edit{keys: {data: lineOf(owner)[:40] + "\n" + lineOf(owner)[40:] + lineOf(other)}}},
		{"a key with more behind it", map[string]edit{keys: {data: strings.TrimSpace(lineOf(owner)) + "AAAA\n"}}},
		{"a key without its padding", map[string]edit{keys: {data: strings.TrimRight(strings.TrimSpace(lineOf(owner)), "=") + "\n" + lineOf(other)}}},
		{"a long comment", map[string]edit{keys: {data: bareKey(owner) + " " + strings.Repeat("x", 4300) + "\n" + lineOf(other)}}},
		{"a line just short enough", map[string]edit{keys: {data: bareKey(owner) + " " + strings.Repeat("x", 4200-len(bareKey(owner))-1) + "\n" + lineOf(other)}}},
		{"a line a byte too long", map[string]edit{keys: {data: bareKey(owner) + " " + strings.Repeat("x", 4200-len(bareKey(owner))) + "\n" + lineOf(other)}}},
		{"a zero byte", map[string]edit{keys: {data: "x\x00" + lineOf(owner) + lineOf(other)}}},
		{"a zero byte in the comment", map[string]edit{keys: {data: bareKey(owner) + " a\x00b\n" + lineOf(other)}}},
		{"a comment that is no UTF-8", map[string]edit{keys: {data: bareKey(owner) + " Ger\xe4t\n" + lineOf(other)}}},
		{"an empty file", map[string]edit{keys: {data: ""}}},
		{"an OpenSSH known_hosts line", map[string]edit{keys: {data: "host " + lineOf(owner) + lineOf(other)}}},
		{"a private key's header", map[string]edit{keys: {data: "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n" + lineOf(owner)}}},
		{"authorized_keys2", map[string]edit{"root-x/.ssh/authorized_keys2": {data: lineOf(other), mode: 0o600}}},
		{"both of dropbear's configurations", map[string]edit{"etc/dropbear/config": {data: "DROPBEAR_OPTIONS='-c true'\n"}, "etc/dropbear/dropbear.conf": {data: "DROPBEAR_OPTIONS=-j\n"}}},
		{"the old configuration alone", map[string]edit{"etc/dropbear/config": {data: "DROPBEAR_OPTIONS='-c true'\n"}}},
		{"the new configuration alone", map[string]edit{"etc/dropbear/dropbear.conf": {data: "DROPBEAR_OPTIONS='-c true'\n"}}},
		{"the configuration of Debian's own server", map[string]edit{"etc/default/dropbear": {data: "NO_START=1\nDROPBEAR_EXTRA_ARGS='-w'\n"}}},
		{"options of another name", options("PKGOPTION_dropbear_OPTION='-w'\nIFDOWN=none\nDROPBEAR_SHUTDOWN_TIMEOUT=5\n", nil)},
		{"-s and passwords", options("DROPBEAR_OPTIONS='-s -g'\n", nil)},
		{"-B", options("DROPBEAR_OPTIONS='-B'\n", nil)},
		{"-R and -m", options("DROPBEAR_OPTIONS='-R -m -I 300 -K 60'\n", nil)},
		{"-I without a number", options("DROPBEAR_OPTIONS='-I'\n", nil)},
		{"-I with a word", options("DROPBEAR_OPTIONS='-I soon'\n", nil)},
		{"-K that is too large", options("DROPBEAR_OPTIONS='-K 99999999999'\n", nil)},
		{"-W with a unit", options("DROPBEAR_OPTIONS='-W 1M'\n", nil)},
		{"-b of a file that is not there", options("DROPBEAR_OPTIONS='-b /etc/nothing'\n", nil)},
		{"-r of a file that is not there", options("DROPBEAR_OPTIONS='-r /etc/nothing'\n", nil)},
		{"-T", options("DROPBEAR_OPTIONS='-T 0'\n", nil)},
		{"-c and quotes", options("DROPBEAR_OPTIONS='-c \"echo a b\"'\n", nil)},
		{"-c that another option ends", options("DROPBEAR_OPTIONS='-c cryptroot-unlock -j'\n", nil)},
		{"a second line of options", options("DROPBEAR_OPTIONS='-c true'\nDROPBEAR_OPTIONS='-j'\n", nil)},
		{"options that are added to", options("DROPBEAR_OPTIONS='-j'\nDROPBEAR_OPTIONS=\"$DROPBEAR_OPTIONS -c true\"\n", nil)},
		{"options in two lines", options("DROPBEAR_OPTIONS=\"-j \\\n -c true\"\n", nil)},
		{"a comment behind the options", options("DROPBEAR_OPTIONS='-j' # -w\n", nil)},
		{"an option behind a comment sign", options("DROPBEAR_OPTIONS='-j # -w'\n", nil)},
		{"a long option", options("DROPBEAR_OPTIONS='--port 2222'\n", nil)},
		{"an option behind --", options("DROPBEAR_OPTIONS='-- -w'\n", nil)},
		{"a lone dash", options("DROPBEAR_OPTIONS='- -w'\n", nil)},
		{"a star", options("DROPBEAR_OPTIONS='-c *'\n", nil)},
		{"two keys", map[string]edit{keys: {data: "restrict,command=\"x y\" " + lineOf(owner) + "no-pty " + lineOf(other)}}},
		{"an option nobody knows", map[string]edit{keys: {data: lineOf(owner) + "from=\"*\" " + lineOf(other)}}},
	}
}

// The archive's own shell, C library and dropbear say who may log in: exactly who
// we say, and where we cannot be certain nobody whom we do not name.
func TestLoginsAsDropbear(t *testing.T) {
	if os.Getuid() != 0 {
		judge.Missing(t, "root, to give files to others and to chroot")
	}
	for _, suite := range []string{"bullseye", "bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			tgt := judge.Value(fixtures.BuildTarget(t.Context(), suite, "amd64", os.Stderr))(t)
			base := serverOnly(t, tgt.Root)
			for _, w := range ways() {
				t.Run(w.name, func(t *testing.T) { judgeLogins(t, base, w) })
			}
		})
	}
}

// serverOnly is the entries of an archive with a dropbear, a shell and no more.
func serverOnly(t *testing.T, root string) []initrd.Entry {
	t.Helper()
	tree := judge.Value(sysroot.Open(sysroot.Dir(root)))(t)
	defer tree.Close()
	files := map[string]string{"usr/sbin/dropbear": "usr/sbin/dropbear", "usr/bin/busybox": "usr/bin/busybox"}
	programs := []string{"usr/sbin/dropbear", "usr/bin/busybox"}
	if so, err := sysroot.Find(tree, "usr/lib/x86_64-linux-gnu/libnss_files.so.2", "lib/x86_64-linux-gnu/libnss_files.so.2"); err == nil {
		files[so] = so
	}
	libs := judge.Value(sysroot.Closure(tree, programs...))(t)
	for _, lib := range libs {
		files[debian.MergedUsr(lib.Name)] = lib.Path
	}
	script := judge.Value(fs.ReadFile(tree, "usr/share/initramfs-tools/"+debian.Script))(t)
	entries := []initrd.Entry{handmade.Dir(".")}
	var keys []initrd.Entry
	for _, k := range tiny.HostKeys {
		keys = append(keys, handmade.File(debian.HostKeyPath(k.Type()), string(k.Marshal())))
	}
	for _, dir := range []string{"usr", "conf", "etc", "etc/dropbear", "dev", "run", "proc", "scripts", "scripts/init-premount", "root-x", "root-x/.ssh",
		"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/lib/x86_64-linux-gnu"} {
		entries = append(entries, handmade.Dir(dir))
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		entries = append(entries, handmade.Link(name, "usr/"+name))
	}
	for name, from := range files {
		b := judge.Value(fs.ReadFile(tree, from))(t)
		e := handmade.File(name, string(b))
		e.Mode |= 0o111
		entries = append(entries, e)
	}
	entries = append(entries, keys...)
	return append(entries, handmade.Link("usr/bin/sh", "busybox"), handmade.File(debian.Script, string(script)), handmade.File("init", ""),
		handmade.File("etc/passwd", owners), handmade.File("etc/nsswitch.conf", "passwd: files\ngroup: files\n"), handmade.File("dev/null", ""),
		handmade.File("root-x/.ssh/authorized_keys", lineOf(owner)), handmade.File("conf/initramfs.conf", "DEVICE=\n"))
}

func judgeLogins(t *testing.T, base []initrd.Entry, w way) {
	img := handmade.Archive(t, base...)
	for _, dirs := range []bool{true, false} { // directories first
		for name, e := range w.edits {
			if e.dir == dirs {
				put(t, img, name, e)
			}
		}
	}
	facts := debian.Read(img)
	said := map[string]bool{}
	for _, l := range facts.Logins {
		for _, u := range l.Users {
			said[u+" "+l.Key.Fingerprint()] = true
		}
		if l.Users == nil {
			said["anybody "+l.Key.Fingerprint()] = true
		}
	}
	root := t.TempDir()
	unpack(t, img, root)
	for _, user := range []string{"root", "toor", "me"} {
		if user != "root" && !slices.ContainsFunc(facts.Accounts, func(a debian.Account) bool { return a.Name == user }) {
			continue
		}
		for who, key := range map[string]ssh.Signer{"the owner": owner, "somebody else": other} {
			fingerprint := ssh.FingerprintSHA256(key.PublicKey())
			really, ran, log := asks(t, root, user, key)
			may := slices.ContainsFunc(facts.CommandKeys(), func(k dropbear.AuthorizedKey) bool { return k.Fingerprint() == fingerprint })
			shell := false // a login without one runs nothing
			if account := facts.Root(); account != nil {
				_, shell = img.Resolve(cmp.Or(account.Shell, "/bin/sh"))
			}
			if user == "root" && facts.Server.Doubt == "" && shell && ran != may {
				t.Errorf("%s runs a command of his own: %v, we say %v (%q)\n%s", who, ran, may, facts.Hindrance(), log)
			}
			we := said[user+" "+fingerprint]
			switch {
			case facts.Server.Broken != "" && really:
				t.Errorf("%s gets in as %s with a dropbear that should not start: %s", who, user, facts.Server.Broken)
			case facts.Server.Broken != "":
			case really && !we && !said["anybody "+fingerprint]:
				t.Errorf("%s gets in as %s, and we do not say so (%q)\n%s", who, user, facts.Problems, log)
			case we && !really && facts.Server.Doubt == "":
				t.Errorf("we say that %s gets in as %s, and dropbear says no\n%s", who, user, log)
			}
		}
	}
}

func put(t *testing.T, img *initrd.Image, name string, e edit) {
	t.Helper()
	mode := e.mode
	kind := uint32(initrd.TypeFile)
	switch {
	case e.dir:
		kind = initrd.TypeDir
		if mode == 0 {
			mode = 0o755
		}
	case e.link:
		kind, mode = initrd.TypeLink, 0o777
	case mode == 0:
		mode = 0o644
	}
	judge.Value(img.Put(name, initrd.File{Mode: kind | mode, Data: []byte(e.data)}))(t)
	img.Lookup(name).UID = e.uid
}

// unpack writes the tree to a directory of the machine, owners and all.
func unpack(t *testing.T, img *initrd.Image, root string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(root, 0o755))
	for name, e := range img.Tree() {
		at := filepath.Join(root, name)
		switch {
		case name == ".":
			continue
		case e.IsDir():
			must(os.Mkdir(at, 0o755))
		case e.IsLink():
			must(os.Symlink(string(e.Data), at))
			continue
		default:
			must(judge.WriteProgram(at, img.Content(e), 0o600))
		}
		must(os.Chown(at, int(e.UID), 0))
		must(os.Chmod(at, fs.FileMode(e.Perm())&0o777))
	}
}

// boot is what /init and the boot script do as far as dropbear's options, with a
// connection on standard input in the place of a port.
const boot = `cd /; . /conf/initramfs.conf; for conf in conf/conf.d/*; do [ -f ${conf} ] && . ${conf}; done
exec sh -c 'for c in /etc/dropbear/config /etc/dropbear/dropbear.conf; do busybox grep -q "^ *\. $c" /scripts/init-premount/dropbear && [ -e $c ] && . $c; done
exec /sbin/dropbear -Fs -i ${DROPBEAR_OPTIONS-}'`

// asks tries to log in, and to run a command.
func asks(t *testing.T, root, user string, key ssh.Signer) (in, ran bool, log string) {
	t.Helper()
	ln := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	conn := judge.Value(net.Dial("tcp", ln.Addr().String()))(t)
	defer conn.Close()
	served := judge.Value(ln.Accept())(t)
	f, err := served.(*net.TCPConn).File()
	served.Close()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command("chroot", root, "/bin/busybox", "sh", "-c", boot)
	cmd.Env = []string{"PATH=/sbin:/usr/sbin:/bin:/usr/bin"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, &said
	judge.Must(t, cmd.Start())
	f.Close()
	sshConn, channels, requests, err := ssh.NewClientConn(conn, path.Base(root), &ssh.ClientConfig{User: user, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}})
	if err == nil {
		c := ssh.NewClient(sshConn, channels, requests)
		if session, err := c.NewSession(); err == nil {
			out, _ := session.Output("echo $((6 * 7)) is what was asked")
			ran = string(out) == "42 is what was asked\n"
		}
		c.Close()
	}
	conn.Close()
	cmd.Wait()
	return err == nil, ran, fmt.Sprintf("%v\n%s", err, strings.TrimSpace(said.String()))
}
