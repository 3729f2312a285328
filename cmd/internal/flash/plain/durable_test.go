package plain

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/fixtures/judge"
)

// volatile is a dd whose disk has a cache: only with conv=fsync what was written so far reaches the medium, a file beside
// it. The call whose number the file `kill` has kills the script and all of its pipeline, as an OOM killer may.
const volatile = `#!/bin/sh
n=$(($(cat "$state/calls" 2>/dev/null || echo 0) + 1))
echo "$n" >"$state/calls"
case " $* " in *conv=notrunc,fsync*) flush=yes ;; *) flush= ;; esac
busybox dd $(printf '%s\n' "$@" | sed 's/,fsync//; s/^conv=fsync$//')
code=$?
[ "$n" != "$(cat "$state/kill" 2>/dev/null)" ] || kill -9 0
[ -z "$flush" ] || cp "$state/disk" "$state/medium"
exit $code
`

// killable is a Shell whose scripts have a process group of their own, so that kill -9 0 ends all of one.
type killable struct {
	*local
	state string
}

func (k killable) Script(ctx context.Context, program string, stdin io.Reader, args ...string) (device.Result, error) {
	program = "export state=" + k.state + "\n" + program
	k.group = true
	return k.local.Script(ctx, program, stdin, args...)
}

// What curl's way says to be verified is on the medium when the power goes next, wherever an earlier run was killed.
func TestRunIsDurable(t *testing.T) { runIsDurable(t, 4) }

// runIsDurable kills at one call of dd in some.
func runIsDurable(t *testing.T, one int) {
	image := judge.Noise(5, 3<<20+512)
	tail := judge.Noise(6, 33*512)
	for n := 1; ; n += one {
		l, job := setUp(t, image, image, 5<<20)
		state, bin := t.TempDir(), t.TempDir()
		judge.Must(t, judge.WriteProgram(filepath.Join(bin, "dd"), []byte(volatile), 0o700))
		disk := filepath.Join(l.root, "dev/vdb")
		for name, do := range map[string]error{
			"kill":   os.WriteFile(filepath.Join(state, "kill"), fmt.Append(nil, n), 0o600),
			"medium": os.WriteFile(filepath.Join(state, "medium"), judge.Noise(7, 5<<20), 0o600),
			"disk":   os.Symlink(disk, filepath.Join(state, "disk")),
		} {
			if do != nil {
				t.Fatalf("%s: %v", name, do)
			}
		}
		l.path = bin + ":" + os.Getenv("PATH")
		job.Tail, job.TailAt = tail, 5<<20-int64(len(tail))
		sh := killable{l, state}
		first, _ := Run(t.Context(), sh, job)
		killed := !first.Verified
		if killed {
			if r, err := Run(t.Context(), sh, job); err != nil || !r.Verified {
				t.Fatalf("killed at dd %d: %+v, %v", n, r, err)
			}
		}
		medium := judge.ReadFile(t, filepath.Join(state, "medium"))
		if !bytes.Equal(medium[:len(image)], image) || !bytes.Equal(medium[job.TailAt:], tail) {
			t.Errorf("killed at dd %d: verified, and the power cut brings the old disk back", n)
		}
		if !killed {
			if n < 6 {
				t.Errorf("the script has called dd %d times only: the test kills nothing", n)
			}
			return
		}
		if n > 40 {
			t.Fatal("the script never comes to its end")
		}
	}
}
