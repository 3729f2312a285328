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
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
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

var asking sync.Mutex

// asker asks for a passphrase on the terminal; nil where there is none.
func asker() func(string) ([]byte, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return func(prompt string) ([]byte, error) {
		asking.Lock()
		defer asking.Unlock()
		fmt.Fprint(os.Stderr, manifest.Printable(prompt))
		defer fmt.Fprintln(os.Stderr)
		return term.ReadPassword(int(os.Stdin.Fd()))
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
	prefix bool // lines begin with the host
}

func (o *remote) reporter(cmd *cobra.Command, hosts int) *reporter {
	return &reporter{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), json: o.json, talk: talkOf(cmd), prefix: hosts > 1}
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
	name string
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
		case errors.As(err, &c) && c.code == exitRefused:
			e.Verdict, code = "refused", exitRefused
		}
	}
	h.tell(e)
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

// fleet runs one job a host, at most parallel at once, and returns the worst exit code: 130, else
// 2, else 1. Ctrl-C ends all of them in order.
func fleet(cmd *cobra.Command, hosts []string, parallel int, run func(ctx context.Context, host string) int) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if parallel < 1 {
		return misused(cmd, errors.New("--parallel must be at least 1"))
	}
	slots := make(chan struct{}, parallel)
	codes := make(chan int)
	for _, h := range hosts {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			codes <- run(ctx, h)
		}()
	}
	worst := 0
	for range hosts {
		worst = max(worst, <-codes)
	}
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
}

const progressEvery = 3 * time.Second

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.done += int64(n)
	if now := time.Now(); now.After(c.next) {
		if !c.next.IsZero() {
			c.host.tell(event{Host: c.host.name, Event: "progress", ID: c.what, Bytes: c.done, Total: c.total,
				Text: fmt.Sprintf("%s: %.1f of %.1f MB", c.what, float64(c.done)/1e6, float64(c.total)/1e6)})
		}
		c.next = now.Add(progressEvery)
	}
	return n, err
}
