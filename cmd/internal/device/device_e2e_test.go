//go:build e2e

package device

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	vm "groundhog/fixtures/device"

	"groundhog/fixtures/judge"
)

// unit stands for the one that puts the original initramfs back: sshd answers long before it is through.
const unit = `cat >/etc/systemd/system/groundhog-restore.service <<'EOF'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 30; cat /proc/sys/kernel/random/boot_id >/var/lib/restored'
[Install]
WantedBy=multi-user.target
EOF
systemctl enable groundhog-restore.service`

// A real device: OpenSSH's server, sudo, systemd's words and a real reboot. It is whole, because without dbus systemctl tells
// nobody but root of a unit.
func TestDevice(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	d := vm.Start(t, vm.Spec{Suite: "bookworm", Arch: "amd64"}, vm.Options{Whole: true})
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HOME", t.TempDir())
	o := Options{Config: "none", Identities: []string{d.Base.Key}, KnownHosts: []string{d.KnownHosts()}}
	target := "bench@" + d.Addr()
	w := Wait{Timeout: 12 * time.Minute, Say: func(text string) { t.Log(text) }}
	// No unit at all is none to wait for.
	c, first, err := WaitSystem(ctx, target, o, w)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if first.Initramfs || first.Build != "" {
		t.Errorf("a plain system: %+v", first)
	}
	plain := judge.Value(Dial(ctx, "plain@"+d.Addr(), o))(t)
	defer plain.Close()
	if err := plain.AsRoot(ctx); !errors.Is(err, ErrNotRoot) {
		t.Errorf("a user without sudo: %v", err)
	}
	judge.Must(t, c.AsRoot(ctx))
	if r, err := c.Script(ctx, unit, nil); err != nil || r.Exit != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	before, err := c.Reboot(ctx)
	if err != nil || before != first {
		t.Fatalf("%+v, %v; want %+v", before, err, first)
	}
	w.Before = before.BootID
	after, second, err := WaitSystem(ctx, target, o, w)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if out, err := after.Output(ctx, "cat /var/lib/restored"); err != nil || strings.TrimSpace(out) != second.BootID || second.BootID == first.BootID {
		t.Errorf("when the wait is over: %q, %v; the boot is %s", out, err, second.BootID)
	}
}
