package device

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// programConn is a program in the place of a connection (ssh_config(5), ProxyCommand).
type programConn struct {
	net.Conn
	cmd    *exec.Cmd
	stderr *OutputTail
	once   sync.Once
	over   chan struct{} // closed when the program has ended
}

// socketPair is two sockets that no program inherits which is started meanwhile. Linux could say so in one call; a Mac cannot.
func socketPair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	return pair, err
}

// startProgram gives a command to the user's shell, as ssh does. A pair of sockets is its standard input and output:
// that is a connection with deadlines, which two pipes are not.
func startProgram(command string) (net.Conn, error) {
	pair, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("starting the ProxyCommand: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "proxy"), os.NewFile(uintptr(pair[1]), "proxy")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("starting the ProxyCommand: %w", err)
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	p := &programConn{Conn: conn, cmd: exec.Command(shell, "-c", "exec "+command), stderr: &OutputTail{Limit: 4096}, over: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = theirs, theirs, p.stderr, time.Second
	if err := p.cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("starting the ProxyCommand: %w", err)
	}
	go func() { p.cmd.Wait(); close(p.over) }()
	return p, nil
}

// programTime is how long a program may live on after its connection was closed.
const programTime = 5 * time.Second

// Close ends the program, too: with SIGHUP, as ssh does, and if that does not help, for good.
func (p *programConn) Close() error {
	err := p.Conn.Close()
	p.once.Do(func() {
		p.cmd.Process.Signal(syscall.SIGHUP)
		late := time.AfterFunc(programTime, func() { p.cmd.Process.Kill() })
		go func() { <-p.over; late.Stop() }()
	})
	return err
}

// addSaid adds to an error what the program has said about it. One that fails ends its connection a moment before it has
// ended, and been read, itself.
func (p *programConn) addSaid(err error) error {
	select {
	case <-p.over:
	case <-time.After(programTime):
	}
	if text := strings.TrimSpace(string(p.stderr.KeptBytes())); text != "" {
		return fmt.Errorf("%w; the ProxyCommand says: %s", err, strings.Join(strings.FieldsFunc(text, lineEnd), "; "))
	}
	return err
}
