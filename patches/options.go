package patches

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"groundhog/initrd/debian/dropbear"
)

// Options is what is asked for. [Options.checkOptions] lets nothing through that could
// mean more than itself in a shell script.
type Options struct {
	Release string // Debian's code name; empty: found out
	Board   string // one of Boards; empty: generic
	Modules []string

	Device           string        // network interface, at most 15 bytes; "any"; empty: as configured
	InterfaceTimeout time.Duration // whole seconds
	MAC              string        // "keep", "cmdline" or an address; empty: what the board needs
	Wait             time.Duration // whole seconds; 0: boot on at once

	Curl  bool
	Tools []string // programs in the root tree, by name or path
	CA    []byte   // PEM; nil: the root tree's bundle

	// Writer gives groundhog-writer, a static program, for one of Debian's
	// architectures; nil leaves it out.
	Writer func(arch string) ([]byte, error)

	AuthorizedKeys []byte // as in authorized_keys(5); nil: the archive's, or the root tree's
	// DropbearOptions take the place of those in dropbear's configuration, of which
	// ours come before them; nil: what the configuration says.
	DropbearOptions []string
	NewHostKeys     bool
	HostKeys        []*dropbear.HostKey // nil: keep, and make where there are none
	// MakeHostKey makes a key of one of dropbear's kinds; nil: [dropbear.GenerateHostKey].
	MakeHostKey func(kind string) (*dropbear.HostKey, error)
}

// Boards is the boards with needs of their own.
var Boards = []string{"generic", "cm3", "cm4"}

// cm3Modules bring a Compute Module 3's link up, in this order: smsc95xx binds
// only where the other two are there.
var cm3Modules = []string{"mii", "phy_generic", "smsc95xx"}

// Defaults is the options of a patch that asks for nothing in particular.
func Defaults() Options {
	return Options{Board: "generic", InterfaceTimeout: 20 * time.Second,
		Wait: 15 * time.Minute, Curl: true}
}

// deviceName is an interface name that the kernel takes (dev_valid_name) and
// that is one plain word in shell.
var (
	deviceName     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)
	moduleNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	// Words with blanks between them; what a shell could take for more is not among
	// the characters.
	dropbearOption = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=, -]{0,200}$`)
	toolName       = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/_.+-]*$`)
)

// noWayIn is names of interfaces that nobody comes by, whatever machine it is: the loop, those that the kernel makes of themselves for tunnels and the like, and
// two that it gives to none (sysctl_dev_name_is_allowed).
var noWayIn = regexp.MustCompile(`^(lo|all|default|(dummy|ifb|nlmon|teql|sit|tunl|gre|gretap|ip6tnl|ip6gre)[0-9]+)$`)

// mayBeDevice reports whether an interface of that name may be the one that the machine is reached by.
func mayBeDevice(name string) bool { return deviceName.MatchString(name) && !noWayIn.MatchString(name) }

// Check refuses what is no valid option of its own, whatever the archive.
func (o Options) Check() error { return o.checkOptions() }

// checkOptions refuses what is no valid option and brings the rest into one form.
func (o *Options) checkOptions() error {
	if !slices.Contains(Boards, o.Board) {
		return fmt.Errorf("board %q: must be one of %s", o.Board, strings.Join(Boards, ", "))
	}
	if o.Board == "cm3" {
		o.Modules = append(slices.Clone(cm3Modules), o.Modules...)
		if o.MAC == "" {
			o.MAC = "cmdline" // the board has no address of its own, its firmware passes one
		}
	}
	if o.MAC == "" {
		o.MAC = "keep"
	}
	if o.Device != "" && !deviceName.MatchString(o.Device) {
		return fmt.Errorf("device %q: not the name of a network interface", o.Device)
	}
	if noWayIn.MatchString(o.Device) {
		return fmt.Errorf("device %q: no interface of that name leads to the machine, nobody could log in", o.Device)
	}
	for _, m := range o.Modules {
		if !moduleNameForm.MatchString(m) {
			return fmt.Errorf("module %q: not the name of a kernel module", m)
		}
	}
	for _, t := range o.Tools {
		if !toolName.MatchString(t) {
			return fmt.Errorf("tool %q: not the name or path of a program", t)
		}
	}
	for _, d := range o.DropbearOptions {
		if !dropbearOption.MatchString(d) {
			return fmt.Errorf("dropbear option %q: not words that mean themselves to a shell", d)
		}
	}
	if err := checkSeconds("interface timeout", o.InterfaceTimeout, time.Hour); err != nil {
		return err
	}
	if err := checkSeconds("wait", o.Wait, 7*24*time.Hour); err != nil {
		return err
	}
	var err error
	o.MAC, err = checkMAC(o.MAC)
	return err
}

func checkSeconds(what string, d, most time.Duration) error {
	if d < 0 || d > most || d%time.Second != 0 {
		return fmt.Errorf("%s %v: must be whole seconds, from 0s to %v", what, d, most)
	}
	return nil
}

// checkMAC takes "keep", "cmdline" and the address of one station.
func checkMAC(s string) (string, error) {
	if s == "keep" || s == "cmdline" {
		return s, nil
	}
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6:
		return "", fmt.Errorf("mac %q: must be keep, cmdline or six octets like 02:00:5e:10:00:01", s)
	case mac[0]&1 != 0:
		return "", fmt.Errorf("mac %q: a group address, no station can have it", s)
	case mac.String() == "00:00:00:00:00:00":
		return "", fmt.Errorf("mac %q: the null address, no station can have it", s)
	}
	return mac.String(), nil
}
