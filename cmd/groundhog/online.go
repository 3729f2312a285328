package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"groundhog/cmd/internal/device"
	"groundhog/manifest"
)

// Exit codes of the verbs that reach a device.
const (
	exitRefused     = 1   // a check said no, nothing was changed
	exitTrouble     = 2   // the verdict says what state the device is in
	exitInterrupted = 130 // as after SIGINT in a shell
)

// remote is the flags that say how to reach devices.
type remote struct {
	config         string
	identities     []string
	hostKey        string
	knownHosts     []string
	connectTimeout time.Duration
	json           bool
}

func (o *remote) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&o.identities, "identity", "i", nil, "log in with the private key in `FILE` (repeatable)")
	f.StringVar(&o.hostKey, "host-key", "", "take the host key with this fingerprint, `SHA256:...`, and no other")
	f.StringArrayVar(&o.knownHosts, "known-hosts", nil, "look for host keys in `FILE` alone (repeatable)")
	f.StringVar(&o.config, "ssh-config", "", "read `FILE` in place of ~/.ssh/config; none reads none")
	f.DurationVar(&o.connectTimeout, "connect-timeout", 15*time.Second, "how long one login may take")
	f.BoolVar(&o.json, "json", false, "report as JSON, one event a line")
}

// options is the flags as the SSH side has them.
func (o *remote) options() device.Options {
	return device.Options{Config: o.config, Identities: o.identities, HostKey: o.hostKey,
		KnownHosts: o.knownHosts, ConnectTimeout: o.connectTimeout, Ask: asker()}
}

// asking is the terminal while somebody is asked for a passphrase.
var asking struct {
	sync.Mutex
	before *term.State // of the echo, for an end in between
}

// asker asks for a passphrase on the terminal; nil where there is none.
func asker() func(string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	asking.before, _ = term.GetState(fd)
	return func(prompt string) ([]byte, error) {
		asking.Lock()
		defer asking.Unlock()
		fmt.Fprint(os.Stderr, manifest.Printable(prompt))
		defer fmt.Fprintln(os.Stderr)
		return term.ReadPassword(fd)
	}
}

// echo puts the terminal back: a question that Ctrl-C ended left it without echo.
func echo() {
	if asking.before != nil {
		term.Restore(int(os.Stdin.Fd()), asking.before)
	}
}

// event is a line of --json.
type event struct {
	Time    string `json:"time"`             // RFC 3339, UTC
	Host    string `json:"host"`             // as given on the command line
	Event   string `json:"event"`            // check, phase, progress or verdict
	ID      string `json:"id,omitzero"`      // of the check or the phase
	Verdict string `json:"verdict,omitzero"` // of a check: ok, warn, refuse; of the host: done, refused, trouble, interrupted
	Text    string `json:"text,omitzero"`    // in words
	Hint    string `json:"hint,omitzero"`    // what to do
	Bytes   int64  `json:"bytes,omitzero"`   // of progress: done so far
	Total   int64  `json:"total,omitzero"`   // of progress: all, 0 where that is not known
	Data    any    `json:"data,omitzero"`    // of a verdict: its figures
}

// reporter tells of several devices on one output.
type reporter struct {
	mu     sync.Mutex
	out    io.Writer // results
	err    io.Writer // everything else
	json   bool
	talk   talk
	prefix bool          // lines begin with the host
	bars   *mpb.Progress // where a person looks on; else nil
	ends   []end         // of devices, in the order of their ends
}

// end is how a device's run ended.
type end struct {
	host, verdict, text string
	took                time.Duration
}

func (o *remote) reporter(cmd *cobra.Command, hosts int) *reporter {
	r := &reporter{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), json: o.json, talk: talkOf(cmd), prefix: hosts > 1}
	if f, ok := r.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !r.json && r.talk != quiet {
		r.bars = mpb.New(mpb.WithOutput(f))
		r.err = r.bars // lines go above the bars
		if out, ok := r.out.(*os.File); ok && term.IsTerminal(int(out.Fd())) {
			r.out = r.bars
		}
	}
	return r
}

// close leaves the terminal to others.
func (r *reporter) close() {
	if r.bars != nil {
		r.bars.Wait()
	}
}

// bar is a progress bar for a stream of total bytes.
func (h host) bar(what string, total int64) *mpb.Bar {
	return h.bars.New(total, mpb.BarStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(manifest.Printable(h.name)+" "+what+" ")),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
}

func (r *reporter) tell(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json {
		e.Time = time.Now().UTC().Format(time.RFC3339)
		b, err := json.Marshal(e)
		if err == nil {
			w := bufio.NewWriter(r.out)
			w.Write(append(b, '\n'))
			w.Flush()
		}
		return
	}
	w, text := r.err, e.Text
	switch e.Event {
	case "verdict":
		w = r.out
	case "check":
		text = fmt.Sprintf("%-6s %-12s %s", e.Verdict, e.ID, e.Text)
		if r.talk < verbose && e.Verdict == "ok" {
			return
		}
	}
	if r.talk == quiet && (e.Event == "phase" || e.Event == "progress" || e.Event == "verdict" && e.Verdict == "done" || e.Verdict == "warn") {
		return
	}
	if r.prefix {
		text = e.Host + ": " + text
	}
	fmt.Fprintln(w, manifest.Printable(text))
	if e.Hint != "" {
		fmt.Fprintln(w, "  "+manifest.Printable(e.Hint))
	}
}

// host is a reporter for one device.
type host struct {
	*reporter
	name  string
	began time.Time
}

func (h host) phase(id, format string, args ...any) {
	h.tell(event{Host: h.name, Event: "phase", ID: id, Text: fmt.Sprintf(format, args...)})
}

// verdict is the end of a device's run: an exit code, said once.
func (h host) verdict(ctx context.Context, err error, done string, data any) int {
	e := event{Host: h.name, Event: "verdict", Verdict: "done", Text: done, Data: data}
	code := 0
	if err != nil {
		e.Text, e.Hint, e.Verdict, code = err.Error(), hintOf(err), "trouble", exitTrouble
		var c exitCode
		switch {
		case ctx.Err() != nil:
			e.Verdict, code = "interrupted", exitInterrupted
			e.Text = strings.Replace(e.Text, context.Canceled.Error(), e.Verdict, 1)
		case errors.As(err, &c) && c.code == exitRefused:
			e.Verdict, code = "refused", exitRefused
		}
	}
	h.tell(e)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, end{h.name, e.Verdict, e.Text, time.Since(h.began)})
	return code
}

// hintOf is what to do about an error, whoever knows it.
func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return device.HintOf(err)
}

// refusal is an error before which nothing was changed.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return exitCode{exitRefused, err}
}

// table sums several devices up, in the order in which they were named.
func (r *reporter) table(hosts []string) {
	if len(hosts) < 2 || r.json || r.talk == quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := tabwriter.NewWriter(r.out, 0, 8, 2, ' ', 0)
	for _, name := range hosts {
		for _, e := range r.ends {
			if e.host == name {
				if e.verdict == "done" {
					e.text = ""
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", manifest.Printable(e.host), e.verdict, e.took.Round(time.Second), manifest.Printable(e.text))
			}
		}
	}
	w.Flush()
}

// fleet runs one job a host, at most parallel at once, and returns the worst exit code: 130, else
// 2, else 1. Ctrl-C ends all of them in order.
func fleet(cmd *cobra.Command, r *reporter, hosts []string, parallel int, run func(ctx context.Context, h host) int) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer echo()
	if parallel < 1 {
		return misused(cmd, errors.New("--parallel must be at least 1"))
	}
	slots := make(chan struct{}, parallel)
	codes := make(chan int)
	for _, h := range hosts {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			codes <- run(ctx, host{r, h, time.Now()})
		}()
	}
	worst := 0
	for range hosts {
		worst = max(worst, <-codes)
	}
	r.table(hosts)
	if worst == 0 {
		return nil
	}
	return exitCode{code: worst}
}

// counted tells how far a stream has come, every few seconds.
type counted struct {
	io.Reader
	host  host
	what  string
	done  int64
	total int64
	next  time.Time
	bar   *mpb.Bar
}

// count follows a stream, by a bar or by lines.
func (h host) count(r io.Reader, what string, total int64) *counted {
	c := &counted{Reader: r, host: h, what: what, total: total}
	if h.bars != nil {
		c.bar = h.bar(what, total)
	}
	return c
}

// end takes the bar away, however far it came.
func (c *counted) end() {
	if c.bar != nil {
		c.bar.Abort(true)
	}
}

const progressEvery = 3 * time.Second

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	if c.bar != nil {
		c.bar.IncrBy(n)
		return n, err
	}
	if now := time.Now(); now.After(c.next) {
		if !c.next.IsZero() {
			c.host.tell(event{Host: c.host.name, Event: "progress", ID: c.what, Bytes: c.done, Total: c.total,
				Text: fmt.Sprintf("%s: %.1f of %.1f MB", c.what, float64(c.done)/1e6, float64(c.total)/1e6)})
		}
		c.next = now.Add(progressEvery)
	}
	return n, err
}
