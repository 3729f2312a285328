package device

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

// What a command says and how it ends, as it is.
func TestResults(t *testing.T) {
	c, _ := linked(t, 20*time.Second)
	r, err := c.Run(t.Context(), "kill -TERM $$", nil)
	if err != nil || r.Exit != 128+15 {
		t.Errorf("killed: exit %d, %v", r.Exit, err)
	}
	r, err = c.Run(t.Context(), "head -c 200000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 255", nil)
	if err != nil || r.Exit != 255 || len(r.Stderr) != maxStderr || !strings.HasSuffix(string(r.Stderr), "x"+"the end\n") {
		t.Errorf("much on stderr: %d bytes, exit %d, %v", len(r.Stderr), r.Exit, err)
	}
	done := make(chan error)
	for range 8 {
		go func() {
			out, err := c.Output(t.Context(), "cat /proc/self/comm")
			if err == nil && out != "cat\n" {
				err = errors.New(out)
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// AsRoot leaves root alone, takes sudo -n, and says what is wrong without it.
func TestAsRoot(t *testing.T) {
	for about, c := range map[string]struct{ id, sudo, uid, said string }{
		"root":             {"0", "exit 9", "0", ""},
		"sudo":             {"1000", `[ "$1 $2" = "-n --" ] || exit 8; shift 2; become=0 exec "$@"`, "0", ""},
		"sudo asks":        {"1000", "echo sudo: a password is required >&2; exit 1", "", "a password is required"},
		"sudo to somebody": {"1000", `shift 2; become=33 exec "$@"`, "", ErrNotRoot.Error()},
	} {
		t.Run(about, func(t *testing.T) {
			bin := t.TempDir()
			for name, text := range map[string]string{"id": "echo ${become-" + c.id + "}", "sudo": c.sudo} {
				judge.Must(t, judge.WriteProgram(bin+"/"+name, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
			}
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			client, _ := linked(t, 20*time.Second)
			err := client.AsRoot(t.Context())
			if c.said != "" {
				if !errors.Is(err, ErrNotRoot) || !strings.Contains(err.Error(), c.said) || hint.Of(err) == "" {
					t.Errorf("%v, want %q", err, c.said)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := client.Script(t.Context(), `id; cat; printf '%s\n' "$@"`, strings.NewReader("in\n"), "a 'b", "c\nd")
			if want := c.uid + "\nin\na 'b\nc\nd\n"; err != nil || string(r.Stdout) != want {
				t.Errorf("%q, %v; want %q", r.Stdout, err, want)
			}
		})
	}
}

// Whatever is quoted is one word, and that word, for every shell there is.
func TestQuote(t *testing.T) {
	words := []string{"", "-n", "~", "a b", "'", "''", `\`, `\'`, "$(id)", "`id`", "*", "a=b", "\n", "\t", "\"", "!!", "#", "\xff\xfe", "ü", "{a,b}", "a\rb", "\x1b[2J"}
	for _, shell := range [][]string{{judge.Tool(t, "dash")}, {judge.Tool(t, "bash")}, {judge.Tool(t, "busybox"), "ash"}} {
		args := append(shell[1:], "-c", "printf '%s\\0'"+quoteAll(words))
		out, err := exec.Command(shell[0], args...).Output()
		if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", shell, out, err, want)
		}
	}
	if got := Quote("a\x00b"); got != "ab" {
		t.Errorf("a NUL: %q", got)
	}
}

// Whichever login shell is asked to, a command and a program come to sh as they are, as root's, too, and what the shell's start files
// say is no part of the answer.
func TestLoginShells(t *testing.T) {
	command := "printf '%s\n' \"it's !! !x $((1+1))\" 'a\\\\b' 'c\\'\necho second # line\ncat; printf '%s\\n' 'e\\\\f' >&2; exit 3"
	want := "it's !! !x 2\na\\\\b\nc\\\nsecond\nin\n"
	args := []string{"", "a b", "it's", "!x !!", `\\`, `\'`, `end\`, "one\ntwo", "$HOME", "~", "*", "#", "ü", "\t"}
	for name, shell := range map[string][]string{"dash": nil, "bash": nil, "busybox": {"ash"}, "tcsh": nil, "bsd-csh": nil, "fish": nil, "zsh": nil, "ksh93": nil} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			for _, file := range []string{".cshrc", ".zshenv", ".config/fish/config.fish"} {
				judge.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(home, file)), 0o755))
				judge.WriteFile(t, filepath.Join(home, file), []byte("echo welcome\n"))
			}
			bin := t.TempDir()
			judge.Must(t, judge.WriteProgram(bin+"/sudo", []byte("#!/bin/sh\nshift 2; become=0 exec \"$@\"\n"), 0o755))
			judge.Must(t, judge.WriteProgram(bin+"/id", []byte("#!/bin/sh\necho ${become-1000}\n"), 0o755))
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			t.Setenv("HOME", home)
			t.Setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
			s := startServer(t)
			login := append([]string{judge.Tool(t, name)}, shell...)
			s.shell.Store(&login)
			c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
			defer c.Close()
			for _, sudo := range []bool{false, true} {
				if sudo {
					judge.Must(t, c.AsRoot(t.Context()))
				}
				r, err := c.Run(t.Context(), command, strings.NewReader("in\n"))
				if err != nil || r.Exit != 3 || string(r.Stdout) != want || string(r.Stderr) != "e\\\\f\n" {
					t.Errorf("sudo %v: exit %d, %v, %q, %q", sudo, r.Exit, err, r.Stdout, r.Stderr)
				}
				r, err = c.Script(t.Context(), command, strings.NewReader("in\n"), args...)
				if err != nil || r.Exit != 3 || string(r.Stdout) != want {
					t.Errorf("sudo %v: exit %d, %v, %q, %q", sudo, r.Exit, err, r.Stdout, r.Stderr)
				}
				r, err = c.Script(t.Context(), `printf '%s\0' "$@" "${SSH_CONNECTION%% *}"`+"\n", nil, args...)
				if err != nil || string(r.Stdout) != strings.Join(args, "\x00")+"\x00192.0.2.1\x00" {
					t.Errorf("sudo %v: exit %d, %v, %q, %q", sudo, r.Exit, err, r.Stdout, r.Stderr)
				}
			}
		})
	}
}

// Of a program that does not come whole, or not at all, nothing is run, and that is no good end.
func TestScriptWhole(t *testing.T) {
	for about, dd := range map[string]string{"no dd": "exit 127", "half of it": "exec head -c 12"} {
		t.Run(about, func(t *testing.T) {
			bin := t.TempDir()
			judge.Must(t, judge.WriteProgram(bin+"/dd", []byte("#!/bin/sh\n"+dd+"\n"), 0o755))
			t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			c, _ := linked(t, 20*time.Second)
			r, err := c.Script(t.Context(), "echo half ; : and the rest", nil)
			if err != nil || r.Exit != 1 || len(r.Stdout) != 0 || !strings.Contains(string(r.Stderr), "has not read the program") {
				t.Errorf("exit %d, %v, %q, %q", r.Exit, err, r.Stdout, r.Stderr)
			}
		})
	}
}
