package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
)

// Process is a command that runs on the device. Stdout must be read, or it stands still.
type Process struct {
	Stdin  io.WriteCloser
	Stdout io.Reader

	ctx     context.Context
	stop    func() bool
	client  *Client
	session *ssh.Session
	frame   outputFrame
	out     *framedReader // Stdout
	stderr  *outputTail
}

// commandInput is a command's standard input. Package ssh has no lock for a Close while something is written, as a ping may be when a
// command ends. A write that waits ends with the command or the connection, and the Close after it.
type commandInput struct {
	mu sync.Mutex
	to io.WriteCloser
}

func (i *commandInput) Write(b []byte) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.to.Write(b)
}

func (i *commandInput) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.to.Close()
}

// Start starts a shell command; ending ctx closes the client.
func (c *Client) Start(ctx context.Context, command string) (*Process, error) {
	return c.startCommand(ctx, command, nil, nil)
}

// startCommand starts a command. alive, where it is given, is told of whatever the command says.
func (c *Client) startCommand(ctx context.Context, command string, stdin io.Reader, alive func()) (*Process, error) {
	p := &Process{ctx: ctx, client: c, frame: newFrame(), stderr: &outputTail{limit: maxStderr, alive: alive}, stop: context.AfterFunc(ctx, func() { c.closeBecause(ctx.Err()) })}
	fail := func(err error) (*Process, error) {
		p.stop()
		return nil, fmt.Errorf("starting a command on the device: %w", c.trueCause(ctx, err))
	}
	var err error
	if p.session, err = c.openSession(ctx); err != nil {
		return fail(err)
	}
	out, err := p.session.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	p.out = &framedReader{from: out, word: p.frame.frameWord()}
	p.Stdout = p.out
	p.session.Stderr = p.stderr
	if stdin != nil {
		p.session.Stdin = stdin
	} else {
		in, err := p.session.StdinPipe()
		if err != nil {
			return fail(err)
		}
		p.Stdin = &commandInput{to: in}
	}
	if err := p.session.Start(c.shellCommand(p.frame.wrapCommand(command))); err != nil {
		p.session.Close()
		return fail(err)
	}
	return p, nil
}

// sessionTries and sessionPause bound the wait for a server that lets only one command run at a time and has not yet heard
// that the last one is over.
const (
	sessionTries = 20
	sessionPause = 250 * time.Millisecond
)

// ErrSessions is that a device lets no further command run.
var ErrSessions = errors.New("the device lets no further command run")

// openSession opens a session for a command.
func (c *Client) openSession(ctx context.Context) (*ssh.Session, error) {
	for try := 1; ; try++ {
		session, err := c.ssh.NewSession()
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			return session, err
		}
		if try == sessionTries {
			return nil, hint.To(fmt.Errorf("%w: %s", ErrSessions, refused.Message),
				"sshd_config(5), MaxSessions: 1 and more lets groundhog in, 2 and more lets it look at a device while it is at work there")
		}
		pause := time.NewTimer(sessionPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, ctx.Err()
		case <-c.life.Done():
			pause.Stop()
			return nil, io.ErrUnexpectedEOF
		}
	}
}

// ErrShell is that a login shell did something else than to run our command.
var ErrShell = errors.New("the device's login shell does not run our commands")

// Wait waits for the command's end, after Stdout has been read to its end. The error is that of the connection; it
// says more than the io.EOF of a failed write.
func (p *Process) Wait() (exit int, err error) {
	defer p.stop()
	if p.Stdin != nil {
		p.Stdin.Close()
	}
	err = p.session.Wait()
	p.session.Close()
	var status *ssh.ExitError
	ended := err == nil || errors.As(err, &status)
	if ended && !p.out.begun.Load() {
		return -1, p.notBegun(status)
	}
	if status != nil {
		if status.Signal() != "" {
			return 128 + status.ExitStatus()&127, nil
		}
		return status.ExitStatus(), nil
	}
	if err == io.EOF && p.Stdin == nil { // a write failed that way, and exit 0 was said
		return 0, errors.New("the command on the device ended before it had read everything")
	}
	if err != nil {
		return -1, fmt.Errorf("running a command on the device: %w", p.client.trueCause(p.ctx, err))
	}
	return 0, nil
}

// notBegun says what a session did that ended before the command began.
func (p *Process) notBegun(status *ssh.ExitError) error {
	said := strings.TrimSpace(p.out.noiseSaid() + " " + string(p.stderr.keptBytes()))
	exit := 0
	if status != nil {
		exit = status.ExitStatus()
	}
	return hint.To(fmt.Errorf("%w: exit %d, and it says: %.300s", ErrShell, exit, strings.Join(strings.FieldsFunc(said, lineEnd), "; ")),
		"ssh HOST /bin/sh -c true has to work: look at the user's shell, at command= in authorized_keys and at ForceCommand")
}

// Finish waits for the end of a command that is about to end by itself, at most so long, and lets go of it. Where other commands
// follow this is the way: a Close that crosses dropbear's own, now and then, costs the whole connection.
func (p *Process) Finish(most time.Duration) {
	over := make(chan struct{})
	go func() { // with the connection, at the latest
		defer close(over)
		io.Copy(io.Discard, p.Stdout)
		p.Wait()
	}()
	select {
	case <-over:
	case <-time.After(most):
		p.Close()
	}
}

// Close ends the session; the command may live on.
func (p *Process) Close() error {
	p.stop()
	return p.session.Close()
}

// Stderr is what the command has said so far, its end where that is long.
func (p *Process) Stderr() string { return string(p.frame.afterWord(p.stderr.keptBytes())) }

// Cause is what broke the connection, where a read or a write failed.
func (p *Process) Cause(err error) error { return p.client.trueCause(p.ctx, err) }
