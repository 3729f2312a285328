package patches

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"slices"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/patches/sysroot"
)

// WriterPath is where the device's half of `groundhog flash` lies: in an archive
// that is merged, sbin leads to usr/sbin.
const WriterPath = "sbin/groundhog-writer"

// maxWriter bounds the writer that is put into an archive, and so into the
// memory of every device: a static program of a few megabytes.
const maxWriter = 16 << 20

// writerArchs is the architectures that there is a writer for.
var writerArchs = []string{"amd64", "arm64", "armhf", "armel"}

// addWriter adds the device's half of `groundhog flash`.
func (t *Archive) addWriter() (string, error) {
	if t.opts.Writer == nil {
		return "", nil
	}
	b, err := t.opts.writerFor(t.Arch)
	if err != nil {
		return "", err
	}
	return writerSummary(b), t.putOwn(WriterPath, initrd.TypeFile|0o755, b)
}

// hookWriter has the hook copy it.
func (t *Tree) hookWriter() (string, error) {
	if t.opts.Writer == nil {
		return "", nil
	}
	arch, err := sysroot.Arch(t.Root)
	if err != nil {
		return "", err
	}
	b, err := t.opts.writerFor(arch)
	if err != nil {
		return "", err
	}
	t.added = append(t.added, "usr/"+WriterPath)
	return writerSummary(b), t.putOwn(ownDir+"/writer", 0o644, b)
}

func writerSummary(b []byte) string {
	return "groundhog-writer, " + show.Bytes(int64(len(b)))
}

// writerFor is the writer for a machine, which it must be able to run.
func (o *Options) writerFor(arch string) ([]byte, error) {
	if arch == "" {
		return nil, errors.New("the architecture cannot be told: the archive has no conf/arch.conf")
	}
	want, ok := debian.MachineNamed(arch)
	if !ok || !slices.Contains(writerArchs, arch) {
		return nil, fmt.Errorf("there is no groundhog-writer for %s", show.Printable(arch))
	}
	b, err := o.Writer(arch)
	if err != nil {
		return nil, err
	}
	if len(b) > maxWriter {
		return nil, fmt.Errorf("groundhog-writer for %s: more than %d bytes", arch, maxWriter)
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("groundhog-writer for %s: %w", arch, err)
	}
	if f.Machine != want.ELF || f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("groundhog-writer for %s: a %v for %v, not a static program", arch, f.Type, f.Machine)
	}
	return b, nil
}
