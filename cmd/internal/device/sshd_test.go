package device

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/sshd"
)

// server is an SSH server on loopback that runs commands in /bin/sh and forwards connections. OpenSSH's and
// dropbear's own are met in the end-to-end tests; to install a server here would open this machine.
type server struct {
	dir     string
	addr    string // host:port
	config  *ssh.ServerConfig
	see     atomic.Pointer[strings.Replacer] // what a command sees instead of this machine's files
	before  atomic.Pointer[string]           // what the login shell does first, in sh
	around  atomic.Pointer[string]           // a forced command, in sh: %s is the login shell with what it is given
	shell   atomic.Pointer[[]string]         // the login shell
	most    atomic.Int32                     // sessions at a time; 0: any number
	forbids atomic.Bool                      // to forward
	now     atomic.Int32                     // sessions
}

// path is a file in the server's directory: host, login, other and their .pub, known_hosts.
func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) target() string { return "bench@" + s.addr }

func (s *server) read(t *testing.T, name string) string {
	t.Helper()
	return string(judge.ReadFile(t, s.path(name)))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	judge.WriteFile(t, name, text)
	return name
}

func publicKey(t *testing.T, text string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// startServer starts one; change is done to its configuration first.
func startServer(t *testing.T, change ...func(*ssh.ServerConfig)) *server {
	s := &server{dir: t.TempDir()}
	s.see.Store(strings.NewReplacer())
	s.before.Store(new(string))
	s.around.Store(new("%s"))
	s.shell.Store(&[]string{"/bin/sh"})
	for _, key := range []string{"host", "login", "other"} {
		cmd := exec.Command(judge.Tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", s.path(key))
		judge.Run(t, cmd)
	}
	host := judge.Value(ssh.ParsePrivateKey([]byte(s.read(t, "host"))))(t)
	write(t, s.path("authorized"), s.read(t, "login.pub"))
	s.config = &ssh.ServerConfig{PublicKeyCallback: s.letIn}
	s.config.AddHostKey(host)
	for _, change := range change {
		change(s.config)
	}
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	s.addr = l.Addr().String()
	write(t, s.path("known_hosts"), fmt.Sprintf("[127.0.0.1]:%d %s", l.Addr().(*net.TCPAddr).Port, s.read(t, "host.pub")))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

// letIn takes the keys of the file "authorized" and notes every one that is tried in "tried".
func (s *server) letIn(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	f, err := os.OpenFile(s.path("tried"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	f.Write(ssh.MarshalAuthorizedKey(key))
	allowed, err := os.ReadFile(s.path("authorized"))
	if err != nil || c.User() != "bench" && c.User() != "root" {
		return nil, errors.Join(err, errors.New("not let in"))
	}
	for len(allowed) > 0 {
		k, _, _, rest, err := ssh.ParseAuthorizedKey(allowed)
		if err != nil {
			break
		}
		if string(k.Marshal()) == string(key.Marshal()) {
			return nil, nil
		}
		allowed = rest
	}
	return nil, errors.New("not let in")
}

func (s *server) serve(c net.Conn) {
	sshd.Serve(c, s.config, func(open ssh.NewChannel) {
		switch most := s.most.Load(); {
		case open.ChannelType() == "direct-tcpip" && s.forbids.Load():
			open.Reject(ssh.Prohibited, "open failed") // as sshd does with AllowTcpForwarding no
		case open.ChannelType() == "direct-tcpip":
			go forward(open)
		case most > 0 && s.now.Load() >= most:
			open.Reject(ssh.ConnectionFailed, "open failed") // as sshd does
		default:
			s.now.Add(1)
			go func() {
				defer s.now.Add(-1)
				sshd.Session(open, s.runCommand)
			}()
		}
	})
}

// runCommand runs a command by the login shell.
func (s *server) runCommand(channel ssh.Channel, text string) {
	shell, login := *s.shell.Load(), *s.before.Load()+s.see.Load().Replace(text)
	if around := *s.around.Load(); around != "%s" {
		shell, login = []string{"/bin/sh"}, fmt.Sprintf(around, shell[0]+quoteAll(shell[1:])+" -c "+Quote(login))
	}
	cmd := exec.Command(shell[0], append(shell[1:len(shell):len(shell)], "-c", login)...)
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		sshd.Exit(channel, 127)
		return
	}
	go func() { io.Copy(in, channel); in.Close() }()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		sshd.Exit(channel, code)
	} else {
		sshd.Signal(channel, "TERM")
	}
}

// forward carries a connection of a jump host (RFC 4254, 7.2).
func forward(open ssh.NewChannel) {
	var to struct {
		Host string
		Port uint32
		From string
		Src  uint32
	}
	if ssh.Unmarshal(open.ExtraData(), &to) != nil {
		open.Reject(ssh.ConnectionFailed, "")
		return
	}
	far, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		open.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer far.Close()
	channel, requests, err := open.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	go func() { io.Copy(far, channel); far.Close() }()
	io.Copy(channel, far)
}
