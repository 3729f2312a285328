package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// openURL opens a URL. Where it leads is the server's matter, what comes is held against a checksum.
func (i *Image) openURL(ctx context.Context, from string) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		cancel()
		return nil, getError(from, err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.ResponseHeaderTimeout = i.quiet
	t.DisableKeepAlives = true
	r, err := (&http.Client{Transport: t, CheckRedirect: i.checkRedirect}).Do(req)
	if err != nil {
		cancel()
		return nil, getError(from, err)
	}
	if r.StatusCode != http.StatusOK {
		r.Body.Close()
		cancel()
		return nil, getError(from, errors.New(r.Status))
	}
	i.coming = max(0, r.ContentLength)
	i.endless = r.ContentLength < 0 && len(r.TransferEncoding) == 0 && r.ProtoMajor < 2
	return &serverBody{ReadCloser: r.Body, cancel: cancel, quiet: i.quiet, pace: readPace{quiet: i.quiet}}, nil
}

// getError is an error of a URL, which names all of it.
func getError(from string, err error) error {
	if named, ok := errors.AsType[*url.Error](err); ok {
		err = named.Err
	}
	return fmt.Errorf("getting %s: %w", Shown(from), err)
}

// maxRedirects is how often a server may lead elsewhere.
const maxRedirects = 10

// checkRedirect is nil where a server may lead there. Out of TLS whoever is on the way may send another image, unless a checksum is known.
func (i *Image) checkRedirect(to *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("the server leads elsewhere for the %dth time", len(via))
	case via[len(via)-1].URL.Scheme == "https" && to.URL.Scheme != "https" && i.want == "":
		return fmt.Errorf("the server leads from https to %s, where anybody on the way may send another image: --sha256 tells", Shown(to.URL.String()))
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
