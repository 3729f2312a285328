package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"groundhog/cmd/internal/hint"
)

// Bounds of what a device may say in one answer.
const (
	maxStdout = 4 << 20
	maxStderr = 64 << 10
)

// Result is what a command on the device did.
type Result struct {
	Stdout []byte
	Stderr []byte // its end, where it was longer than maxStderr
	Exit   int    // 128 and more: killed by a signal
}

// Err is nil for exit 0; otherwise it carries what the remote side said.
func (r Result) Err(what string) error {
	if r.Exit == 0 {
		return nil
	}
	said := strings.TrimSpace(string(r.Stderr))
	if r.Exit > 128 { // what it had printed until then is no reason
		if said != "" {
			said = ": " + said
		}
		return fmt.Errorf("%s: killed by signal %d on the device%s", what, r.Exit-128, oneLine(said))
	}
	if said == "" {
		said = strings.TrimSpace(string(r.Stdout[max(0, len(r.Stdout)-1024):]))
	}
	if said == "" {
		return fmt.Errorf("%s: exit %d on the device", what, r.Exit)
	}
	return fmt.Errorf("%s: exit %d on the device: %s", what, r.Exit, oneLine(said))
}

// oneLine puts lines behind each other.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c == '\n' || c == '\r' }), "; ")
}

// Run runs a shell command and waits for its end. A command that ends with
// another code than 0 is no error here (Result.Err); a lost connection, an end of ctx, an error of stdin,
// a command that ends well without having read it, and more than maxStdout bytes are. What it had said until then is in the
// result all the same. Ending ctx closes the client.
func (c *Client) Run(ctx context.Context, command string, stdin io.Reader) (Result, error) {
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	w := c.watchCommand(ctx)
	defer w.endWatch()
	in := &uploadSource{Reader: aliveReader{stdin, w.markAlive}, over: make(chan struct{})}
	p, err := c.startCommand(ctx, command, in, w, sessionTries)
	if err != nil {
		return Result{}, err
	}
	c.noteBegun()
	defer c.noteOver()
	p.out.begin = func() { w.allowIdle(c) }
	out := &limitedHead{limit: maxStdout}
	if _, err := io.Copy(out, aliveReader{p.Stdout, w.markAlive}); err != nil {
		p.Close()
		return Result{Stdout: out.b.Bytes()}, c.trueCause(ctx, err)
	}
	exit, err := p.Wait()
	if broken := in.broken.Load(); broken != nil && ctx.Err() == nil {
		return Result{}, fmt.Errorf("reading what is sent to the device: %w", *broken)
	}
	if err == nil && exit == 0 && in.wasLeft() {
		exit, err = 0, errUnread
	}
	return Result{out.b.Bytes(), p.frame.afterWord(p.stderr.KeptBytes()), exit}, err
}

// errLate is that a command was let go of.
var errLate = errors.New("it takes too long, and is not waited for")

// Peek is the output of a command that ends well and that nothing depends on. It is waited for at most so long; then it may live on, and the connection
// stays as it is for what else runs there.
func (c *Client) Peek(ctx context.Context, most time.Duration, command string) ([]byte, error) {
	type answer struct {
		out []byte
		err error
	}
	answered, late := make(chan answer, 1), make(chan struct{})
	time.AfterFunc(most, func() { close(late) })
	go func() { // with the connection, at the latest
		p, err := c.startCommand(ctx, command, nil, nil, peekTries)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		c.noteBegun()
		over := sync.OnceFunc(c.noteOver)
		defer over()
		go func() { <-late; over() }()
		out := &limitedHead{limit: maxStdout}
		if _, err := io.Copy(out, p.Stdout); err != nil {
			p.Close()
			answered <- answer{err: err}
			return
		}
		exit, err := p.Wait()
		if err == nil {
			err = Result{Stderr: []byte(p.Stderr()), Exit: exit}.Err("looking")
		}
		answered <- answer{out.b.Bytes(), err}
	}()
	select {
	case a := <-answered:
		return a.out, a.err
	case <-late:
		return nil, errLate
	}
}

// Script runs a program of POSIX sh of any length; args are $1 and so on, stdin comes behind
// the program. No file is written on the device: the program itself is what its shell reads first.
// dd reads byte by byte, so not one byte of stdin too many. Where it has not read all of the program, because the
// connection was lost or there is no dd, nothing of it is run: half of one does what nobody wrote, and none at all ends well.
func (c *Client) Script(ctx context.Context, program string, stdin io.Reader, args ...string) (Result, error) {
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	program += wholeProgram
	return c.Run(ctx, readerCommand(len(program), args), io.MultiReader(strings.NewReader(program), stdin))
}

// wholeProgram is how a program ends that came whole.
const wholeProgram = "\n#whole"

func readerCommand(length int, args []string) string {
	load := `groundhog_program=$(dd bs=1 count=` + strconv.Itoa(length) + ` 2>/dev/null); case $groundhog_program in *"#whole") eval "$groundhog_program" ;; ` +
		`*) echo "groundhog: dd has not read the program that the device is to run" >&2; exit 1 ;; esac`
	return "exec /bin/sh -c " + Quote(load) + " groundhog" + quoteAll(args)
}

// shellCommand is the command as the login shell gets it, whichever that is.
func (c *Client) shellCommand(command string) string {
	if c.sudo {
		return `exec sudo -n -- /usr/bin/env SSH_CONNECTION="$SSH_CONNECTION" /bin/sh -c ` + loginQuote(command)
	}
	return "exec /bin/sh -c " + loginQuote(command)
}

// rootProbe says who we are. It shows, too, whether what is sent to a command, what it says and how it ends come through as they are: a forced command, or
// what else is around a login shell, may lose or add to any of these, and where a refusal ends with 0 it would be taken for the opposite.
const (
	rootProbe     = `read -r word; id -u; echo "$word"; exit 7`
	rootProbeExit = 7
	rootProbeWord = "heard\n"
)

// AskUser is the number of the user whom the client's commands run as. The error wraps ErrShell where they do not come through as they are.
func (c *Client) AskUser(ctx context.Context) (string, error) {
	r, err := c.Run(ctx, rootProbe, strings.NewReader(rootProbeWord))
	if err != nil {
		return "", err
	}
	id, rest, _ := strings.Cut(string(r.Stdout), "\n")
	switch {
	case rest != rootProbeWord:
		err = fmt.Errorf("%w as they are: of a number and %q comes %.80q", ErrShell, rootProbeWord, r.Stdout)
	case r.Exit != rootProbeExit:
		err = fmt.Errorf("%w as they are: one that ends with %d is said to have ended with %d", ErrShell, rootProbeExit, r.Exit)
	}
	return id, hint.To(err, hintShell)
}

// AsRoot makes the client's commands root's: as they are, or by sudo -n.
func (c *Client) AsRoot(ctx context.Context) error {
	id, err := c.AskUser(ctx)
	if err != nil || id == "0" {
		return err
	}
	c.sudo = true
	id, err = c.AskUser(ctx)
	switch {
	case errors.Is(err, ErrShell): // sudo itself ended
		err = fmt.Errorf("sudo -n: %w", err)
	case err != nil:
		return err
	case id == "0":
		return nil
	default:
		err = fmt.Errorf("sudo -n makes user id %.20q of it", id)
	}
	c.sudo = false
	return hint.To(fmt.Errorf("%w: user %s: %w", ErrNotRoot, c.Target.User, err), "log in as root, or allow sudo without a password (sudoers(5), NOPASSWD)")
}

// Output runs a command that must succeed.
func (c *Client) Output(ctx context.Context, command string) (string, error) {
	r, err := c.Run(ctx, command, nil)
	if err == nil {
		err = r.Err("running " + strconv.Quote(command))
	}
	return string(r.Stdout), err
}

// Upload starts a command and feeds it r; stdin is closed at r's end.
func (c *Client) Upload(ctx context.Context, command string, r io.Reader) error {
	res, err := c.Run(ctx, command, r)
	if err == nil {
		err = res.Err("uploading")
	}
	return err
}

// uploadSource remembers why it broke, which looks like a proper end to the device, and whether it was left before its end, which package ssh does not
// always tell: it closes the pipe that it reads from as soon as the command has ended, and where nothing of that pipe is being written just then, no write fails.
type uploadSource struct {
	io.Reader
	broken atomic.Pointer[error]
	left   atomic.Bool
	over   chan struct{} // closed when nobody reads any more
}

func (s *uploadSource) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.broken.Store(&err)
	}
	return n, err
}

// WriteTo is how package ssh reads, once.
func (s *uploadSource) WriteTo(w io.Writer) (int64, error) {
	defer close(s.over)
	n, err := io.Copy(w, struct{ io.Reader }{s})
	s.left.Store(err != nil && s.broken.Load() == nil)
	return n, err
}

// wasLeft reports whether the command has ended before all was read. It waits for the reading to end, but not for a source that has nothing to say.
func (s *uploadSource) wasLeft() bool {
	select {
	case <-s.over:
		return s.left.Load()
	case <-time.After(time.Second):
		return false
	}
}

// limitedHead keeps the beginning and refuses more.
type limitedHead struct {
	b     bytes.Buffer
	limit int
}

func (h *limitedHead) Write(p []byte) (int, error) {
	if h.b.Len()+len(p) > h.limit {
		return 0, fmt.Errorf("the device answers with more than %d bytes", h.limit)
	}
	return h.b.Write(p)
}
