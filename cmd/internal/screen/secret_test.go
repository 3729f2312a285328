//go:build linux

package screen

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

// TestMain makes this test binary a program that asks for a secret.
func TestMain(m *testing.M) {
	if os.Getenv("GROUNDHOG_ASKS") == "" {
		os.Exit(m.Run())
	}
	secret, err := ReadSecret(0, func() { fmt.Print("secret? ") })
	fmt.Printf("%d bytes, %v\n", len(secret), err)
}

// Who stops the program while it asks, and lets it go on, is asked again, and does not see what he types, whatever the shell has done to the terminal.
func TestReadSecretStopped(t *testing.T) {
	cmd := exec.Command(judge.Value(os.Executable())(t))
	cmd.Env = append(os.Environ(), "GROUNDHOG_ASKS=1")
	master, tty, err := pty.Open()
	judge.Must(t, err)
	defer master.Close()
	defer tty.Close()
	shown := judge.Value(unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS))(t)
	cmd.Stdin, cmd.Stdout, cmd.SysProcAttr = tty, tty, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	judge.Must(t, cmd.Start())
	defer cmd.Process.Kill()
	more := make(chan string)
	go func() {
		for b := make([]byte, 100); ; {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			select {
			case more <- string(b[:n]):
			case <-t.Context().Done():
				return
			}
		}
	}()
	seen := ""
	await := func(text string) {
		t.Helper()
		for late := time.After(time.Minute); !strings.Contains(seen, text); {
			select {
			case part := <-more:
				seen += part
			case <-late:
				t.Fatalf("no %q within a minute: %q", text, seen)
			}
		}
	}
	await("secret? ")
	var status syscall.WaitStatus
	judge.Must(t, cmd.Process.Signal(syscall.SIGSTOP))
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("%v, %v", status, err)
	}
	judge.Must(t, unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, shown))
	judge.Must(t, cmd.Process.Signal(syscall.SIGCONT))
	await("secret? secret? ")
	judge.Value(master.WriteString("password\n"))(t)
	await("8 bytes, <nil>")
	if strings.Contains(seen, "password") {
		t.Errorf("%q", seen)
	}
	judge.Must(t, cmd.Wait())
	if after := judge.Value(unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS))(t); after.Lflag != shown.Lflag {
		t.Errorf("the terminal is left with %#x, not %#x", after.Lflag, shown.Lflag)
	}
}
