package device

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// dropbear lets root in with the server's login key, in a mount namespace of its own where root's home is empty; each
// connection is handed to one (-i), so that none listens.
func (s *server) dropbear(t *testing.T) (addr, hostKey string) {
	t.Helper()
	key := s.path("dropbear_host")
	out := judge.Run(t, exec.Command(judge.Tool(t, "dropbearkey"), "-t", "ed25519", "-f", key))
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "ssh-ed25519 ") {
			hostKey = line
		}
	}
	script := `set -e
home=$(getent passwd 0 | cut -d: -f6)
mount --make-rprivate /
mount -t tmpfs -o mode=0700 none "$home"
mkdir -m 0700 "$home/.ssh"
cp "$1" "$home/.ssh/authorized_keys"
exec "$2" -i -r "$3"`
	command := func(program string, f *os.File) *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", script, "sh", s.path("authorized"), program, key)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if f != nil {
			cmd.Stdin, cmd.Stdout = f, f
		}
		return cmd
	}
	if out, err := command("true", nil).CombinedOutput(); err != nil {
		judge.Missing(t, fmt.Sprintf("the right to mount (%v: %s)", err, out))
	}
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	program := judge.Tool(t, "dropbear")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if f, err := c.(*net.TCPConn).File(); err == nil {
				cmd := command(program, f)
				if cmd.Start() == nil {
					go cmd.Wait()
				}
				f.Close()
			}
			c.Close()
		}
	}()
	return l.Addr().String(), hostKey
}

// The server of the initramfs: idle it is not taken for silent, and what commands say comes through.
func TestDropbear(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	addr, hostKey := s.dropbear(t)
	o := s.good()
	o.KnownHosts = []string{write(t, s.path("known_dropbear"), "* "+hostKey)}
	o.Keepalive, o.Silence = 100*time.Millisecond, time.Second
	c := judge.Value(Dial(t.Context(), "root@"+addr, o))(t)
	defer c.Close()
	if _, err := c.Output(t.Context(), "sleep 3"); err != nil {
		t.Errorf("idle: %v", err)
	}
	r, err := c.Script(t.Context(), `wc -c; echo "$1" >&2; exit 3`, io.LimitReader(endless{}, 8<<20), "it's me")
	if err != nil || strings.TrimSpace(string(r.Stdout)) != "8388608" || string(r.Stderr) != "it's me\n" || r.Exit != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = c.Run(t.Context(), "kill -TERM $$", nil); err != nil || r.Exit != 128+15 {
		t.Errorf("killed: %+v, %v", r, err)
	}
	if err := c.Upload(t.Context(), "head -c 100000 >/dev/null; echo no room >&2; exit 1", endless{}); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("an upload that the device ends: %v", err)
	}
	if err := c.AsRoot(t.Context()); err != nil {
		t.Error(err)
	}
}

// toDropbear is a connection to one.
func toDropbear(t *testing.T) *Client {
	t.Helper()
	s := startServer(t)
	addr, hostKey := s.dropbear(t)
	o := s.good()
	o.KnownHosts = []string{write(t, s.path("known_dropbear"), "* "+hostKey)}
	c := judge.Value(Dial(t.Context(), "root@"+addr, o))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

// A connection outlives its commands, however their ends and ours fall together.
func TestDropbearFinish(t *testing.T) {
	t.Parallel()
	c := toDropbear(t)
	for n := range 200 {
		p, err := c.Start(t.Context(), "read x; echo done")
		if err != nil {
			t.Fatalf("command %d: %v", n, err)
		}
		if _, err := io.WriteString(p.Stdin, "go\n"); err != nil {
			t.Fatalf("command %d: %v", n, err)
		}
		if _, err := io.ReadFull(p.Stdout, make([]byte, 5)); err != nil {
			t.Fatalf("command %d: %v", n, err)
		}
		p.Finish(10 * time.Second)
		if _, err := c.Output(t.Context(), "true"); err != nil {
			t.Fatalf("after command %d: %v", n, err)
		}
	}
	p := judge.Value(c.Start(t.Context(), "sleep 60"))(t)
	began := time.Now()
	if p.Finish(100 * time.Millisecond); time.Since(began) > 30*time.Second {
		t.Error("a command that does not end is waited for")
	}
}

// It does not count the keys that it is only asked about: an agent may hold many.
func TestDropbearManyKeys(t *testing.T) {
	s := startServer(t)
	addr, hostKey := s.dropbear(t)
	o := s.good()
	o.KnownHosts = []string{write(t, s.path("known_dropbear"), "* "+hostKey)}
	o.Identities = nil
	for i := range 16 {
		name := fmt.Sprintf("many%d", i)
		s.keygen(t, name, "-t", "ed25519", "-N", "")
		o.Identities = append(o.Identities, s.path(name))
	}
	o.Identities = append(o.Identities, s.path("login"))
	c := judge.Value(Dial(t.Context(), "root@"+addr, o))(t)
	c.Close()
}

// What connects to a port that the device listens on for us arrives here.
func TestDropbearListen(t *testing.T) {
	c := toDropbear(t)
	l := judge.Value(c.Listen())(t)
	if port := l.Addr().(*net.TCPAddr).Port; port == 0 {
		t.Fatal("no port")
	}
	go func() {
		conn, err := l.Accept()
		if err == nil {
			io.WriteString(conn, "from afar")
			conn.Close()
		}
	}()
	conn := judge.Value(net.Dial("tcp", l.Addr().String()))(t)
	defer conn.Close()
	if b, err := io.ReadAll(conn); err != nil || string(b) != "from afar" {
		t.Errorf("%q, %v", b, err)
	}
	c.Close()
	if conn, err := l.Accept(); err == nil {
		conn.Close()
		t.Error("it listens on without the client")
	}
}
