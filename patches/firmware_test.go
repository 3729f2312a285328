package patches

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/patches/sysroot"
)

const fwDir = "usr/lib/firmware/"

// firmwareIn is the archive's files of firmware.
func firmwareIn(tree map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if below, ok := strings.CutPrefix(name, fwDir); ok && strings.HasPrefix(tree[name], "-") {
			all = append(all, below)
		}
	}
	return strings.Join(all, " ")
}

// A module brings the firmware that it asks for, as far as the root tree has it; the rest is named.
func TestFirmware(t *testing.T) {
	for name, c := range map[string]struct {
		root, archive map[string]string // below lib/firmware
		want          string            // in the archive
		added         int
		missing       string
	}{
		"none":     {nil, nil, "", 0, "bnx2/mips-06.fw, bnx2/rv2p.fw, bnx2/extra-*.bin"},
		"all":      {map[string]string{"bnx2/mips-06.fw": "m", "bnx2/rv2p.fw": "r", "bnx2/extra-1.bin": "x", "other.fw": "o"}, nil, "bnx2/extra-1.bin bnx2/mips-06.fw bnx2/rv2p.fw", 3, ""},
		"updates":  {map[string]string{"updates/bnx2/mips-06.fw": "m", "bnx2/mips-06.fw": "old"}, nil, "updates/bnx2/mips-06.fw", 1, "bnx2/rv2p.fw, bnx2/extra-*.bin"},
		"packed":   {map[string]string{"bnx2/mips-06.fw.zst": "m", "bnx2/extra-1.bin.xz": "x"}, nil, "bnx2/extra-1.bin.xz bnx2/mips-06.fw.zst", 2, "bnx2/rv2p.fw"},
		"is there": {map[string]string{"bnx2/mips-06.fw": "new", "bnx2/extra-1.bin": "x"}, map[string]string{"bnx2/mips-06.fw.xz": "m", "bnx2/rv2p.fw": "r", "bnx2/extra-1.bin": "y"}, "bnx2/extra-1.bin bnx2/mips-06.fw.xz bnx2/rv2p.fw", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tgt := tiny.New("bookworm", true)
			for at, text := range c.root {
				tgt.Root[fwDir+at] = tiny.Text(text)
			}
			for at, text := range c.archive {
				tgt.Archive[fwDir+at] = tiny.Text(text)
			}
			img, r := patch(t, tgt, want("bnx2"))
			if got := firmwareIn(snapshot(img)); got != c.want {
				t.Errorf("in the archive: %s\nwant %s", got, c.want)
			}
			said := strings.Join(r.Notes, "\n")
			if c.missing != "" && !strings.Contains(said, "module bnx2 asks for firmware that is not in the root tree: install the package that has it there: "+c.missing) ||
				c.missing == "" && strings.Contains(said, "firmware") {
				t.Errorf("missing: %q\nsaid: %s", c.missing, said)
			}
			var added int
			var missing []string
			for _, f := range r.Firmware {
				switch f.State {
				case FirmwareAdded:
					added++
				case FirmwareMissing:
					missing = append(missing, f.Name)
				}
			}
			if added != c.added || strings.Join(missing, ", ") != c.missing {
				t.Errorf("%+v", r.Firmware)
			}
			// Once it is there, there is nothing to do.
			o := defaults(tgt)
			o.Modules = []string{"bnx2"}
			again := judge.Value(apply(img, tgt.Root, o))(t)
			if again.Changed() {
				t.Errorf("again: %+v", again.Patches)
			}
		})
	}
}

// Firmware of a module that is in the archive is taken from a tree that has no
// kernel, too; without any tree it is named.
func TestFirmwareOfThere(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	dir := "usr/lib/modules/" + tgt.Kernel + "/kernel/drivers/net/ethernet/"
	tgt.Archive[dir+"bnx2.ko"] = tgt.Root[dir+"bnx2.ko"]
	o := defaults(tgt)
	o.Modules, o.Curl = []string{"bnx2"}, false
	img := read(t, tgt)
	r, err := apply(img, nil, o)
	judge.Must(t, err)
	if len(r.Firmware) != 3 || !strings.Contains(strings.Join(r.Notes, "\n"), "not in the archive, and there is no root tree to take it from: bnx2/mips-06.fw") {
		t.Errorf("%+v\n%q", r.Firmware, r.Notes)
	}
	img = read(t, tgt)
	r = judge.Value(apply(img, fstest.MapFS{"lib/firmware/bnx2/rv2p.fw": tiny.Text("r")}, o))(t)
	if got := firmwareIn(snapshot(img)); got != "bnx2/rv2p.fw" {
		t.Errorf("%s, %+v", got, r.Firmware)
	}
}

// A kernel that cannot unpack firmware gets it unpacked.
func TestFirmwareUnpacked(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	packed := tgt.Root["usr/lib/modules/"+tgt.Kernel+"/kernel/lib/crc16.ko"].Data // anything
	tgt.Root[fwDir+"bnx2/rv2p.fw.xz"] = tiny.Text(string(tiny.Squeeze(packed)))
	tgt.Root["boot/config-"+tgt.Kernel] = tiny.Text("# CONFIG_FW_LOADER_COMPRESS is not set\n")
	img, _ := patch(t, tgt, want("bnx2"))
	if got := text(t, img, fwDir+"bnx2/rv2p.fw"); got != string(packed) {
		t.Errorf("%d bytes", len(got))
	}
}

// Whether there is a network driver is judged when all modules are in, by what they drive.
func TestDriverNote(t *testing.T) {
	const net = "/kernel/drivers/net/"
	for name, c := range map[string]struct {
		change  func(tgt *tiny.Target, dir string)
		modules []string
		want    string // in the note; empty: none
	}{
		"as it is":          {func(*tiny.Target, string) {}, nil, ""},
		"none":              {func(tgt *tiny.Target, dir string) { delete(tgt.Archive, dir+net+"ethernet/e1000.ko") }, nil, "no network driver"},
		"added":             {func(tgt *tiny.Target, dir string) { delete(tgt.Archive, dir+net+"ethernet/e1000.ko") }, []string{"smsc95xx"}, ""},
		"only what it uses": {func(tgt *tiny.Target, dir string) { delete(tgt.Archive, dir+net+"ethernet/e1000.ko") }, []string{"usbnet"}, "no network driver"},
		"wireless": {func(tgt *tiny.Target, dir string) { delete(tgt.Archive, dir+net+"ethernet/e1000.ko") }, []string{"iwlwifi"},
			"only wireless ones in the archive, such as iwlwifi"},
		"built in": {func(tgt *tiny.Target, dir string) {
			delete(tgt.Archive, dir+net+"ethernet/e1000.ko")
			tgt.Archive[dir+"/modules.builtin"] = tiny.Text("kernel/drivers/net/virtio_net.ko\n")
		}, nil, ""},
		"built in, a transceiver": {func(tgt *tiny.Target, dir string) {
			delete(tgt.Archive, dir+net+"ethernet/e1000.ko")
			tgt.Archive[dir+"/modules.builtin"] = tiny.Text("kernel/drivers/net/phy/realtek.ko\nkernel/drivers/net/ethernet/lib.ko\n")
			tgt.Archive[dir+"/modules.builtin.modinfo"] = tiny.Text("lib.license=GPL\x00")
		}, nil, "no network driver"},
	} {
		t.Run(name, func(t *testing.T) {
			tgt := tiny.New("bookworm", true)
			c.change(tgt, "usr/lib/modules/"+tgt.Kernel)
			_, r := patch(t, tgt, want(c.modules...))
			said := strings.Join(r.Notes, "\n")
			if c.want == "" && strings.Contains(said, "driver") || !strings.Contains(said, c.want) {
				t.Errorf("%q", said)
			}
		})
	}
}

func TestClassOfDriver(t *testing.T) {
	const dir = "/usr/lib/modules/6.1.0/"
	for name, c := range map[string]struct {
		alias, imports string
		want           driverClass
	}{
		"kernel/drivers/net/ethernet/intel/e1000/e1000.ko": {"pci:v00008086d*", "", wiredDriver},
		"kernel/drivers/net/virtio_net.ko":                 {"virtio:d00000001v*", "", wiredDriver},
		"kernel/drivers/net/hyperv/hv_netvsc.ko":           {"vmbus:635161f8*", "", wiredDriver},
		"kernel/drivers/net/vmxnet3/vmxnet3.ko":            {"pci:v000015ADd000007B0*", "", wiredDriver},
		"kernel/drivers/net/usb/usbnet.ko":                 {"", "register_netdev", noDriver},
		"kernel/drivers/net/tun.ko":                        {"devname:net/tun", "register_netdevice", noDriver},
		"kernel/drivers/net/dummy.ko":                      {"rtnl-link-dummy", "register_netdevice", noDriver},
		"kernel/drivers/net/phy/realtek.ko":                {"mdio:0000000000011100*", "", noDriver},
		"kernel/drivers/net/mdio/mdio-gpio.ko":             {"platform:mdio-gpio", "", noDriver},
		"kernel/drivers/net/can/usb/gs_usb.ko":             {"usb:v1D50p606F*", "register_candev", noDriver},
		"kernel/drivers/net/wireless/ath/ath9k/ath9k.ko":   {"pci:v0000168Cd*", "", wirelessDriver},
		"kernel/drivers/scsi/x.ko":                         {"pci:v*", "register_netdev", noDriver},
		"updates/dkms/r8125.ko":                            {"pci:v000010ECd00008125*", "register_netdev", wiredDriver},
		"updates/drivers/net/ethernet/x.ko":                {"pci:v*", "", wiredDriver},
		"updates/dkms/rtl8821au.ko":                        {"usb:v*", "wiphy_register\x00register_netdev", wirelessDriver},
		"updates/dkms/nvidia.ko":                           {"pci:v000010DEd*", "", noDriver},
	} {
		if got := classOfDriver(dir+name, []string{c.alias}, []byte("\x00"+c.imports+"\x00")); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// update-initramfs brings plain firmware by itself; what it leaves out the hook copies.
func TestHooksFirmware(t *testing.T) {
	tree := hookTree("bookworm")
	tree["lib/modules/6.1.0/kernel/drivers/net/ethernet/bnx2.ko"] = tiny.Text(string(tiny.New("bookworm", true).Module("bnx2", "6.1.0")))
	tree[fwDir+"bnx2/mips-06.fw"] = tiny.Text("m")
	tree[fwDir+"bnx2/rv2p.fw.xz"] = tiny.Text("r")
	tree["etc/initramfs-tools/initramfs.conf"] = tiny.Text("MODULES=dep\nDEVICE=\n")
	o := hookOptions()
	o.Modules = []string{"mii"}
	if r := mustHooks(t, tree, o); !strings.Contains(strings.Join(r.Notes, "\n"), "says MODULES=dep") {
		t.Errorf("%q", r.Notes)
	}
	o.Modules = []string{"bnx2"}
	r := mustHooks(t, tree, o)
	if strings.Contains(strings.Join(r.Notes, "\n"), "MODULES=dep") {
		t.Errorf("bnx2 is a driver: %q", r.Notes)
	}
	applyChanges(t, tree, r.steps())
	hook := string(tree[dropbearHook].Data)
	if !strings.Contains(hook, "copy_exec /usr/lib/firmware/bnx2/rv2p.fw.xz || exit 1\n") || strings.Contains(hook, "mips-06") {
		t.Errorf("%s", hook)
	}
	if said := strings.Join(r.Notes, "\n"); !strings.Contains(said, "not in the root tree: install the package that has it there: bnx2/extra-*.bin (2 files that it asks for") {
		t.Errorf("%q", said)
	}
	want := []Firmware{{"bnx2", "bnx2/mips-06.fw", FirmwareAdded}, {"bnx2", "bnx2/rv2p.fw", FirmwareAdded}, {"bnx2", "bnx2/extra-*.bin", FirmwareMissing}}
	if diff := cmp.Diff(want, r.Firmware); diff != "" {
		t.Error(diff)
	}
}

// A warning is a line that can be read: of the dozens of files that a driver may ask for it names a few.
func TestSomeOf(t *testing.T) {
	names := strings.Fields("a b c d e f g h i j")
	if got := someOf(names); got != "a, b, c, d, e, f, g, h and 2 more" {
		t.Error(got)
	}
	if got := someOf(names[:8]); got != "a, b, c, d, e, f, g, h" {
		t.Error(got)
	}
}

// Modules that ask for more firmware than any do are refused before it is looked for.
func TestFirmwareIsBounded(t *testing.T) {
	for what, c := range map[string]struct {
		names []string
		ok    bool
	}{
		"as many as may be": {slices.Repeat([]string{"a"}, maxNames), true},
		"more":              {slices.Repeat([]string{"a"}, maxNames+1), false},
		"patterns":          {slices.Repeat([]string{"*/*"}, maxPatterns+1), false},
	} {
		half := len(c.names) / 2
		if err := asksTooMuch([]sysroot.Module{{Name: "one", Firmware: c.names[:half]}, {Name: "two", Firmware: c.names[half:]}}); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}
