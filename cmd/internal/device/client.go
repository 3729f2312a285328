package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/since"
)

// Client is a login on a device. It is safe for concurrent use.
type Client struct {
	Target  Target        // as it was resolved: user, host and port are set
	HostKey ssh.PublicKey // that the device proved

	options Options
	conn    *heardConn
	via     *Client // the jump host
	ssh     *ssh.Client
	life    context.Context // ends with the connection
	end     context.CancelFunc
	sudo    bool
	direct  bool // the device can be connected to beside SSH

	mu     sync.Mutex
	failed error // why the connection was closed from our side
	closed bool
	atWork int           // commands that end by themselves
	over   chan struct{} // closed when one of those has ended; nil: nobody waits for that
}

// Close ends the connection and everything that runs over it.
func (c *Client) Close() error {
	c.closeBecause(nil)
	return nil
}

// closeBecause closes the connection; the first reason is kept. Closing is what frees a write that
// waits for the far side's window.
func (c *Client) closeBecause(why error) {
	c.mu.Lock()
	first := !c.closed
	if first {
		c.closed, c.failed = true, why
	}
	c.mu.Unlock()
	if !first {
		return
	}
	c.conn.Close()
	c.end()
	if c.via != nil {
		c.via.Close()
	}
}

// closeCause is why the connection, or the jump host's below it, was closed; nil if it was not, or by Close.
func (c *Client) closeCause() error {
	c.mu.Lock()
	failed := c.failed
	c.mu.Unlock()
	if failed == nil && c.via != nil {
		return c.via.closeCause()
	}
	return failed
}

// trueCause is err, or what made it happen.
func (c *Client) trueCause(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cause := c.closeCause(); cause != nil {
		return cause
	}
	var missing *ssh.ExitMissingError
	if err == io.EOF || errors.As(err, &missing) {
		return fmt.Errorf("connection lost: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// askAlive asks the device now and then whether it is there, and gives it up when
// nothing at all has come from it for too long: TCP alone notices a dead link after a
// quarter of an hour. An answer may queue behind data on a slow link, so
// anything that comes counts.
func (c *Client) askAlive() {
	over := make(chan struct{})
	go func() { c.ssh.Wait(); close(over) }()
	tick, ticks := time.NewTicker(c.options.Keepalive), since.NewTicks(c.options.Keepalive)
	defer tick.Stop()
	c.conn.heard.Note() // the login has just ended; were we stopped since, it would not count
	asking := make(chan struct{}, 1)
	for {
		select {
		case <-over:
			c.closeBecause(nil)
			return
		case <-tick.C:
		}
		if ticks.WereMissed() {
			c.conn.heard.Note() // it may have answered all the while
		}
		silent := c.conn.heard.Ago()
		if silent > c.options.Silence {
			c.closeBecause(fmt.Errorf("%w: nothing heard for %s", ErrSilent, silent.Round(time.Second)))
			return
		}
		select {
		case asking <- struct{}{}:
			go func() { c.ssh.SendRequest("keepalive@openssh.com", true, nil); <-asking }()
		default: // the last one is not answered yet
		}
	}
}
