package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// openURL opens a URL. Where it leads is the server's matter, what comes is held against a checksum.
func (i *Image) openURL(ctx context.Context, from string) (io.ReadCloser, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.ResponseHeaderTimeout = i.quiet
	t.DisableKeepAlives = true
	ctx, stop := context.WithCancel(ctx)
	d := &download{ctx: ctx, stop: stop, from: from, client: &http.Client{Transport: t, CheckRedirect: i.checkRedirect}, quiet: i.quiet, tell: i.losses.tell}
	r, err := d.get(nil)
	if err == nil && r.StatusCode != http.StatusOK {
		d.body.Close()
		err = errors.New(r.Status)
	}
	if err != nil {
		stop()
		return nil, getError(from, err)
	}
	d.whole = wholeFile(r)
	i.coming = max(0, r.ContentLength)
	i.endless = r.ContentLength < 0 && len(r.TransferEncoding) == 0 && r.ProtoMajor < 2
	return d, nil
}

// ErrGet is that a server has no image there, or that there is no such server.
var ErrGet = errors.New("getting")

// getError is an error of a URL, which names all of it.
func getError(from string, err error) error {
	if errors.Is(err, errLeads) { // it has one, which is refused
		return fmt.Errorf("getting %s: %w", Shown(from), unnamed(err))
	}
	return fmt.Errorf("%w %s: %w", ErrGet, Shown(from), unnamed(err))
}

// unnamed is an error without the URLs that net/http says in it, which may have a secret: the one that was asked for, and where a server leads.
func unnamed(err error) error {
	if named, ok := errors.AsType[*url.Error](err); ok {
		err = named.Err
	}
	if wrong, ok := errors.AsType[*net.AddrError](err); ok { // no port can be that: without what it is wrapped in it is no lost connection
		return wrong
	}
	switch text := err.Error(); {
	case strings.Contains(text, "failed to parse Location header"):
		return errors.New("the server leads to what is no URL")
	case strings.Contains(text, "malformed MIME header"):
		return errors.New("the header of the server's answer makes no sense")
	}
	return err
}

// maxRedirects is how often a server may lead elsewhere.
const maxRedirects = 10

// errLeads is where a server leads that it may not.
var errLeads = errors.New("the server leads")

// checkRedirect is nil where a server may lead there. Out of TLS whoever is on the way may send another image, unless a checksum is known.
func (i *Image) checkRedirect(to *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("%w elsewhere for the %dth time", errLeads, len(via))
	case via[len(via)-1].URL.Scheme == "https" && to.URL.Scheme != "https" && i.want == "":
		return fmt.Errorf("%w from https to %s, where anybody on the way may send another image: --sha256 tells", errLeads, Shown(to.URL.String()))
	}
	return nil
}

// serverBody is what a server sends. One that says nothing for too long while it is listened to is given up.
type serverBody struct {
	io.ReadCloser
	cancel context.CancelFunc
	quiet  time.Duration
	silent atomic.Bool
	pace   readPace
}

func (b *serverBody) Read(p []byte) (int, error) {
	late := time.AfterFunc(b.quiet, func() { b.silent.Store(true); b.cancel() })
	began := time.Now()
	n, err := b.ReadCloser.Read(p)
	late.Stop()
	if err == nil {
		err = b.pace.noteBytes("the server", n, time.Since(began))
	}
	if err != nil && err != io.EOF && b.silent.Load() {
		err = fmt.Errorf("the server has said nothing for %s", b.quiet)
	}
	return n, err
}

func (b *serverBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}
