package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/sidefile"
)

// sshProgram is where ssh(1) is.
func sshProgram() (string, error) { return exec.LookPath("ssh") }

// hashToken is a token that ssh's releases make differently (ssh_config(5), "TOKENS"). ssh -G says what it is in the name of
// the control socket, for which we have no use.
const hashToken = "%C"

// askTime bounds ssh -G, which looks names up and runs the commands of Match exec.
const askTime = 30 * time.Second

// maxAnswers bounds what ssh -G says, in bytes. A usual answer has 6,000.
const maxAnswers = 1 << 20

// askSSH has ssh(1) say what it would do for a target: `ssh -G`, which connects to nobody. The user's own
// configuration is read by ssh itself, which checks whose it is. For a file that is named on the command line it
// does not: we do, and ssh gets the very file that was checked, as its standard input. Of a jump host it is asked as ssh calls itself there: without a
// command, to be forwarded (Match sessiontype, Match command).
func askSSH(ctx context.Context, program string, t Target, config string, hop bool) (configAnswers, error) {
	// As for scp the command is none of the configuration's, whose own may not be usable with -G: one in the background, of a subsystem.
	args := []string{"-G", "-T", "-o", "ControlPath=" + hashToken, "-o", "RemoteCommand=none"}
	limit, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cmd := exec.CommandContext(limit, program)
	cmd.WaitDelay = 10 * time.Second // on a loaded machine what it said may be read long after its end
	switch {
	case config == "":
	case isNoConfig(config):
		args = append(args, "-F", "none")
	default:
		f, err := openConfig(config)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		cmd.Stdin = f
		args = append(args, "-F", "/dev/stdin")
	}
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if t.Port != "" {
		args = append(args, "-p", t.Port)
	}
	if hop {
		args = append(args, "-W", "localhost:22", "--", t.Host) // validHost: no option
	} else {
		args = append(args, "--", t.Host, "true")
	}
	cmd.Args = append(cmd.Args, args...)
	out, said := &limitedHead{limit: maxAnswers}, &OutputTail{Limit: maxStderr}
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limit.Err() != nil:
		return nil, hint.To(fmt.Errorf("asking ssh -G: no answer within %s", askTime), "a command of Match exec, or a name server, may not answer")
	case err != nil && strings.Contains(string(said.KeptBytes()), "No user exists for uid"):
		return nil, errNobody
	case err != nil:
		text := strings.ReplaceAll(strings.TrimSpace(string(said.KeptBytes())), "/dev/stdin", config)
		if text == "" { // it was not even started
			return nil, fmt.Errorf("asking ssh -G: %w", err)
		}
		return nil, fmt.Errorf("asking ssh -G: %w: %s", err, strings.Join(strings.FieldsFunc(text, lineEnd), "; "))
	}
	return parseAnswers(out.b.Bytes())
}

// sshDefaults are the lists of algorithms that a program's ssh -G says without any configuration, by the program's path and the option: they do not change
// while we run.
var sshDefaults sync.Map // string to configAnswers

// leaveOutDefaults leaves the lists of algorithms out that nobody has set.
func leaveOutDefaults(ctx context.Context, program string, a configAnswers) error {
	known, ok := sshDefaults.Load(program)
	if !ok {
		usual, err := askSSH(ctx, program, Target{Host: "localhost"}, "none", false)
		if err != nil {
			return err
		}
		known, _ = sshDefaults.LoadOrStore(program, usual)
	}
	for _, option := range algorithmOptions {
		if slices.Equal(a[option], known.(configAnswers)[option]) {
			delete(a, option)
		}
	}
	return nil
}

// errNobody is that ssh(1) refuses to work for a user without a name.
var errNobody = errors.New("asking ssh -G: the password database does not have this user")

func lineEnd(c rune) bool { return c == '\n' || c == '\r' }

// openConfig opens an ssh configuration that the command line names. It may have commands in it, for Match exec or as a
// ProxyCommand, which run with our rights.
func openConfig(name string) (*os.File, error) {
	f, err := sidefile.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the ssh configuration: %w", err)
	}
	if err := sidefile.Believe(f, sidefile.Nobody); err != nil {
		f.Close()
		return nil, hint.To(fmt.Errorf("reading the ssh configuration: %w", err), "its commands run with your rights: chown and chmod go-w it, or --ssh-config none does without")
	}
	return f, nil
}

// parseAnswers reads the lines of ssh -G: an option in lower case, a blank, its value. An option that can be given
// several times has several lines.
func parseAnswers(b []byte) (configAnswers, error) {
	a := configAnswers{}
	for line := range bytes.Lines(b) {
		option, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		option = strings.ToLower(option)
		a[option] = append(a[option], value)
	}
	if a.firstValue("hostname") == "" || a.firstValue("user") == "" || a.firstValue("port") == "" {
		return nil, errors.New("asking ssh -G: its answer has no host, user or port")
	}
	return a, nil
}

// listOptions have several files on one line of ssh -G, which has no quotes.
var listOptions = []string{"UserKnownHostsFile", "GlobalKnownHostsFile", "RevokedHostKeys"}

// splitLists makes one value of each file of those options.
func (a configAnswers) splitLists(me localUser) error {
	isThere := func(name string) bool {
		name, err := me.expandTilde(name)
		if err != nil {
			return false
		}
		info, err := os.Stat(name)
		return err == nil && !info.IsDir()
	}
	for _, name := range listOptions {
		var all []string
		option := strings.ToLower(name)
		for _, value := range a[option] {
			files, err := splitFiles(value, isThere)
			if err != nil {
				return hint.To(refusedOption{name, value, err.Error()}, "absolute names without blanks leave no doubt")
			}
			all = append(all, files...)
		}
		if all != nil {
			a[option] = all
		}
	}
	return nil
}

// mostBlanks bounds the blanks in one file's name.
const mostBlanks = 16

// splitFiles splits names with blanks between them, and maybe in them. What begins with a slash, or a ~, begins a name. What does not is the rest of
// one, or a file in the directory in which we run: that of the two which is there. A list of revoked keys that was not found would revoke none,
// so that what may mean two things is refused.
func splitFiles(value string, isThere func(name string) bool) (all []string, err error) {
	words := strings.Split(value, " ")
	for len(words) > 0 {
		n := 1
		for n < len(words) && !strings.HasPrefix(words[n], "/") && !strings.HasPrefix(words[n], "~") {
			n++
		}
		names, err := splitNames(words[:n], isThere)
		if err != nil {
			return nil, err
		}
		all, words = append(all, names...), words[n:]
	}
	return all, nil
}

// splitNames are those names that some words are which are there; all words are one name if none is.
func splitNames(words []string, isThere func(name string) bool) (all []string, err error) {
	if len(words) > mostBlanks {
		return nil, errors.New("names of files with so many blanks are not understood")
	}
	end := 0 // of the last name that is there
	for i := range words {
		for j := i + 1; j <= len(words); j++ {
			switch name := strings.Join(words[i:j], " "); {
			case len(words) > 1 && !isThere(name):
			case i < end:
				return nil, fmt.Errorf("it is not clear which files that means: there is %q, and %q", all[len(all)-1], name)
			default:
				all, end = append(all, name), j
			}
		}
	}
	if all == nil {
		return []string{strings.Join(words, " ")}, nil
	}
	return all, nil
}
