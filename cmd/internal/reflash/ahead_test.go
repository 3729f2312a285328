package reflash

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/device/devicetest"
)

// curlDevice has the device take what curl gets, without doing it.
func (b *bench) curlDevice() {
	b.On("/plain.in", func(c *devicetest.Command) int { io.Copy(io.Discard, c.Stdin); return 0 })
	b.On("SIZE and SHA256 are", func(c *devicetest.Command) int {
		fmt.Fprintf(c.Stdout, "state writing\nbytes %s\nsha256 %s\nstate verified\n", c.Args[3], c.Args[4])
		return 0
	})
}

// A device that lets only one command run at a time, or two, is flashed all the same, however long its disks take to be listed.
func TestFewSessions(t *testing.T) {
	t.Parallel()
	for most := 1; most <= 2; most++ {
		for _, verb := range []string{"flash", "flash --check", "flash --via curl", "reflash", "reflash --boot kexec"} {
			t.Run(fmt.Sprint(verb, ", ", most), func(t *testing.T) {
				t.Parallel()
				b := waitingFor(t, verb)
				b.curlDevice()
				b.Sessions(most)
				b.Once("groundhog-writer disks", func(c *devicetest.Command) int {
					<-time.After(7 * time.Second) // longer than a device is asked for another session
					return devicetest.Pass
				})
				out := b.run(t.Context(), verb)
				if out.Verdict != Done && !(verb == "flash --check" && out.Verdict == Different) {
					t.Errorf("%+v\n%s", out, &b.told)
				}
				if verb != "flash --via curl" {
					b.judge(out)
				}
			})
		}
	}
}

// The look at the disk's end is a courtesy: where it hangs, or the connection is lost in it, the flash goes on.
func TestTailIsNotAnswered(t *testing.T) {
	t.Parallel()
	for about, tail := range map[string]func(*devicetest.Command) int{
		"hangs":   func(*devicetest.Command) int { <-t.Context().Done(); return devicetest.Killed },
		"is lost": func(*devicetest.Command) int { return devicetest.Gone },
		"killed":  func(*devicetest.Command) int { return devicetest.Killed },
	} {
		for most := 0; most <= 2; most++ {
			for _, verb := range []string{"flash", "flash --via curl", "reflash"} {
				t.Run(fmt.Sprint(verb, " ", about, ", ", most), func(t *testing.T) {
					t.Parallel()
					b := waitingFor(t, verb)
					b.curlDevice()
					b.patience = 15 * time.Second
					b.Sessions(most)
					b.On("| gzip -1", tail)
					out := b.run(t.Context(), verb)
					if out.Verdict != Done {
						t.Errorf("%+v\n%s", out, &b.told)
					}
					if verb != "flash --via curl" {
						b.judge(out)
					}
				})

			}
		}
	}
}

// A list of disks that does not come is waited for once, for as long as patience lasts.
func TestDisksAreNotListed(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	b.patience = 5 * time.Second
	b.On("groundhog-writer disks", func(*devicetest.Command) int { <-t.Context().Done(); return devicetest.Killed })
	out := b.run(t.Context(), "flash")
	asked := 0
	for _, c := range b.Commands() {
		asked += strings.Count(c, "groundhog-writer disks")
	}
	if out.Verdict != Unreachable || out.State != Untouched || asked != 1 || !strings.Contains(out.Text, "groundhog-writer disks has not ended within --patience") {
		t.Errorf("asked %d times: %+v", asked, out)
	}
	b.judge(out)
}

// A panic in what was asked ahead ends that device's run, and its trace says where it was.
func TestPanicAhead(t *testing.T) {
	t.Parallel()
	var all told
	ends := Fleet(t.Context(), &all, []string{"root@odd"}, 1, func(context.Context, Host) Outcome {
		answer := askAhead(nil, oddAnswer)
		answer(nil)
		return Outcome{}
	})
	if odd := ends[0]; odd.Verdict != Trouble || odd.State != Unknown || !strings.HasPrefix(odd.Text, "a bug of groundhog: runtime error") {
		t.Errorf("%+v", odd)
	}
	if !strings.Contains(all.String(), "oddAnswer") {
		t.Errorf("the trace: %s", &all)
	}
}

func oddAnswer(*device.Client) (string, error) {
	var none *flashing
	return none.path, nil
}
