package direct

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Listener waits for the one who has the key. It does without package net: the writer is sent to devices over slow lines.
type Listener struct {
	f    *os.File
	port uint16
}

// Bounds of what those have who have shown no key: how many are heard at once, and each for how long.
const (
	maxStrangers = 8
	strangerTime = 10 * time.Second
)

// Listen listens on any port of an address. One that is not this machine's, because the client comes through a router that changes it, is an error, and so
// is one of a link alone (fe80::), which does not say of which.
func Listen(at Address) (*Listener, error) {
	family, socket := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: at})
	if v4, ok := at.v4(); ok {
		family, socket = unix.AF_INET, &unix.SockaddrInet4{Addr: v4}
	}
	l, err := listenAt(family, socket)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}

func listenAt(family int, at unix.Sockaddr) (*Listener, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l := &Listener{f: os.NewFile(uintptr(fd), "direct line")}
	if err = unix.Bind(fd, at); err == nil {
		err = unix.Listen(fd, maxStrangers)
	}
	if err == nil {
		at, err = unix.Getsockname(fd)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		l.port = uint16(at.Port)
	case *unix.SockaddrInet6:
		l.port = uint16(at.Port)
	}
	return l, nil
}

// Port is where it listens.
func (l *Listener) Port() uint16 { return l.port }

// Close ends an Accept.
func (l *Listener) Close() error { return l.f.Close() }

// Accept is the line of the first who shows the key, after which nobody else is let in. Whoever shows none is let go of, and keeps nobody out for
// longer than strangerTime.
func (l *Listener) Accept(ctx context.Context, k Key) (*Line, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	shown, failed := make(chan *Line), make(chan error, 1)
	go func() { failed <- l.hearAll(ctx, k, shown) }()
	select {
	case line := <-shown:
		return line, nil
	case err := <-failed:
		return nil, cmp.Or(ctx.Err(), err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hearAll hears all who come, several at once, until ctx ends, and hands over those who show the key.
func (l *Listener) hearAll(ctx context.Context, k Key, shown chan<- *Line) error {
	seats := make(chan struct{}, maxStrangers)
	for {
		select {
		case seats <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		f, err := l.acceptOne()
		if err != nil {
			return err
		}
		go func() {
			defer func() { <-seats }()
			line, ok := hearStranger(ctx, f, k)
			if !ok {
				return
			}
			select {
			case shown <- line:
			case <-ctx.Done():
				line.Close()
			}
		}()
	}
}

// hearStranger is the line of somebody who shows the key in time; all others are let go of.
func hearStranger(ctx context.Context, f *os.File, k Key) (line *Line, ok bool) {
	line = &Line{Reader: NewReader(f, k), f: f}
	stop := context.AfterFunc(ctx, func() { f.Close() })
	ok = f.SetReadDeadline(time.Now().Add(strangerTime)) == nil && line.Seen() == nil && f.SetReadDeadline(time.Time{}) == nil && stop()
	if !ok {
		f.Close()
	}
	return line, ok
}

// acceptOne accepts a connection, whoever's it is.
func (l *Listener) acceptOne() (*os.File, error) {
	raw, err := l.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Read(func(listening uintptr) bool {
		fd, _, failed = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return failed != unix.EAGAIN && failed != unix.EINTR && failed != unix.ECONNABORTED
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "direct line"), nil
}

// A Line is a connection whose other end has shown the key.
type Line struct {
	*Reader
	f *os.File
}

// Close ends a Read.
func (l *Line) Close() error { return l.f.Close() }
