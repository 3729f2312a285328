package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"groundhog/initrd/eof"
	"groundhog/initrd/show"
)

// download is a file that comes from a web server. Where the connection is lost it is made anew, and asked for what has not come yet, as long as the
// server vouches that this is the rest of the same file: two files are never mixed.
type download struct {
	ctx    context.Context // of all of it; stop ends it
	stop   context.CancelFunc
	from   string // as the user gave it; it is followed anew each time
	client *http.Client
	quiet  time.Duration
	tell   func(string)

	body  *serverBody  // what comes now
	whole *webFile     // nil: no part of it can be asked for
	at    int64        // bytes that came
	lost  downloadLoss // the last one
	err   error        // that ended it
}

// downloadLoss is a connection that was lost, and those after it that brought next to nothing.
type downloadLoss struct {
	at     int64         // bytes that had come
	waited time.Duration // since, for the server: who reads may take longer, and that does not count
	pause  time.Duration // before the next try; 0: nothing was lost yet
}

// firstPause is the time before a lost connection is made anew; each try that brings nothing doubles it, up to maxPause.
var firstPause = 250 * time.Millisecond

const maxPause = 10 * time.Second

// leastBrought is how many bytes connections have to bring for the next loss to be one by itself, which is told, and begins the time anew for
// which a server is asked in vain.
const leastBrought = 64 << 10

// errNoPart is why the rest of a file cannot be had, which asking again does not help.
var errNoPart = errors.New("it cannot go on from there")

// get asks for the file, or for its rest with the header fields that say so. What the server sends is body then.
func (d *download) get(part http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancel(d.ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.from, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	if part != nil {
		req.Header = part
	}
	req.Header.Set("Accept-Encoding", "identity")
	r, err := d.client.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	d.body = &serverBody{ReadCloser: r.Body, cancel: cancel, quiet: d.quiet, pace: readPace{quiet: d.quiet}}
	return r, nil
}

func (d *download) Read(p []byte) (int, error) {
	for d.err == nil {
		began := time.Now()
		n, err := d.body.Read(p)
		d.at, d.lost.waited = d.at+int64(n), d.lost.waited+time.Since(began)
		switch {
		case d.whole == nil || d.ctx.Err() != nil:
			return n, err
		case d.at >= d.whole.length: // it may be lost behind the last byte
			d.err = io.EOF
			return n, nil
		case n > 0 || err == nil: // a loss is seen by the next read
			return n, nil
		}
		d.err = d.goOn(eof.Unexpected(err))
	}
	return 0, d.err
}

// Close ends a read that waits, too.
func (d *download) Close() error {
	d.stop()
	return nil
}

// goOn makes a lost connection anew, until there is one or for as long as silence is allowed.
func (d *download) goOn(loss error) error {
	d.body.Close()
	l := &d.lost
	if l.pause == 0 || float64(d.at-l.at) >= max(leastBrought, leastPerSecond*d.quiet.Seconds()) {
		*l = downloadLoss{at: d.at, pause: firstPause}
		d.tell(fmt.Sprintf("%s: %v, after %s of %s; going on from there", Shown(d.from), loss, show.Bytes(d.at), show.Bytes(d.whole.length)))
	}
	for last := errors.New("next to nothing came"); ; {
		if l.waited > d.quiet {
			return fmt.Errorf("%w; %w, tried for %s: %w", loss, errNoPart, d.quiet, last)
		}
		began := time.Now()
		select {
		case <-time.After(l.pause):
		case <-d.ctx.Done():
			return d.ctx.Err()
		}
		err := d.getRest()
		l.pause, l.waited = min(2*l.pause, maxPause), l.waited+time.Since(began)
		switch {
		case err == nil:
			return nil
		case d.ctx.Err() != nil:
			return d.ctx.Err()
		case errors.Is(err, errNoPart):
			return fmt.Errorf("%w; %w", loss, err)
		}
		last = err
	}
}

// getRest asks for what has not come yet. Its error is an errNoPart where asking once more is of no use.
func (d *download) getRest() error {
	r, err := d.get(http.Header{"Range": {fmt.Sprintf("bytes=%d-", d.at)}, "If-Range": {d.whole.validator}})
	if err != nil {
		if err = unnamed(err); errors.Is(err, errLeads) {
			err = fmt.Errorf("%w: %w", errNoPart, err)
		}
		return err
	}
	if err := d.whole.isRest(r, d.at); err != nil {
		d.body.Close()
		return err
	}
	return nil
}

// webFile is what a server says of a file of which it sends parts.
type webFile struct {
	length         int64
	validator      string // the strong one that the server is asked to compare
	etag, modified string // header fields
	at             url.URL
}

// wholeFile is the file that an answer brings; nil where no part of it can be had, or where nothing tells it from the next one of its name: by
// RFC 9110, section 13.1.5, that is a strong entity tag, or, where there is no tag at all, a time that is strong (8.8.2.2).
func wholeFile(r *http.Response) *webFile {
	f := &webFile{length: r.ContentLength, etag: r.Header.Get("ETag"), modified: r.Header.Get("Last-Modified"), at: placeOf(r)}
	switch {
	case f.length <= 0 || !strings.EqualFold(r.Header.Get("Accept-Ranges"), "bytes") || !isIdentity(r):
		return nil
	case len(f.etag) > 2 && f.etag[0] == '"' && strings.IndexByte(f.etag[1:], '"') == len(f.etag)-2:
		f.validator = f.etag
	case f.etag == "" && isStrongTime(f.modified, r.Header.Get("Date")):
		f.validator = f.modified
	default:
		return nil
	}
	return f
}

// strongAfter is how long a file has to be unchanged for its time to tell it from the next one, by the server's clocks, which may be two.
const strongAfter = time.Minute

func isStrongTime(modified, now string) bool {
	m, err := http.ParseTime(modified)
	if err != nil {
		return false
	}
	n, err := http.ParseTime(now)
	return err == nil && n.Sub(m) >= strongAfter
}

// isIdentity reports whether an answer is the file itself and not a coding of it, which may be another one the next time.
func isIdentity(r *http.Response) bool {
	coding := r.Header.Get("Content-Encoding")
	return coding == "" || strings.EqualFold(coding, "identity")
}

// placeOf is where an answer comes from in the end. The query is left out: it may be a signature, another one each time.
func placeOf(r *http.Response) url.URL {
	return url.URL{Scheme: r.Request.URL.Scheme, Host: r.Request.URL.Host, Path: r.Request.URL.Path}
}

// isRest is nil where an answer is all of the same file from a byte on. A tag is compared wherever the URL leads, as to another of several mirrors;
// a time tells files of one place from each other.
func (f *webFile) isRest(r *http.Response, from int64) error {
	etag, modified, part := r.Header.Get("ETag"), r.Header.Get("Last-Modified"), r.StatusCode == http.StatusPartialContent
	tagged := f.validator == f.etag
	switch {
	case r.StatusCode >= 500, r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusRequestTimeout:
		return errors.New(r.Status)
	case !part && r.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s", errNoPart, r.Status)
	case !tagged && placeOf(r) != f.at:
		return fmt.Errorf("%w: the server leads elsewhere now, and says nothing but times of its files", errNoPart)
	case etag != f.etag, modified != f.modified && !(tagged && modified == ""), !part && r.ContentLength >= 0 && r.ContentLength != f.length:
		return fmt.Errorf("%w: the server has another file now", errNoPart)
	case !part:
		return fmt.Errorf("%w: the server sends all of it again, and no part", errNoPart)
	}
	want := fmt.Sprintf("bytes %d-%d/%d", from, f.length-1, f.length)
	if got := r.Header.Get("Content-Range"); !strings.EqualFold(got, want) || r.ContentLength != f.length-from || !isIdentity(r) {
		return fmt.Errorf("%w: the server sends another part than %q (%.60q)", errNoPart, want, got)
	}
	return nil
}

// losses are told to all who look on.
type losses struct {
	mu    sync.Mutex
	told  []string
	hears map[int]func(string)
	next  int
}

func (l *losses) tell(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, text)
	for _, hear := range l.hears {
		hear(text)
	}
}

// OnLoss has hear called each time that the connection is lost over which the image comes, and is made anew, also for the times before, until stop
// is called.
func (i *Image) OnLoss(hear func(string)) (stop func()) {
	l := &i.losses
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.told {
		hear(text)
	}
	if l.hears == nil {
		l.hears = map[int]func(string){}
	}
	n := l.next
	l.hears[n], l.next = hear, n+1
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.hears, n)
	}
}
