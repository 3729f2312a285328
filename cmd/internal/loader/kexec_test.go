package loader

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/fixtures/judge"
)

// writer stands for groundhog-writer: it notes how it was called, and what it could read.
const writer = `#!/bin/sh
echo "$*" >>"$groundhog_root/calls"
[ "$2" != load ] || { echo loaded; cat >"$groundhog_root/stdin"; echo starting; }
`

// able makes a device one that the program of kexec.sh runs on, without mounting anything.
func (l *local) able(more string) {
	l.edit = func(program string) string { return "mount() { :; }\numount() { rm -rf \"$1\"/*; }\n" + more + program }
}

func kexecJob(archive string) Job {
	j := job(Boot{Way: Kexec, Kernel: "/boot/vmlinuz-6.1.0-56-amd64"}, archive)
	j.Writer = []byte(writer)
	return j
}

// The program comes first, then the archive, then the word; nothing is left on the device and nothing in /boot is touched.
func TestKexec(t *testing.T) {
	l := newLocal(t, deviceShell)
	before := l.tree()
	l.able("")
	j := kexecJob("the archive")
	judge.Must(t, Trial(t.Context(), l, j.Boot, j.Writer))
	judge.Must(t, j.Run(t.Context(), l, strings.NewReader("the archive")))
	if got := l.read("stdin"); got != "the archivego\n" {
		t.Errorf("it read %q", got)
	}
	want := "kexec trial /boot/vmlinuz-6.1.0-56-amd64\nkexec load /boot/vmlinuz-6.1.0-56-amd64 11 " + j.SHA256 + "\n"
	if got := l.read("calls"); got != want {
		t.Errorf("it was called %q, want %q", got, want)
	}
	os.Remove(l.root + "/calls")
	os.Remove(l.root + "/stdin")
	if after := l.tree(); after != before || len(glob(l.root+"/run/*")) > 0 {
		t.Errorf("left: %q\n%s", glob(l.root+"/run/*"), after)
	}
}

func TestKexecRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		more, writer string
		err          error
		text         string
	}{
		"no tmpfs":           {"mount() { return 1; }\n", writer, ErrRefused, "mounting a tmpfs"},
		"the writer refuses": {"", "#!/bin/sh\necho 'groundhog-writer: lockdown' >&2\nexit 1\n", ErrRefused, "lockdown"},
		"it says nothing":    {"", "#!/bin/sh\ncat >/dev/null\n", ErrTrouble, "does not say"},
		"no writer":          {"", "", nil, "must be known"},
	} {
		l := newLocal(t, "dash")
		l.able("")
		if c.more != "" {
			l.edit = func(program string) string { return c.more + program }
		}
		j := kexecJob("archive")
		j.Writer = []byte(c.writer)
		err := j.Run(t.Context(), l, strings.NewReader("archive"))
		if err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	j := kexecJob("archive")
	j.Keep = true
	if err := j.Run(t.Context(), newLocal(t, "dash"), strings.NewReader("archive")); err == nil {
		t.Error("--keep by kexec")
	}
}

// lossy is a device whose connection is lost when it has said something.
type lossy struct{ said string }

func (l lossy) Script(context.Context, string, io.Reader, ...string) (device.Result, error) {
	return device.Result{Stdout: []byte(l.said)}, io.ErrUnexpectedEOF
}

// A device that is stopped may take the connection away as soon as it has said that it starts the archive, and not before.
func TestKexecStopsTheConnection(t *testing.T) {
	if err := kexecJob("archive").Run(t.Context(), lossy{"loaded\nstarting\n"}, strings.NewReader("archive")); err != nil {
		t.Errorf("it was started: %v", err)
	}
	if err := kexecJob("archive").Run(t.Context(), lossy{"loaded\n"}, strings.NewReader("archive")); !errors.Is(err, ErrLostKexec) {
		t.Errorf("nobody knows whether it was started: %v", err)
	}
}
