package reflash

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"path/filepath"
	"strings"
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

// A --ready that was killed on the device, by an OOM killer say, has not said that the system is ready.
func TestReadyKilled(t *testing.T) {
	t.Parallel()
	b := waitingFor(t, "reflash")
	b.reboot = 3 * time.Second
	b.On("systemctl is-system-running", devicetest.Say("running\n", 137))
	out := b.run(t.Context(), "reflash")
	if out.Verdict != Trouble || out.State != Up || !strings.Contains(out.Text, "killed by signal 9 on the device") || strings.Contains(out.Text, "running") {
		t.Errorf("%+v\n%s", out, &b.told)
	}
	b.judge(out)
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
