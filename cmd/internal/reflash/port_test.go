package reflash

import (
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/push"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
)

// flash finds the port in what push recorded, whoever says which keys are right.
func TestFlashOnTheRecordedPort(t *testing.T) {
	sum := sumOf(nil)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	record := &device.Record{Target: "bench", User: "root", Host: "bench", Port: "22", BootID: "0b9f6c2e-5d5a-4f0e-9d43-2f1d8c9a7b10",
		Archive: device.Pushed{Path: "/a", SHA256: sum, Sent: sum, Build: "0123456789abcdef", Port: 2222}}
	record.HostKeys = []string{tiny.LoginEd25519}
	judge.Value(record.Save())(t)
	for _, ssh := range []device.Options{{}, {HostKey: "SHA256:x"}, {KnownHosts: []string{"f"}}} {
		o := FlashOptions{SSH: ssh, ReadArchive: func(string) (*Archive, error) { return &Archive{SHA256: sum, Port: 2222}, nil }}
		options, _, err := o.waitingOptions("root@bench")
		if err != nil || options.Port != "2222" {
			t.Errorf("%+v: port %q, %v", ssh, options.Port, err)
		}
	}
}

// A system's port that is named is not taken for the initramfs's without a word.
func TestPortNamedTwice(t *testing.T) {
	for _, c := range []struct {
		host, initramfs string
		reboot          bool
		port            uint16
		refused         bool
	}{
		{"bench:2200", "", true, 2222, true}, {"bench:2222", "", true, 2222, false}, {"bench", "", true, 2222, false}, {"bench:2200", "", true, 22, false},
		{"bench:2200", "bench:2222", true, 2222, false}, {"bench:2200", "", false, 2222, false}, {"bench:2200", "", true, 0, false},
	} {
		o := PushOptions{Reboot: c.reboot, Initramfs: c.initramfs}
		got := o.portFinding(Host{Name: c.host}, &Archive{Port: c.port})
		if push.Refused(got) != c.refused {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}
