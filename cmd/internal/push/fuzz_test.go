package push

import (
	"regexp"
	"strings"
	"testing"

	"groundhog/cmd/internal/loader"
)

// What /init sources as IP=, and what the shell in the archive takes as a MAC.
var (
	plainIP  = regexp.MustCompile(`^[0-9.]+::[0-9.]*:[0-9.]+:::off$`)
	plainMAC = regexp.MustCompile(`^([0-9a-f]{2}(:[0-9a-f]{2})+)?$`)
)

// FuzzFacts: whatever a device answers, what is said of it can do nothing to a terminal, what is taken from it can be nothing else
// in a shell than what it is, and what the checks let pass is a push that the transaction takes.
func FuzzFacts(f *testing.F) {
	f.Add("kernel 6.1.0-56-amd64\narch amd64\nrelease bookworm\nprefix 192.0.2.7/24\ngateway 192.0.2.1\nmac 52:54:00:12:34:56\nmac_assigned 3\ninitrd /boot/initrd.img-6.1.0-56-amd64\ninitrd_size 3\nboot_free 1\nend ok\n")
	f.Add("kernel $(id)\narch amd64\nloader firmware/config.txt\nfirmware_initramfs initrd.img-$(id) followkernel\nfirmware_free 300000\nend ok\n")
	f.Add("prefix fe80::1%eth0`id`/64\nend ok\n")
	f.Add("prefix 1.2.3.4/0\ngateway fe80::1%;id\nmac `id`\nmac_assigned 3\nend ok\n")
	f.Add("kernel a/../b\narch a\nrelease r\nnamed grub\ninitrd /boot/initrd.img-a/../b\nboot_free 99999999\nstate_free 99999999\nend ok\n")
	f.Add("kernel a\narch a\nrelease r\nloader_info systemd-boot 252\nefi yes\nloader_oneshot yes\nesp /efi/../etc\nesp_sorted yes\nesp_free 999999\nkernel_size 1\nend ok\n")
	f.Fuzz(func(t *testing.T, text string) {
		facts, err := loader.ParseFacts(text)
		if err != nil {
			return
		}
		a := fitting()
		a.Kernel, a.Arch, a.Release = facts.Get("kernel"), facts.Get("arch"), facts.Get("release")
		all, boot := Check(facts, a)
		for _, x := range all {
			if strings.ContainsFunc(x.Text+x.Hint, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("control bytes in %q", x)
			}
		}
		if !Refused(all) {
			if err := boot.Check(); err != nil {
				t.Errorf("the checks let it pass: %v", err)
			}
		}
		p := PersonalOf(facts)
		if p.IP() != "" && !plainIP.MatchString(p.IP()) {
			t.Errorf("IP=%q", p.IP())
		}
		if !plainMAC.MatchString(p.MAC.String()) {
			t.Errorf("MAC %q", p.MAC)
		}
	})
}
