package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
)

// host is a reporter for one device.
type host struct {
	*reporter
	name  string
	began time.Time
}

func (h host) phase(id, format string, args ...any) {
	h.Tell(event{Host: h.name, Event: "phase", ID: id, Text: fmt.Sprintf(format, args...)})
}

// verdict is the end of a device's run: an exit code, said once.
func (h host) verdict(ctx context.Context, err error, done string, data any) int {
	e := event{Host: h.name, Event: "verdict", Verdict: "done", Text: done, Data: data}
	code := exitDone
	if err != nil {
		e.Text, e.Hint, e.Verdict, code = err.Error(), hint.Of(err), "trouble", exitTrouble
		var c exitCode
		switch {
		case ctx.Err() != nil:
			e.Verdict, code = "interrupted", exitInterrupted
			e.Text = strings.Replace(e.Text, context.Canceled.Error(), e.Verdict, 1)
		case errors.As(err, &c) && c.code == exitNo && errors.Is(err, device.ErrUnreachable):
			e.Verdict, code = "unreachable", exitUnreachable
		case errors.As(err, &c) && c.code == exitNo:
			e.Verdict, code = "refused", exitNo
		}
	}
	h.Tell(e)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, end{h.name, e.Verdict, e.Text, time.Since(h.began)})
	return code
}

// refusal is an error before which nothing was changed.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return exitCode{exitNo, err}
}

// progress tells how far something of total bytes is; total is 0 where that is not known.
func (h host) progress(id string, done, total int64, more string) {
	h.Tell(event{Host: h.name, Event: "progress", ID: id, Bytes: done, Total: total, Text: more})
}

// progressEnds tells that there is no more of it.
func (h host) progressEnds(id string) {
	h.Tell(event{Host: h.name, Event: "progress", ID: id, over: true})
}

// counted is a stream that is told of while it is read.
type counted struct {
	io.Reader
	host        host
	id          string
	done, total int64
}

// count follows a stream.
func (h host) count(r io.Reader, id string, total int64) *counted {
	return &counted{Reader: r, host: h, id: id, total: total}
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	c.host.progress(c.id, c.done, c.total, "")
	return n, err
}

// end is that there is no more of it, however far it came.
func (c *counted) end() { c.host.progressEnds(c.id) }
