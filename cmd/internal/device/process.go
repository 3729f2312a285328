package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// Process is a command that runs on the device. Stdout must be read, or it stands still.
type Process struct {
	Stdin  io.WriteCloser
	Stdout io.Reader

	ctx     context.Context
	stop    func() bool
	client  *Client
	session *ssh.Session
	stderr  *tail
}

// Start starts a shell command; ending ctx closes the client.
func (c *Client) Start(ctx context.Context, command string) (*Process, error) {
	return c.start(ctx, c.shell(command), nil)
}

func (c *Client) start(ctx context.Context, command string, stdin io.Reader) (*Process, error) {
	p := &Process{ctx: ctx, client: c, stderr: &tail{limit: MaxStderr}, stop: context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })}
	fail := func(err error) (*Process, error) {
		p.stop()
		return nil, fmt.Errorf("starting a command on the device: %w", c.because(ctx, err))
	}
	var err error
	if p.session, err = c.ssh.NewSession(); err != nil {
		return fail(err)
	}
	if p.Stdout, err = p.session.StdoutPipe(); err != nil {
		return fail(err)
	}
	p.session.Stderr = p.stderr
	if stdin != nil {
		p.session.Stdin = stdin
	} else if p.Stdin, err = p.session.StdinPipe(); err != nil {
		return fail(err)
	}
	if err := p.session.Start(command); err != nil {
		p.session.Close()
		return fail(err)
	}
	return p, nil
}

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
	if errors.As(err, &status) {
		if status.Signal() != "" {
			return 128 + status.ExitStatus()&127, nil
		}
		return status.ExitStatus(), nil
	}
	if err == io.EOF && p.Stdin == nil { // a write failed that way, and exit 0 was said
		return 0, errors.New("the command on the device ended before it had read everything")
	}
	if err != nil {
		return -1, fmt.Errorf("running a command on the device: %w", p.client.because(p.ctx, err))
	}
	return 0, nil
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
func (p *Process) Stderr() string { return string(p.stderr.bytes()) }

// Cause is what broke the connection, where a read or a write failed.
func (p *Process) Cause(err error) error { return p.client.because(p.ctx, err) }
