package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"groundhog/fixtures/judge"
)

// While one is at work a second is refused; a lock file that nobody holds is no lock.
func TestLock(t *testing.T) {
	each(t, func(t *testing.T, l *local, b Boot) {
		l.write("run/groundhog-push.lock", fmt.Sprintln(os.Getpid()))
		push(t, l, b, "archive")
		archive, send := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- job(b, "archive two").Run(t.Context(), l, archive) }()
		judge.Value(send.Write([]byte("arch")))(t)
		for len(glob(l.root+"/boot/.groundhog-new", l.root+"/boot/firmware/groundhog_*_")) == 0 { // it has the lock before it receives
			select {
			case <-time.After(10 * time.Millisecond):
			case err := <-done:
				t.Fatalf("it ended: %v", err)
			}
		}
		err := job(b, "archive three").Run(t.Context(), l, strings.NewReader("archive three"))
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "another push or restore is at work") {
			t.Errorf("a second push: %v", err)
		}
		if _, err := Restore(t.Context(), l); !errors.Is(err, ErrRefused) {
			t.Errorf("a restore beside a push: %v", err)
		}
		send.Write([]byte("ive two"))
		send.Close()
		if err := <-done; err != nil || l.boots(b) != "archive two" {
			t.Errorf("%v: it boots %q", err, l.boots(b))
		}
	})
}

func glob(patterns ...string) (names []string) {
	for _, p := range patterns {
		some, _ := filepath.Glob(p)
		names = append(names, some...)
	}
	return names
}

// Twenty at once, some of which are killed while they hold it, and that again and again: never two, and not all are refused.
func TestLockRace(t *testing.T) {
	l := newLocal(t, "dash")
	judge.Must(t, os.Mkdir(l.root+"/held", 0o755))
	const each = 20
	for round := range judge.Times(8, 25) {
		var all sync.WaitGroup
		outs := make([]bytes.Buffer, each)
		for i := range each {
			end := `rm -f "$lock"`
			if i%3 == 0 {
				end = "kill -9 $$"
			}
			cmd := exec.Command(l.shell, "-c", commonText+`
take_lock
mkdir "$groundhog_root/held/x" || echo two
sleep 0.01
rmdir "$groundhog_root/held/x"
echo held
`+end)
			cmd.Env = append(os.Environ(), "groundhog_root="+l.root)
			cmd.Stdout, cmd.Stderr = &outs[i], &outs[i]
			all.Go(func() { cmd.Run() })
		}
		all.Wait()
		held := 0
		for i := range outs {
			text := outs[i].String()
			held += strings.Count(text, "held\n")
			if strings.Contains(text, "two") {
				t.Fatalf("round %d: two hold the lock: %s", round, text)
			}
		}
		if held == 0 {
			t.Errorf("round %d: none of %d could have the lock", round, each)
		}
	}
}
