//go:build e2e

package initrd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vms "groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// lookAtX is a /init that says of each directory what is at x in it.
const lookAtX = `#!/bin/busybox sh
for d in /c*; do
	cd $d; said=-
	if [ -c x ]; then said=$(busybox stat -c '%t:%T' x)
	elif [ -d x ]; then said="dir $(busybox stat -c %a x)"
	elif [ -p x ]; then said=pipe
	elif [ -f x ]; then said="$(busybox cat x) $(busybox stat -L -c %a x)"
	fi
	echo "KERNEL ${d#/c} $said."
done
echo KERNEL end
busybox poweroff -f
`

// A real kernel unpacks the odd records, and has at x what is said of it; where an archive is refused it has what the test says.
func TestTreeIsKernels(t *testing.T) {
	judge.Tools(t, "qemu-system-x86_64")
	target := judge.Value(vms.BuildTarget(t.Context(), "bookworm", "amd64", os.Stderr))(t)
	entries := []Entry{dir("dev"), {Name: "dev/console", Mode: TypeChar | 0o600, Nlink: 1, Rdev: Device{5, 1}}, dir("bin"), dir("lib64"), dir("lib"), dir("lib/x86_64-linux-gnu")}
	add := func(name, from string) {
		b := judge.ReadFile(t, filepath.Join(target.Root, from))
		entries = append(entries, Entry{Name: name, Mode: TypeFile | 0o755, Nlink: 1, Data: b})
	}
	add("bin/busybox", "usr/bin/busybox")
	add("lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
	for _, name := range []string{"libc.so.6", "libresolv.so.2"} {
		add("lib/x86_64-linux-gnu/"+name, "usr/lib/x86_64-linux-gnu/"+name)
	}
	entries = append(entries, Entry{Name: "init", Mode: TypeFile | 0o755, Nlink: 1, Data: []byte(lookAtX)}, trailer())
	for i, c := range oddCases() {
		room := fmt.Sprintf("c%02d", i)
		entries = append(entries, dir(room))
		for _, e := range c.entries {
			if !e.IsTrailer() {
				e.Name = room + "/" + e.Name
			}
			entries = append(entries, e)
		}
		entries = append(entries, trailer())
	}
	archive := filepath.Join(t.TempDir(), "initrd.img")
	judge.WriteFile(t, archive, runsOf(entries))
	vm := judge.Value(vms.Boot(t.Context(), vms.Machine{Arch: "amd64", Kernel: target.Vmlinuz, Initrd: archive}))(t)
	defer vm.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	if err := vm.WaitConsole(ctx, "KERNEL end"); err != nil {
		t.Fatalf("%v\n%s", err, vm.Console())
	}
	console := vm.Console()
	for i, c := range oddCases() {
		_, said, found := strings.Cut(console, fmt.Sprintf("KERNEL %02d ", i))
		said, _, _ = strings.Cut(said, ".")
		if !found || c.kernel != "*" && !strings.HasPrefix(said, c.kernel) {
			t.Errorf("%s: the kernel has %q, we say %q", c.name, said, c.kernel)
		}
		if img, err := Read(bytes.NewReader(runsOf(c.entries)), Limits{}); err == nil && saysOfX(img) != said {
			t.Errorf("%s: the kernel has %q, and the tree %q", c.name, said, saysOfX(img))
		}
	}
}
