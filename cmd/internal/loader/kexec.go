package loader

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"groundhog/cmd/internal/kexec"
)

//go:embed kexec.sh
var kexecText string

// kexecSpare is memory that is to stay free while a kernel is loaded, and in the waiting initramfs, in bytes.
const kexecSpare = 64 << 20

// ByKexec is the way in by kexec. size is the length of the archive, unpacked that of its content, in bytes. What only the kernel itself
// knows is left to [Trial].
func ByKexec(f Facts, size, unpacked int64) (Boot, error) {
	b := Boot{Way: Kexec, Kernel: "/boot/vmlinuz-" + f.Get("kernel")}
	k := f.Number("kernel_size")
	available, total := f.Number("memory_available")<<10, f.Number("memory")<<10
	need, after := 2*(size+k)+kexecSpare, size+k+unpacked+kexecSpare
	switch {
	case f.Get("arch") != "amd64":
		return Boot{}, refuseWithHint("", "kexec: %s kernels of Debian have no kexec_file_load", f.Get("arch"))
	case k < 0:
		return Boot{}, refuseWithHint("", "kexec: it has no %s", b.Kernel)
	case f.Get("kexec_file") != "y":
		return Boot{}, refuseWithHint("", "kexec: its kernel is built without CONFIG_KEXEC_FILE, or /boot/config-%s is not there", f.Get("kernel"))
	case f.Get("kexec_disabled") == "1":
		return Boot{}, refuseWithHint("a reboot allows it again, if no sysctl.d forbids it", "kexec: kernel.kexec_load_disabled is set")
	case f.Get("systemd") == "":
		return Boot{}, refuseWithHint("", "kexec: without systemd nothing unmounts its disks before")
	case available < need:
		return Boot{}, refuseWithHint("", "kexec: it has %d MiB of memory available, to load takes %d", available>>20, need>>20)
	case total < after:
		return Boot{}, refuseWithHint("", "kexec: it has %d MiB of memory, the archive unpacked takes %d", total>>20, after>>20)
	}
	return b, b.Check()
}

// Trial has the device's kernel load its own file, without an initramfs, and unload it again: nothing else tells whether lockdown and
// signatures allow that. writer is groundhog-writer for the device.
func Trial(ctx context.Context, sh Shell, b Boot, writer []byte) error {
	if err := b.Check(); err != nil {
		return err
	}
	r, err := sh.Script(ctx, commonText+kexecText, bytes.NewReader(writer), strconv.Itoa(len(writer)), "trial", b.Kernel)
	if err != nil {
		return fmt.Errorf("trying kexec: %w", err)
	}
	return r.Err("trying kexec")
}

// kexecArchive sends the archive, and has the device start it. The order to start is sent last: a connection that is lost before it leaves nothing
// loaded. Once the device has said that it starts the archive, its end of the connection may be gone at any moment.
func (j Job) kexecArchive(ctx context.Context, sh Shell, archive io.Reader) error {
	if len(j.Writer) == 0 {
		return errors.New("groundhog-writer for the device must be known")
	}
	stdin := io.MultiReader(bytes.NewReader(j.Writer), archive, strings.NewReader(kexec.Go))
	r, err := sh.Script(ctx, commonText+kexecText, stdin, strconv.Itoa(len(j.Writer)), "load", j.Boot.Kernel, strconv.FormatInt(j.Size, 10), j.SHA256)
	said := bytes.Contains(r.Stdout, []byte("starting\n"))
	switch {
	case err != nil && said && ctx.Err() == nil:
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", ErrLostKexec, err)
	case r.Exit == 0 && !said:
		return fmt.Errorf("%w: the device does not say that it starts the archive", ErrTrouble)
	}
	return scriptOutcome("starting the archive by kexec", r)
}
