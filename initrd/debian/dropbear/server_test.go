package dropbear

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

// The dropbear that is installed judges what we think of authorized_keys: line by
// line, it must ask for a signature exactly where Usable says so.
func TestServerAgrees(t *testing.T) { serverAgrees(t, 4) }

// serverAgrees tries one file in some.
func serverAgrees(t *testing.T, one int) {
	judge.Tools(t, "dropbear")
	v := installed(t)
	dir := t.TempDir()
	hostKey := filepath.Join(dir, "host")
	judge.WriteFile(t, hostKey, generate(t, "ecdsa").Marshal())
	if out, err := serve(context.Background(), dir, "true", nil).CombinedOutput(); err != nil {
		judge.Missing(t, fmt.Sprintf("the right to mount (%v: %s)", err, out))
	}
	for i, c := range serverCases(t) {
		if i%one != 0 {
			continue
		}
		_, _, err := CheckAuthorizedKeys([]byte(c.file), v)
		asked, log := asksFor(t, dir, hostKey, c.file, c.key)
		if asked != (err == nil) {
			t.Errorf("%v: %s: asked for a signature: %v; we say: %v\n%.200q\n%s", v, c.name, asked, err, c.file, log)
		}
	}
}

func installed(t *testing.T) Version {
	t.Helper()
	out, _ := exec.Command("dropbear", "-V").CombinedOutput() // 2020.81 ends with 1
	for _, v := range dropbearVersions {
		if strings.Contains(string(out), "v"+v.Dropbear) {
			return v
		}
	}
	judge.Missing(t, fmt.Sprintf("a dropbear of a Debian release (this is %q)", out))
	return Version{}
}

type serverCase struct {
	name, file string
	key        ssh.PublicKey
}

func serverCases(t *testing.T) []serverCase {
	line, signer := newUser(t)
	user := signer.PublicKey()
	var cases []serverCase
	for _, pub := range []ssh.PublicKey{
		generate(t, "ed25519").Public(), generate(t, "ecdsa").Public(), user, dss(t), certificate(t),
		security(t, ssh.KeyAlgoSKED25519), security(t, ssh.KeyAlgoSKECDSA256),
	} {
		cases = append(cases, serverCase{"kind " + pub.Type(), publicLine(pub) + "\n", pub})
	}
	for _, o := range []string{
		"no-pty", "NO-PTY,no-x11-forwarding", "no-port-forwarding,no-agent-forwarding", "no-ptyx", "no-pty,,", ",no-pty",
		"restrict", "restrict,no-pty", "no-touch-required", "verify-required", "cert-authority", `from="10.0.0.1"`, `environment="A=b"`,
		`command="echo a b"`, `command="x",command="y"`, `command="unclosed`, `command=x`, `command="a\"b"`, `command="a\" b"`,
		`permitopen="host:22"`, `permitopen="host:*"`, `permitopen="[::1]:22"`, `permitopen="host"`, `permitopen=":22"`, `permitopen="[h:22"`,
		`permitopen="host:22",permitopen="host:x"`, "no-pty no-pty", "\tno-pty", "  no-pty", "no-pty ", "no-user-rc", "pty",
	} {
		cases = append(cases, serverCase{"options " + o, o + " " + line + " comment\n", user})
	}
	pad := func(n int) string { return line + " " + strings.Repeat("c", n-len(line)-1) }
	files := map[string]string{
		"no line end": line, "carriage return": line + "\r\n", "old mac": "# mac\r" + line + "\r", "blank in front": " " + line, "tab in front": "\t" + line,
		"two blanks": strings.Replace(line, " ", "  ", 1), "tab inside": strings.Replace(line, " ", "\t", 1),
		"blanks behind": line + "   ", "byte order mark": "\ufeff" + line, "quoted": `"` + line + `"`, "comment": "#" + line, "comment behind blanks": "  # " + line,
		"longest": pad(maxLine) + "\n", "longest without end": pad(maxLine), "one too long": pad(maxLine+1) + "\n", "much too long": pad(3*maxLine) + "\n",
		"behind a long line": "#" + strings.Repeat("c", maxLine) + line, "in a long line": "#" + strings.Repeat("c", maxLine-1) + line,
		"a stray character": strings.Replace(line, "AAAA", "AA!AA", 1), "a tab in the key": strings.Replace(line, "AAAA", "AA\tAA", 1), "an equals sign": strings.Replace(line, "AAAA", "AA=AA", 1),
		"no ASCII": strings.Replace(line, "AAAA", "AA\xe9AA", 1), "another alphabet": strings.Replace(line, "AAAA", "AA-AA_", 1), "digits behind it": line + "=A", "two behind it": line + "=AA",
		"cut": line[:len(line)-4], "second line": "# c\nnonsense\n" + line, "nul": line + " \x00\n", "empty": "", "wrong kind": "ssh-ed25519" + strings.TrimPrefix(line, "ssh-rsa"),
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		cases = append(cases, serverCase{name, files[name], user})
	}
	return cases
}

// serve is a command in a mount namespace of its own, where root's home is empty
// but for the authorized_keys file of dir, if there is one.
func serve(ctx context.Context, dir, command string, f *os.File) *exec.Cmd {
	script := `set -e
home=$(getent passwd 0 | cut -d: -f6)
mount --make-rprivate /
mount -t tmpfs -o mode=0700 none "$home"
mkdir -m 0700 "$home/.ssh"
test ! -e "$1/authorized_keys" || cp "$1/authorized_keys" "$home/.ssh/"
exec ` + command
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if f != nil {
		cmd.Stdin, cmd.Stdout = f, f
	}
	return cmd
}

// asksFor offers one key to a dropbear with that authorized_keys file, and
// reports whether it wanted a signature made with it.
func asksFor(t *testing.T, dir, hostKey, file string, pub ssh.PublicKey) (asked bool, log string) {
	t.Helper()
	judge.WriteFile(t, filepath.Join(dir, "authorized_keys"), file)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	near, far := connection(t)
	defer near.Close()
	cmd := serve(ctx, dir, "dropbear -i -r '"+hostKey+"'", far)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	judge.Must(t, cmd.Start())
	far.Close()
	near.SetDeadline(time.Now().Add(20 * time.Second))
	s := &askedSigner{pub: pub}
	_, _, _, err := ssh.NewClientConn(near, "dropbear", &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(s)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	near.Close()
	cmd.Wait()
	if !s.asked && (err == nil || !strings.Contains(err.Error(), "unable to authenticate")) {
		t.Errorf("the server did not get as far as asking: %v\n%s", err, stderr.String())
	}
	return s.asked, stderr.String()
}

// connection returns both ends of a TCP connection: dropbear wants an address.
func connection(t *testing.T) (net.Conn, *os.File) {
	t.Helper()
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	near := judge.Value(net.Dial("tcp", l.Addr().String()))(t)
	far := judge.Value(l.Accept())(t)
	defer far.Close()
	f := judge.Value(far.(*net.TCPConn).File())(t)
	return near, f
}

// askedSigner cannot sign; it remembers that it was asked to.
type askedSigner struct {
	pub   ssh.PublicKey
	asked bool
}

func (s *askedSigner) PublicKey() ssh.PublicKey { return s.pub }

func (s *askedSigner) Sign(io.Reader, []byte) (*ssh.Signature, error) {
	s.asked = true
	return nil, errors.New("this key cannot sign")
}
