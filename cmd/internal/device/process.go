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
	stderr  *OutputTail
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
	return c.startCommand(ctx, command, nil, nil, sessionTries)
}

// startCommand starts a command. w, where it is given, is told of whatever the command says.
func (c *Client) startCommand(ctx context.Context, command string, stdin io.Reader, w *commandWatch, tries int) (*Process, error) {
	var alive func()
	if w != nil {
		alive = w.markAlive
	}
	p := &Process{ctx: ctx, client: c, frame: newFrame(), stderr: &OutputTail{Limit: maxStderr, alive: alive}, stop: context.AfterFunc(ctx, func() { c.closeBecause(ctx.Err()) })}
	fail := func(err error) (*Process, error) {
		p.stop()
		return nil, fmt.Errorf("starting a command on the device: %w", c.trueCause(ctx, err))
	}
	var err error
	if p.session, err = c.openSession(ctx, w, tries); err != nil {
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

// sessionTries and sessionPause bound the wait for a server that lets only so many commands run at a time and has not yet heard
// that the last one is over.
const (
	sessionTries = 24
	peekTries    = 4                      // for what nothing depends on
	sessionPause = 250 * time.Millisecond // at most: the first ones are shorter
)

// ErrSessions is that a device lets no further command run.
var ErrSessions = errors.New("the device lets no further command run")

// openSession opens a session for a command, whose watch is w or nil. Where the device lets none in beside those that there are, it comes behind the
// commands of this client that end by themselves, however long they take: they have bounds of their own.
func (c *Client) openSession(ctx context.Context, w *commandWatch, tries int) (*ssh.Session, error) {
	pause := sessionPause >> 5
	for try := 1; ; try++ {
		over := c.oneOver() // before it is asked: the command may end meanwhile
		session, err := c.ssh.NewSession()
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			return session, err
		}
		if over != nil {
			w.stopClock()
			select {
			case <-over:
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-c.life.Done():
				return nil, io.ErrUnexpectedEOF
			}
			w.startClock(c)
			try, pause = 0, sessionPause>>5
		}
		if try >= tries {
			return nil, hint.To(fmt.Errorf("%w: %s", ErrSessions, refused.Message),
				"sshd_config(5), MaxSessions: 1 and more lets groundhog in, 2 and more lets it look at a device while it is at work there")
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-c.life.Done():
			timer.Stop()
			return nil, io.ErrUnexpectedEOF
		}
		pause = min(2*pause, sessionPause)
	}
}

// noteBegun notes that a command runs that ends by itself; noteOver, that one has ended.
func (c *Client) noteBegun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.atWork++
}

func (c *Client) noteOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.atWork--
	if c.over != nil {
		close(c.over)
		c.over = nil
	}
}

// oneOver is closed when one of those commands has ended; nil where none runs.
func (c *Client) oneOver() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.atWork == 0 {
		return nil
	}
	if c.over == nil {
		c.over = make(chan struct{})
	}
	return c.over
}

// ErrShell is that a login shell did something else than to run our command.
var ErrShell = errors.New("the device's login shell does not run our commands")

const hintShell = "ssh HOST /bin/sh -c true has to work, with its input, output and exit status: look at the user's shell, at command= in authorized_keys and at ForceCommand"

// errUnread is that a command has ended well before it had read all that was sent to it.
var errUnread = errors.New("the command on the device ended before it had read everything")

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
		return 0, errUnread
	}
	if err != nil {
		return -1, fmt.Errorf("running a command on the device: %w", p.client.trueCause(p.ctx, err))
	}
	return 0, nil
}

// notBegun says what a session did that ended before the command began.
func (p *Process) notBegun(status *ssh.ExitError) error {
	said := strings.TrimSpace(p.out.noiseSaid() + " " + string(p.stderr.KeptBytes()))
	exit := 0
	if status != nil {
		exit = status.ExitStatus()
	}
	if strings.Contains(said, p.frame.left+p.frame.right) { // it ran, and its line's end was changed
		return hint.To(fmt.Errorf("%w as they are: a terminal is between, though none was asked for", ErrShell), hintShell)
	}
	return hint.To(fmt.Errorf("%w: exit %d, and it says: %.300s", ErrShell, exit, strings.Join(strings.FieldsFunc(said, lineEnd), "; ")), hintShell)
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
func (p *Process) Stderr() string { return string(p.frame.afterWord(p.stderr.KeptBytes())) }

// Cause is what broke the connection, where a read or a write failed.
func (p *Process) Cause(err error) error { return p.client.trueCause(p.ctx, err) }
