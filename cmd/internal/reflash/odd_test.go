package reflash

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"groundhog/cmd/internal/device/devicetest"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/flash/writer"
	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
)

// A panic that one device provokes ends that device's run alone, with a verdict; where it was goes to whoever looks for bugs.
func TestPanicInFleet(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	names := []string{"root@odd", b.Target()}
	ends := Fleet(t.Context(), &b.told, names, 2, func(ctx context.Context, h Host) Outcome {
		if h.Name == "root@odd" {
			var none *flashing
			return Outcome{Text: none.path}
		}
		return b.run(ctx, "flash")
	})
	if odd := ends[0]; odd.Verdict != Trouble || odd.State != Unknown || !strings.Contains(odd.Text, "a bug of groundhog: runtime error") {
		t.Errorf("the odd one: %+v", odd)
	}
	if has, _ := b.holds(); ends[1].Verdict != Done || ends[1].State != Verified || !has {
		t.Errorf("the other: %+v", ends[1])
	}
	if !strings.Contains(b.told.String(), EventTrace+" panic") {
		t.Errorf("no trace: %s", &b.told)
	}
}

// A device that this run has rebooted into its initramfs is not as it was, also where it then does not say who it is, or another one answers.
func TestRebootedAndNotIdentified(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		answer  func(*bench, *devicetest.Command) int
		verdict Verdict
		state   State
	}{
		"fails":  {func(*bench, *devicetest.Command) int { return 1 }, Trouble, Held},
		"hangs":  {func(*bench, *devicetest.Command) int { <-t.Context().Done(); return devicetest.Killed }, Trouble, Held},
		"is off": {func(b *bench, _ *devicetest.Command) int { b.SwitchOff(); return devicetest.Gone }, Trouble, Rebooting},
		"another": {func(_ *bench, c *devicetest.Command) int {
			fmt.Fprintln(c.Stdout, "board GH-BOARD-2\nend ok")
			return 0
		}, Trouble, Rebooting},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			b := waitingFor(t, "reflash")
			b.patience, b.ssh.IdleTimeout = 10*time.Second, 5*time.Second
			if about == "is off" {
				b.reboot = 30 * time.Second // it is waited for in vain
			}
			b.On("/etc/machine-id", func(d *devicetest.Command) int {
				if !b.Now().Initramfs {
					return devicetest.Pass
				}
				return c.answer(b, d)
			})
			out := b.run(t.Context(), "reflash")
			if out.Verdict != c.verdict || out.State != c.state {
				t.Errorf("%+v\n%s", out, &b.told)
			}
		})
	}
}

// Where another device answers with the archive's key behind the reboot, the one that was pushed to is not said to wait; one that waited already is as it was.
func TestAnotherWaits(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"push --reboot", "reflash"} {
		b := waitingFor(t, verb)
		b.On("/etc/machine-id", func(c *devicetest.Command) int {
			if !b.Now().Initramfs {
				return devicetest.Pass
			}
			fmt.Fprintln(c.Stdout, "board GH-BOARD-2\nend ok")
			return 0
		})
		if out := b.run(t.Context(), verb); out.Verdict != Trouble || out.State != Rebooting || !strings.Contains(out.Text, "another device answers") {
			t.Errorf("%s: %+v\n%s", verb, out, &b.told)
		}
		if verb == "reflash" { // and now it waits there
			b.told = told{}
			out := b.run(t.Context(), verb)
			if out.Verdict != Refused || out.State != Untouched || !strings.Contains(out.Text, "another device answers") {
				t.Errorf("%s again: %+v\n%s", verb, out, &b.told)
			}
		}
	}
}

// A --ready that was killed on the device, by an OOM killer say, has not said that the system is ready.
func TestReadyKilled(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "reflash")
	b.reboot = 10 * time.Second // as long as a loaded machine may take for the reboot
	b.On("systemctl is-system-running", devicetest.Say("running\n", 137))
	out := b.run(t.Context(), "reflash")
	if out.Verdict != Trouble || out.State != Up || !strings.Contains(out.Text, "killed by signal 9 on the device") || strings.Contains(out.Text, "running") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
	b.judge(out)
}

// Where every command is said to have ended well, by a forced command around the shell, nothing is believed that hangs on it: neither that a restore was done nor
// that the new system is ready.
func TestLostExitStatus(t *testing.T) {
	t.Parallel()
	for verb, want := range map[string]Outcome{"push": {Verdict: Refused, State: Untouched}, "restore": {Verdict: Refused, State: Untouched}, "reflash": {Verdict: Trouble, State: Up}} {
		b := waitingFor(t, verb)
		b.reboot = 10 * time.Second
		b.On("id -u", func(c *devicetest.Command) int {
			if verb == "reflash" && b.Now().Boots < 3 {
				return devicetest.Pass
			}
			io.Copy(c.Stdout, io.MultiReader(strings.NewReader("0\n"), c.Stdin))
			return 0
		})
		out := b.run(t.Context(), verb)
		if out.Verdict != want.Verdict || out.State != want.State || !strings.Contains(out.Text, "is said to have ended with 0") {
			t.Errorf("%s: %+v\n%s", verb, out, &b.told)
		}
	}
}

// A link that the device has to a disk names it; one to something else, or to none, does not.
func TestTargetByLink(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		leads string
		exit  int
		state State
	}{
		"to the disk":      {devicetest.DiskPath, 0, Verified},
		"to a partition":   {devicetest.DiskPath + "1", 0, Untouched},
		"nowhere":          {"", 1, Untouched},
		"to no device":     {"/etc/passwd", 0, Untouched},
		"and it fails":     {devicetest.DiskPath, 1, Untouched},
		"and it says more": {devicetest.DiskPath + "\n" + devicetest.DiskPath, 0, Untouched},
	} {
		b := waitingFor(t, "flash")
		b.target = "/dev/disk/by-id/virtio-GH 1"
		b.On("readlink -f '/dev/disk/by-id/virtio-GH 1'", devicetest.Say(c.leads+"\n", c.exit))
		out := b.run(t.Context(), "flash")
		if out.State != c.state || c.state == Untouched && !strings.Contains(out.Text, "no such disk as /dev/disk/by-id/virtio-GH 1") {
			t.Errorf("%s: %+v", about, out)
		}
		b.judge(out)
	}
}

// What a device says of its disk is refused where no disk can be so, as the device's own word, and nothing is counted in it.
func TestDiskOfOddSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, -512, 0, 511} {
		b := waitingFor(t, "flash")
		b.On("groundhog-writer disks", func(c *devicetest.Command) int {
			fmt.Fprintf(c.Stdout, "groundhog-writer, protocol %d\n", wire.Version)
			fmt.Fprintf(c.Stdout, `[{"path":%q,"size":%d,"serial":"GH","block":512}]`+"\n", devicetest.DiskPath, size)
			return 0
		})
		out := b.run(t.Context(), "flash")
		if out.Verdict != Refused || out.State != Untouched || !strings.Contains(out.Text, "the device") || strings.Contains(out.Text, "larger than the disk") {
			t.Errorf("%d bytes: %+v", size, out)
		}
		b.judge(out)
	}
}

// An earlier flash of the same boot is not taken for another one's that came between: interrupted before it wrote, a flash has
// changed nothing.
func TestInterruptedBehindAnother(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	if out := b.run(t.Context(), "flash"); out.State != Verified {
		t.Fatalf("%+v", out)
	}
	b.told = told{}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	b.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		b.Once("groundhog-writer state", func(*devicetest.Command) int { close(over); return devicetest.Pass })
		d, err := writer.Open(b.DiskFile(), write)
		return &stopped{d, stop, over}, err
	})
	out := b.run(ctx, "flash")
	if out.Verdict != Interrupted || out.State != Untouched {
		t.Errorf("%+v\n%s", out, &b.told)
	}
}

// stopped is a disk whose first read stops the flash, and is done once the device is asked what became of that.
type stopped struct {
	writer.Target
	stop func()
	over <-chan struct{}
}

func (d *stopped) ReadAt(p []byte, off int64) (int, error) {
	d.stop()
	<-d.over
	return d.Target.ReadAt(p, off)
}

// What stands at the disk's end from before is named when it is cleared.
func TestLeftoversAreNamed(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	tail := make([]byte, 2<<20)
	copy(tail[1<<20:], "LABELONE\x01\x00\x00\x00\x00\x00\x00\x0012345678LVM2 001")
	copy(tail[len(tail)-512:], "EFI PART")
	b.On("| gzip -1", func(c *devicetest.Command) int {
		c.Stdout.Write(judge.Gzip(tail))
		return 0
	})
	out := b.run(t.Context(), "flash")
	for _, what := range []string{"a label of LVM", "a GPT's backup"} {
		if strings.Count(b.told.String(), what) != 1 {
			t.Errorf("%s is not named once: %+v\n%s", what, out, &b.told)
		}
	}
	b.judge(out)
}

// What a device is asked in any case it is asked at once, and the disk's end is looked at while the writer starts: each of these answers only once all of
// its kind were asked for.
func TestAskedAtOnce(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	together := func(words ...string) {
		var asked sync.WaitGroup
		asked.Add(len(words))
		all := make(chan struct{})
		go func() { asked.Wait(); close(all) }()
		for _, word := range words {
			b.Once(word, func(*devicetest.Command) int {
				asked.Done()
				select {
				case <-all:
				case <-time.After(time.Minute):
					t.Errorf("%q is asked by itself", word)
				}
				return devicetest.Pass
			})
		}
	}
	together("/scripts/groundhog", "/etc/machine-id", "groundhog-writer version")
	together("| gzip -1", "groundhog-writer serve")
	if out := b.run(t.Context(), "flash"); out.Verdict != Done {
		t.Errorf("%+v\n%s", out, &b.told)
	}
}

// A file that unpacks to more than the disk has is refused as soon as that shows: this one has no end.
func TestUnpacksToMoreThanTheDisk(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for _, part := range [][]byte{bootable.Partitioned(3<<20 + 512), make([]byte, 2*devicetest.DiskSize)} {
		judge.Value(z.Write(part))(t)
	}
	judge.Must(t, z.Flush())
	b.path = filepath.Join(t.TempDir(), "image.gz")
	judge.WriteFile(t, b.path, packed.Bytes())
	var err error
	if b.image, err = image.Open(t.Context(), b.path, "", nil); err != nil {
		t.Fatal(err)
	}
	defer b.image.Close()
	out := b.run(t.Context(), "flash")
	if out.Verdict != Refused || out.State != Untouched || !strings.Contains(out.Text, "larger than the disk") {
		t.Errorf("%+v", out)
	}
	b.judge(out)
}

// Somebody else flashes the device as soon as the disk is verified: it is not rebooted under him, and what is on the disk is no longer ours.
func TestRebootBehindAnother(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"flash --reboot", "reflash", "reflash --boot kexec"} {
		b := waitingFor(t, verb)
		boots := 0
		b.On("blkid -p", func(*devicetest.Command) int {
			boots = b.Now().Boots
			judge.WriteFile(t, filepath.Join(b.Run(), "writing"), "flash 123 "+devicetest.DiskPath+"\n")
			return devicetest.Pass
		})
		b.On("kexec new load", devicetest.Complain("a disk is neither the old nor the new one", 1))
		if out := b.run(t.Context(), verb); out.Verdict != Trouble || out.State != Replaced || b.Now().Boots != boots {
			t.Errorf("%s: %+v; %+v", verb, out, b.Now())
		}
	}
}

// Another device answers when the connection was lost in a flash: the one that was written to is not said to have booted again.
func TestAnotherAnswersBetween(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	b.patience = 10 * time.Second
	b.On("blkid -p", func(*devicetest.Command) int { t.Error("it is done"); return 1 })
	b.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		d, err := writer.Open(b.DiskFile(), write)
		return &lost{d, func() {
			b.On("/scripts/groundhog", devicetest.Say("99999999-5c46-448c-84ca-e9bce42d5bf2\ninitramfs\nb1\n", 0))
			b.On("/etc/machine-id", devicetest.Say("board GH-BOARD-2\nend ok\n", 0))
			b.Cut()
		}}, err
	})
	out := b.run(t.Context(), "flash")
	if out.Verdict != Trouble || out.State != Unknown || !strings.Contains(out.Text, "another device answers: its board is gh-board-2") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
}

// Another disk has got the name when the connection was lost in a flash, a USB hub's that both hang on, say: what was read back from the first one is not
// taken for what the second one holds, and nothing is written there.
func TestAnotherDiskBetween(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	b.patience = time.Minute
	var swap sync.Once
	b.OpenDisk(func(_ string, write bool) (writer.Target, error) {
		d, err := writer.Open(b.DiskFile(), write)
		return &lostAtFirst{lost{d, func() {
			swap.Do(func() {
				judge.Must(t, os.Rename(b.DiskFile(), b.Path("first disk")))
				judge.WriteFile(t, b.DiskFile(), make([]byte, devicetest.DiskSize))
				b.On("groundhog-writer disks", devicetest.Say(fmt.Sprintf("groundhog-writer, protocol %d\n"+`[{"path":%q,"size":%d,"serial":"OTHER","block":512}]`+"\n", wire.Version, devicetest.DiskPath, devicetest.DiskSize), 0))
				b.Cut()
			})
		}}}, err
	})
	out := b.run(t.Context(), "flash")
	if out.Verdict != Trouble || !strings.Contains(out.Text, "another disk") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
	if _, untouched := b.holds(); !untouched {
		t.Error("the other disk was written to")
	}
}

// lostAtFirst is lost when its first chunk is written, the last of all.
type lostAtFirst struct{ lost }

func (d *lostAtFirst) WriteAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return d.Target.WriteAt(p, off)
	}
	return d.lost.WriteAt(p, off)
}

// lost is a disk of a device whose connections are lost as soon as something was written.
type lost struct {
	writer.Target
	cut func()
}

func (d *lost) WriteAt(p []byte, off int64) (int, error) {
	defer d.cut()
	return d.Target.WriteAt(p, off)
}

// An order to reboot that was lost with the connection is given again: the device still waits, and is not said to have been rebooted.
func TestRebootUnheard(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"flash --reboot", "reflash"} {
		b := waitingFor(t, verb)
		b.Once("reboot -f", func(*devicetest.Command) int { return devicetest.Gone })
		before := b.Now().Boots
		if out := b.run(t.Context(), verb); out.Verdict != Done || b.Now().Initramfs || b.Now().Boots == before {
			t.Errorf("%s: %+v; %+v", verb, out, b.Now())
		}
	}
}

// A device that boots again by itself when its disk is verified does not wait any more, and has not to be rebooted.
func TestBootsAgainVerified(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"blkid -p", "reboot -f"} {
		for _, verb := range []string{"flash", "flash --reboot", "reflash"} {
			if at == "reboot -f" && verb == "flash" {
				continue
			}
			b := waitingFor(t, verb)
			b.Once(at, func(*devicetest.Command) int { b.Reboot(); return devicetest.Gone })
			out := b.run(t.Context(), verb)
			state := Starting
			if verb == "reflash" {
				state = Up
			}
			if out.Verdict != Done || out.State != state || strings.Contains(out.Text, "it waits") {
				t.Errorf("%s in %s: %+v\n%s", verb, at, out, &b.told)
			}
			b.judge(out)
		}
	}
}

// A web server that drops the connection is asked for the rest, which is told of each device; the disk gets each byte.
func TestFlashFromDroppingServer(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "flash")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if asked.Add(1) > 1 {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.content))
			return
		}
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Length", strconv.Itoa(len(b.content)))
		w.Write(b.content[:2<<20])
	}))
	defer server.Close()
	b.path = strings.Replace(server.URL, "://", "://me:secret@", 1) + "/disk.img?sig=secret"
	b.image = judge.Value(image.Open(t.Context(), b.path, "", nil))(t)
	defer b.image.Close()
	out := b.run(t.Context(), "flash")
	b.judge(out)
	if told := b.told.String(); out.Verdict != Done || strings.Count(told, "phase image  "+server.URL+"/disk.img?...: unexpected EOF, after 2.0 MiB of") != 1 || strings.Contains(told, "secret") {
		t.Errorf("%+v\n%s", out, told)
	}
}

// A flash goes on by a direct line as soon as there is one. Small ones may be over before.
func TestFlashDirect(t *testing.T) {
	t.Parallel()
	judge.Until(t, "a flash sends by the direct line", func() bool {
		b := waitingFor(t, "flash")
		b.Direct()
		out := b.run(t.Context(), "flash")
		b.judge(out)
		data := b.told.last().Data
		if data == nil || out.State != Verified || data.Lost > 0 {
			t.Fatalf("%+v\n%s", out, &b.told)
		}
		return data.Direct > 0
	})
}

// Of a --power-cycle that talks without end no more is kept than is quoted: its last words.
func TestPowerCycleTalks(t *testing.T) {
	t.Parallel()
	o := CycleOptions{PowerCycle: "yes no | head -c 20000000; echo the outlet is gone >&2; exit 3", RebootTimeout: time.Minute}
	err := o.cyclePower(t.Context(), Host{Teller: &told{}, Name: "b1"})
	if err == nil || len(err.Error()) > 2*maxWords || !strings.HasSuffix(err.Error(), "the outlet is gone") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%.3000v", err)
	}
}

// A --power-cycle that is interrupted comes to its end: what switches off and on must not stop between the two. Where its time is
// over all of it is ended, and said to be.
func TestPowerCycleEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	off, on, again := filepath.Join(dir, "off"), filepath.Join(dir, "on"), filepath.Join(dir, "again")
	exists := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		o := CycleOptions{PowerCycle: "touch " + off + "; until [ -e " + again + " ]; do :; done; touch " + on, RebootTimeout: time.Minute}
		ended <- o.cyclePower(ctx, Host{Teller: &told{}, Name: "b1"})
	}()
	judge.Until(t, "the power is off", func() bool { return exists(off) })
	stop()
	judge.WriteFile(t, again, "")
	if err := <-ended; err != nil || !exists(on) {
		t.Errorf("%v; on again: %v", err, exists(on))
	}

	o := CycleOptions{PowerCycle: "echo the outlet hangs; sleep 1000 & wait", RebootTimeout: time.Second}
	err := o.cyclePower(t.Context(), Host{Teller: &told{}, Name: "b1"})
	if err == nil || !strings.Contains(err.Error(), "ended before it was done") || !strings.HasSuffix(err.Error(), "the outlet hangs") {
		t.Error(err)
	}
}

// A device on which nothing was done ends that well, too, and says nothing of it: then its initramfs is not said to be the original.
func TestRestoreSaysNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.On("take_lock", devicetest.Say("", 0))
	out := b.run(t.Context(), "restore")
	if out.Verdict != Trouble || out.State != Either || !strings.Contains(out.Text, "does not say") {
		t.Errorf("%+v", out)
	}
	b.judge(out)
}
