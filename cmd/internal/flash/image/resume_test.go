package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// The tests do not wait as long as users do.
func init() { firstPause = 5 * time.Millisecond }

// tag is what a server that vouches for its file says of it.
const tag = `"v1"`

// dropping is a web server that gives a file as net/http does, and drops the connection in its first answers: each behind as many bytes as drops has.
type dropping struct {
	url    string
	file   []byte
	header http.Header
	how    func(w http.ResponseWriter, r *http.Request) // the drop
	drops  []int
	answer func(n int, w http.ResponseWriter, r *http.Request) bool // if set, may answer request n, from 0 on, in another way

	mu    sync.Mutex
	asked []*http.Request
}

// connKey is where a request's context has its connection.
type connKey struct{}

// abort ends a connection in order, but too early.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// reset ends it as a machine does that has lost its power and is up again.
func reset(_ http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*net.TCPConn)
	c.SetLinger(0)
	c.Close()
	panic(http.ErrAbortHandler)
}

// hush says nothing more.
func hush(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func (d *dropping) start(t testing.TB) *dropping {
	s := httptest.NewUnstartedServer(d)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.Start()
	t.Cleanup(s.Close)
	d.url = s.URL + "/disk.img"
	if d.header == nil {
		d.header = http.Header{"Etag": {tag}}
	}
	if d.how == nil {
		d.how = abort
	}
	return d
}

func (d *dropping) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	n := len(d.asked)
	d.asked = append(d.asked, r)
	d.mu.Unlock()
	for name, values := range d.header {
		w.Header()[name] = values
	}
	if n < len(d.drops) {
		all := w
		w = &droppingWriter{ResponseWriter: all, left: d.drops[n], drop: func() { all.(http.Flusher).Flush(); d.how(all, r) }}
	}
	if d.answer == nil || !d.answer(n, w, r) {
		modified, _ := http.ParseTime(d.header.Get("Last-Modified"))
		http.ServeContent(w, r, "", modified, bytes.NewReader(d.file))
	}
}

// requests is what it was asked so far.
func (d *dropping) requests() []*http.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.asked)
}

type droppingWriter struct {
	http.ResponseWriter
	left int
	drop func()
}

func (w *droppingWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.left])
	w.drop()
	return 0, io.ErrClosedPipe
}

// loadFrom is what comes of an image, and what is told meanwhile.
func loadFrom(ctx context.Context, url, sum string, options ...Option) (got []byte, told []string, err error) {
	i, err := Open(ctx, url, sum, nil, options...)
	if err != nil {
		return nil, nil, err
	}
	defer i.Close()
	defer i.OnLoss(func(text string) { told = append(told, text) })()
	got, err = whole(i)
	return got, told, err
}

// A download that is dropped, wherever and however often, goes on there, and each byte of the file comes once.
func TestDropped(t *testing.T) {
	want := disk(5<<20 + 4096)
	for kind, file := range map[string][]byte{"raw": want, "xz": packWith(t, packers["xz"], want)} {
		size, random := len(file), rand.New(rand.NewPCG(1, 2))
		places := [][]int{{0}, {1}, {511}, {size / 2}, {size - 1}, {size}, {100, 0, 0, 1}, {size / 2, size / 4}}
		for range 6 {
			var drops []int
			for range 3 {
				drops = append(drops, random.IntN(size/3))
			}
			places = append(places, drops)
		}
		for what, how := range map[string]func(http.ResponseWriter, *http.Request){"aborted": abort, "reset": reset, "silent": hush} {
			quiet, places := time.Minute, places
			if what == "silent" {
				quiet, places = time.Second, [][]int{{size / 2}}
			}
			for _, drops := range places {
				t.Run(fmt.Sprintf("%s %s %v", kind, what, drops), func(t *testing.T) {
					t.Parallel()
					d := (&dropping{file: file, drops: drops, how: how}).start(t)
					sum := []string{"", sumOf(file)}[len(drops)%2]
					got, told, err := loadFrom(t.Context(), d.url, sum, Quiet(quiet))
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%d bytes, %v", len(got), err)
					}
					at := 0
					for n, r := range d.requests() {
						if n > 0 && what != "reset" && r.Header.Get("Range") != fmt.Sprintf("bytes=%d-", at) || n > 0 && r.Header.Get("If-Range") != tag || r.Header.Get("Accept-Encoding") != "identity" {
							t.Errorf("request %d, behind byte %d: %v", n, at, r.Header)
						}
						if n < len(drops) {
							at += drops[n]
						}
					}
					if drops[0] < size && len(told) == 0 || len(told) > len(drops) || what == "aborted" && drops[0] == size && len(d.requests()) > 1 {
						t.Errorf("told %q, asked %d times", told, len(d.requests()))
					}
				})
			}
		}
	}
}

// answerPart answers with a part of a file from a byte on, and header fields beside it.
func answerPart(w http.ResponseWriter, code int, file []byte, fields string) {
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	for line := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		if w.Header().Del(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(code)
	w.Write(file)
}

// The rest of another file is not put behind what came of the first, whatever a server says, and it is not asked again.
func TestDroppedAndChanged(t *testing.T) {
	file, other := disk(3<<20), bytes.Repeat([]byte("another "), 3<<17)
	at, size := 2<<20+5, 3<<20
	rest := fmt.Sprintf("Content-Range: bytes %d-%d/%d", at, size-1, size)
	const elsewhere, replaced, whole = "another part", "another file", "all of it again"
	old := http.Header{"Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT"}}
	for what, c := range map[string]struct {
		first  http.Header // by which the file is told; nil: its tag
		answer func(w http.ResponseWriter, r *http.Request)
		why    string
	}{
		"no ranges":        {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 200, file, "") }, whole},
		"another tag, all": {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 200, other, `ETag: "v2"`) }, replaced},
		"another length": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 200, other[1:], "")
		}, replaced},
		"net/http, other tag": {nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v2"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(other))
		}, replaced},
		"net/http, same tag, longer": {nil, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(append(other, 0)))
		}, elsewhere},
		"net/http, same tag, shorter": {nil, func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(other[:at]))
		}, "416"},
		"If-Range not known": {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, other[at:], rest+"\n"+`ETag: "v2"`) }, replaced},
		"no tag any more":    {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, other[at:], rest+"\nETag: ") }, replaced},
		"a weak one now":     {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, other[at:], rest+"\nETag: W/"+tag) }, replaced},
		"from byte 0": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file, fmt.Sprintf("Content-Range: bytes 0-%d/%d", size-1, size))
		}, elsewhere},
		"a byte behind": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at+1:], fmt.Sprintf("Content-Range: bytes %d-%d/%d", at+1, size-1, size))
		}, elsewhere},
		"not to its end": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at:size-1], fmt.Sprintf("Content-Range: bytes %d-%d/%d", at, size-2, size))
		}, elsewhere},
		"of any length": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at:], fmt.Sprintf("Content-Range: bytes %d-%d/*", at, size-1))
		}, elsewhere},
		"it says nowhere":     {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, file[at:], "") }, elsewhere},
		"longer than it says": {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, append(file[at:size:size], 1), rest) }, elsewhere},
		"of no known length": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at:], rest+"\nContent-Length: ")
		}, elsewhere},
		"packed": {nil, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at:], rest+"\nContent-Encoding: gzip")
		}, elsewhere},
		"gone":         {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 404, nil, "") }, "404"},
		"precondition": {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 412, nil, "") }, "412"},
		"no range":     {nil, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 416, nil, "") }, "416"},
		"another time": {old, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at:], rest+"\nLast-Modified: Mon, 02 Jan 2006 15:04:06 GMT")
		}, replaced},
		"no time":   {old, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, file[at:], rest+"\nLast-Modified: ") }, replaced},
		"a tag now": {old, func(w http.ResponseWriter, _ *http.Request) { answerPart(w, 206, file[at:], rest+"\nETag: "+tag) }, replaced},
		"another time, same tag": {http.Header{"Etag": {tag}, "Last-Modified": old["Last-Modified"]}, func(w http.ResponseWriter, _ *http.Request) {
			answerPart(w, 206, file[at:], rest+"\nLast-Modified: Mon, 02 Jan 2006 15:04:06 GMT")
		}, replaced},
		"the same time, of another place": {old, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/disk.img" {
				http.Redirect(w, r, "/mirror/disk.img", http.StatusFound)
				return
			}
			answerPart(w, 206, other[at:], rest)
		}, "elsewhere"},
		"for ever elsewhere": {nil, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/disk.img", http.StatusFound) }, "for the 10th time"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := &dropping{file: file, drops: []int{at}, header: c.first}
			d.answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n > 0 {
					c.answer(w, r)
				}
				return n > 0
			}
			d.start(t)
			got, _, err := loadFrom(t.Context(), d.url, "")
			if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), errNoPart.Error()) || !strings.Contains(err.Error(), c.why) || !bytes.HasPrefix(file, got) {
				t.Errorf("%d bytes, %v; want %q", len(got), err, c.why)
			}
			if n := len(d.requests()); n > 2 && !strings.HasPrefix(c.why, "elsewhere") && c.why != "for the 10th time" {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// By a time that may be another file's, by a weak tag, of a server that knows no parts and of one that does not say how much comes, nothing is gone
// on with; by a time that is long over it is.
func TestDroppedUntold(t *testing.T) {
	file := disk(3 << 20)
	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format(http.TimeFormat) }
	for what, c := range map[string]struct {
		fields string
		goesOn bool
	}{
		"a tag":                  {"ETag: " + tag, true},
		"a tag and a time":       {"ETag: " + tag + "\nLast-Modified: " + ago(time.Second), true},
		"a time":                 {"Last-Modified: " + ago(time.Hour), true},
		"a young time":           {"Last-Modified: " + ago(30*time.Second), false},
		"a time to come":         {"Last-Modified: " + ago(-time.Hour), false},
		"no clock":               {"Last-Modified: " + ago(time.Hour) + "\nDate: ", false},
		"neither":                {"", false},
		"a weak tag":             {"ETag: W/" + tag, false},
		"a weak tag and a time":  {"ETag: W/" + tag + "\nLast-Modified: " + ago(time.Hour), false},
		"a tag that is none":     {"ETag: v1", false},
		"a tag of one quote":     {`ETag: v1"`, false},
		"two in one":             {`ETag: "v1", "v2"`, false},
		"an empty tag":           {`ETag: ""`, false},
		"no ranges":              {"ETag: " + tag + "\nAccept-Ranges: none", false},
		"nothing said of ranges": {"ETag: " + tag + "\nAccept-Ranges: ", false},
		"no length":              {"ETag: " + tag + "\nContent-Length: ", false},
		"packed":                 {"ETag: " + tag + "\nContent-Encoding: gzip", false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := &dropping{file: file, drops: []int{2 << 20}, header: http.Header{}}
			d.answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
				fields := "Accept-Ranges: bytes\n" + c.fields
				if strings.Contains(c.fields, "Date") {
					w.Header()["Date"] = nil
					fields = strings.TrimSuffix(fields, "\nDate: ")
				}
				if n == 0 {
					answerPart(w, 200, file, fields)
					return true
				}
				rest := fields + "\nContent-Range: bytes 2097152-3145727/3145728"
				if strings.HasPrefix(c.fields, "ETag") { // whose time need not be said again (RFC 9110, section 15.3.7)
					rest += "\nLast-Modified: "
				}
				answerPart(w, 206, file[2<<20:], rest)
				return true
			}
			d.start(t)
			got, told, err := loadFrom(t.Context(), d.url, "")
			switch {
			case c.goesOn && (err != nil || !bytes.Equal(got, file) || len(told) != 1):
				t.Errorf("%d bytes, %v, %q", len(got), err, told)
			case !c.goesOn && (err == nil || strings.Contains(err.Error(), errNoPart.Error()) || len(d.requests()) != 1 || len(told) > 0):
				t.Errorf("%d bytes, %v, %q, asked %d times", len(got), err, told, len(d.requests()))
			}
		})
	}
}

// A server that is being started, and a network that is away, are asked again; for as long as silence is allowed, and not longer.
func TestDroppedAndAway(t *testing.T) {
	file := disk(3 << 20)
	away := map[string]func(http.ResponseWriter, *http.Request){
		"503":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"429":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"no answer": abort,
		"reset":     reset,
		"silent":    hush,
		"silent behind some bytes": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(&droppingWriter{w, 10, func() { w.(http.Flusher).Flush(); hush(w, r) }}, r, "", time.Time{}, bytes.NewReader(file))
		},
		"a part of nothing": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(&droppingWriter{w, 10, func() { w.(http.Flusher).Flush(); abort(w, r) }}, r, "", time.Time{}, bytes.NewReader(file))
		},
	}
	for what, answer := range away {
		for _, returns := range []int{3, 1000} {
			if strings.HasPrefix(what, "silent") && returns == 3 { // it may be that once
				continue
			}
			t.Run(fmt.Sprintf("%s until %d", what, returns), func(t *testing.T) {
				t.Parallel()
				d := &dropping{file: file, drops: []int{2 << 20}}
				d.answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
					if n > 0 && n < returns {
						answer(w, r)
					}
					return n > 0 && n < returns
				}
				d.start(t)
				quiet := time.Second
				if returns < 1000 {
					quiet = 20 * time.Second
				}
				got, told, err := loadFrom(t.Context(), d.url, "", Quiet(quiet))
				switch n := len(d.requests()); {
				case len(told) != 1:
					t.Errorf("told %q", told)
				case returns < 1000 && (err != nil || !bytes.Equal(got, file)):
					t.Errorf("%d bytes, %v", len(got), err)
				case returns == 1000 && (!errors.Is(err, io.ErrUnexpectedEOF) && what != "silent behind some bytes" || !errors.Is(err, errNoPart) || !strings.Contains(err.Error(), "tried for 1s")):
					t.Error(err)
				case n > 20:
					t.Errorf("asked %d times", n)
				}
			})
		}
	}
}

// Who gives up does not wait for a server to come back.
func TestDroppedAndGivenUp(t *testing.T) {
	for _, what := range []string{"cancelled", "closed"} {
		d := &dropping{file: disk(3 << 20), drops: []int{2 << 20}}
		d.answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 0 {
				hush(w, r)
			}
			return n > 0
		}
		d.start(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		i := open(t, d.url, "", nil, Quiet(time.Hour))
		ended := make(chan error, 1)
		go func() { ended <- i.Load(ctx) }()
		judge.Until(t, "asking again", func() bool { return len(d.requests()) == 2 })
		if what == "cancelled" {
			cancel()
		} else {
			i.Close()
		}
		if err := <-ended; err == nil {
			t.Errorf("%s, and whole", what)
		}
		i.Close()
	}
	d := (&dropping{file: disk(3 << 20), drops: []int{2 << 20}, how: hush}).start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	i := &Image{quiet: time.Hour}
	i.OnLoss(func(text string) { t.Errorf("that is no loss: %s", text) })
	in := judge.Value(i.openURL(ctx, d.url))(t)
	defer in.Close()
	judge.Value(io.ReadFull(in, make([]byte, 2<<20)))(t)
	time.AfterFunc(10*time.Millisecond, cancel)
	if n, err := in.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) || n != 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	d = (&dropping{file: disk(3 << 20), drops: []int{2 << 20}}).start(t)
	ctx, cancel = context.WithCancel(t.Context())
	i = &Image{quiet: time.Hour}
	i.OnLoss(func(string) { cancel() })
	in = judge.Value(i.openURL(ctx, d.url))(t)
	defer in.Close()
	if n, err := io.Copy(io.Discard, in); !errors.Is(err, context.Canceled) || n != 2<<20 || len(d.requests()) != 1 {
		t.Errorf("%d bytes, %v, asked %d times", n, err, len(d.requests()))
	}
}

// The URL that was given is followed anew, whose server may sign another one each time; what is told has no secret of any.
func TestDroppedBehindRedirect(t *testing.T) {
	file := disk(3 << 20)
	for _, fails := range []bool{false, true} {
		for name, header := range map[string]http.Header{"tag": {"Etag": {tag}}, "time": {"Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT"}}} {
			var mu sync.Mutex
			signed := 0
			d := &dropping{file: file, drops: []int{0, 2 << 20}, header: header}
			d.answer = func(n int, w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				user, password, _ := r.BasicAuth()
				switch {
				case user != "me" || password != "secret":
					t.Errorf("%s: nobody asks", r.URL)
				case r.URL.Path == "/disk.img":
					signed++
					w.Header().Set("Location", fmt.Sprintf("/signed/disk.img?sig=secret%d", signed))
					w.(*droppingWriter).ResponseWriter.WriteHeader(http.StatusFound)
					return true
				case r.URL.Query().Get("sig") != fmt.Sprintf("secret%d", signed), fails && signed > 1:
					w.WriteHeader(http.StatusForbidden)
					return true
				}
				return false
			}
			d.drops = []int{1, 2 << 20, 1}
			d.start(t)
			got, told, err := loadFrom(t.Context(), strings.Replace(d.url, "://", "://me:secret@", 1)+"?sig=secret", "")
			if fails != (err != nil) || fails && !strings.Contains(err.Error(), "403") || !fails && !bytes.Equal(got, file) || signed != 2 {
				t.Errorf("%s: %d bytes, %v, led %d times", name, len(got), err, signed)
			}
			if said := fmt.Sprint(told, err); strings.Contains(said, "secret") || !strings.Contains(said, "/disk.img?...: unexpected EOF, after 2.0 MiB of 3.0 MiB") {
				t.Errorf("%s: %s", name, said)
			}
		}
	}
}

// Who comes later hears what was lost before, and who went away hears no more.
func TestOnLoss(t *testing.T) {
	i, one, two := &Image{}, []string(nil), []string(nil)
	i.losses.tell("a")
	stop := i.OnLoss(func(s string) { one = append(one, s) })
	i.losses.tell("b")
	defer i.OnLoss(func(s string) { two = append(two, s) })()
	stop()
	i.losses.tell("c")
	if fmt.Sprint(one, two) != "[a b] [a b c]" {
		t.Error(one, two)
	}
}
