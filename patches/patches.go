package patches

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"groundhog/initrd/debian/dropbear"
)

// Patch is one named change, to an archive and to a root tree whose
// update-initramfs is to build such an archive. Each half makes the change and says
// what it did, for the report; "" where it was not asked for. Options refuses what is
// no valid option of the patch, and brings the rest into one form. What is nil has
// nothing to do.
type Patch struct {
	Name    string
	Doc     string // what it is for, one line
	Options func(*Options) error
	Archive func(*Archive) (string, error)
	Tree    func(*Tree) (string, error)
}

// All is the patches in the order in which they are applied: later ones find
// what earlier ones brought, and hook copies what the others want copied.
func All() []Patch {
	return []Patch{
		{"dropbear", "puts Debian's dropbear into an archive that has none", nil, (*Archive).graftDropbear, nil},
		{"authorized-keys", "says who may log in", nil, (*Archive).authorizedKeys, (*Tree).authorizedKeys},
		{"host-keys", "gives the device an identity that is known before it boots", nil, (*Archive).ensureHostKeys, (*Tree).ensureHostKeys},
		{"link", "lets a fast link be fast and a dead one be noticed", (*Options).checkDropbear, (*Archive).tuneLink, (*Tree).tuneLink},
		{"interface", "names the network interface and waits for it", (*Options).checkInterface, (*Archive).networkInterface, (*Tree).networkInterface},
		{"mac", "sets the interface's MAC address before DHCP asks", (*Options).checkMAC, (*Archive).macAddress, (*Tree).macAddress},
		{"modules", "adds kernel modules with what they need", (*Options).checkModules, (*Archive).addAskedModules, (*Tree).listModules},
		{"curl", "adds curl with its libraries and certificates", nil, (*Archive).addCurl, (*Tree).hookCurl},
		{"tools", "adds further programs with their libraries", (*Options).checkTools, (*Archive).addTools, (*Tree).hookTools},
		{"writer", "adds the device's half of groundhog flash", nil, (*Archive).addWriter, (*Tree).hookWriter},
		{"wait", "keeps the boot waiting for somebody to come", (*Options).checkWait, (*Archive).holdBoot, (*Tree).holdBoot},
		{"hook", "has Debian's dropbear hook copy what is wanted", nil, nil, (*Tree).extendHook},
	}
}

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
	// DropbearOptions take the place of the options in dropbear's configuration; nil leaves
	// those. Our own options come before either.
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
	for _, p := range All() {
		if p.Options == nil {
			continue
		}
		if err := p.Options(o); err != nil {
			return err
		}
	}
	return nil
}

// checkSeconds refuses a time that is not in whole seconds, or longer than most.
func checkSeconds(what string, d, most time.Duration) error {
	if d < 0 || d > most || d%time.Second != 0 {
		return fmt.Errorf("%s %v: must be whole seconds, from 0s to %v", what, d, most)
	}
	return nil
}
