package patches

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"groundhog/initrd"
	"groundhog/patches/sysroot"
)

// The stages that /init runs after the wait: earlyStages before the root file system is
// mounted, lateStages then and later (initramfs-tools(7)). The scripts of the wait's own
// stage have been run when it begins.
var (
	earlyStages = []string{"local-top", "local-premount", "nfs-top", "nfs-premount"}
	lateStages  = []string{"local-block", "local-bottom", "nfs-bottom", "init-bottom"}
)

// networkWords are programs that bring a network up. holdWords are programs behind which a disk is
// in use, and programs that wait for a person: no script with one of them may run before the wait.
var (
	networkWords = regexp.MustCompile(`(?m)(?:^|[^\w.-])(?:configure_networking|ipconfig|ifup|ifconfig|ifenslave|dhclient|udhcpc|dhcpcd|wpa_supplicant|wpa_cli|iwd|iwctl|iwconfig|iw|` +
		`wg|wg-quick|wireguard-go|boringtun|vconfig|brctl|networkctl|nmcli|NetworkManager|connmand|connmanctl|hostapd|teamd|batctl|netplan|openvpn|tincd|nebula|swanctl|ipsec|charon|` +
		`pppd|pump|mmcli|qmicli|mbimcli|usb_modeswitch|tailscaled?|zerotier-one|ip(?:[ \t]+-\w+)*[ \t]+(?:link|l|address|addr|a|route|r|rule|tunnel|netns)|` +
		`modprobe[^\n]*[ \t](?:bonding|8021q|wireguard|bridge|tun|macvlan|ipvlan|team|batman[-_]adv|vxlan|veth|g_ether|g_ncm|g_cdc|g_multi|usb_f_\w+))(?:[^\w-]|$)|/sys/class/net/[^\n]*bond`)
	holdWords = regexp.MustCompile(`(?m)(?:^|[^\w.])(?:mount|cryptsetup|cryptroot|luks\w*|clevis\w*|askpass|plymouth|mdadm|lvm|vgchange|lvchange|vgscan|zpool|zfs|btrfs|dmsetup|dmraid|multipathd?|` +
		`kpartx|losetup|iscsi\w*|nbd-client|drbdadm|fsck[.\w]*|e2fsck|resize2fs|growpart|sgdisk|sfdisk|parted|mkfs[.\w]*|mkswap|swapon|dd)(?:[^\w]|$)`)
	commentLine = regexp.MustCompile(`(?m)(?:^|[ \t])#[^\n]*$`)
	scriptName  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// bootScripts is the scripts of a stage, by name, in the order in which they run.
type bootScripts interface {
	scriptNames(stage string) []string
	scriptText(stage, name string) []byte
}

// earlyScripts is the scripts of later stages that are run before the wait, a path a line:
// those that bring the network up and do no more. If they ran after the wait, there
// would be no network during it, and nobody could log in. Others that have to do with the
// network are told of.
func (t *editTarget) earlyScripts(all bootScripts) []byte {
	var list, now, held []string
	for _, stage := range slices.Concat(earlyStages, lateStages) {
		for _, name := range all.scriptNames(stage) {
			text := commentLine.ReplaceAll(all.scriptText(stage, name), nil)
			switch at := path.Join("scripts", stage, name); {
			case name == "dropbear" || !scriptName.MatchString(name) || !networkWords.Match(text):
			case slices.Contains(earlyStages, stage) && !holdWords.Match(text):
				list, now = append(list, "/"+at+"\n"), append(now, at)
			default:
				held = append(held, at)
			}
		}
	}
	if t.opts.Wait == 0 {
		return []byte(strings.Join(list, "")) // nothing is held
	}
	if now != nil {
		t.addNote("%s: brings the network up, and is run before the wait", strings.Join(now, ", "))
	}
	if held != nil {
		t.addNote("%s: has to do with the network, and with disks or what comes after them: the wait holds it back until the boot goes on", strings.Join(held, ", "))
	}
	return []byte(strings.Join(list, ""))
}

// archiveScripts is those that an archive's ORDER files name.
type archiveScripts struct{ *initrd.Image }

var orderLine = regexp.MustCompile(`(?m)^/scripts/([\w-]+)/([^/\s]+) "\$@"`)

func (a archiveScripts) scriptNames(stage string) []string {
	var all []string
	order, err := a.ReadFile("scripts/" + stage + "/ORDER")
	if err != nil {
		return nil
	}
	for _, m := range orderLine.FindAllSubmatch(order, -1) {
		if string(m[1]) == stage {
			all = append(all, string(m[2]))
		}
	}
	return all
}

func (a archiveScripts) scriptText(stage, name string) []byte {
	b, _ := a.ReadFile("scripts/" + stage + "/" + name)
	return withSourced(b, a.ReadFile)
}

var (
	sourceWord = regexp.MustCompile(`(?m)^[ \t]*(?:\.|source)[ \t]+"?/([\w./-]+)"?`)
	// sourcedByAll is files that scripts source for what they need of them, and that themselves do nothing.
	sourcedByAll = regexp.MustCompile(`^(?:scripts/(?:functions|local|nfs|groundhog/.*)|conf/.*|etc/dropbear/.*|run/.*|(?:usr/)?lib/cryptsetup/.*)$`)
)

// maxSourced bounds the files of a script that are looked into.
const maxSourced = 8

// withSourced is a script's text with those of the files that it sources behind it; read reads them as the archive has them.
func withSourced(text []byte, read func(string) ([]byte, error)) []byte {
	for _, m := range sourceWord.FindAllSubmatch(text, maxSourced) {
		if name := path.Clean(string(m[1])); !sourcedByAll.MatchString(name) {
			if b, err := read(name); err == nil {
				text = slices.Concat(text, []byte("\n"), b)
			}
		}
	}
	return text
}

// treeScripts is those that a root tree's mkinitramfs takes, by their names: those
// in etc come in the place of others.
type treeScripts struct{ fs.FS }

var scriptDirs = []string{"etc/initramfs-tools/scripts", toolsDir + "/scripts"}

func (r treeScripts) scriptNames(stage string) []string {
	var all []string
	for _, dir := range scriptDirs {
		found, _ := fs.Glob(r, path.Join(dir, stage, "*"))
		for _, name := range found {
			if info, err := fs.Stat(r, name); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
				all = append(all, path.Base(name))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (r treeScripts) scriptText(stage, name string) []byte {
	for _, dir := range scriptDirs {
		if real, err := sysroot.Find(r, path.Join(dir, stage, name)); err == nil {
			b, _ := fs.ReadFile(r, real)
			return withSourced(b, r.readSourced)
		}
	}
	return nil
}

// readSourced reads what a script sources, which is in the tree where it is one of the scripts.
func (r treeScripts) readSourced(name string) ([]byte, error) {
	below, ok := strings.CutPrefix(name, "scripts/")
	for _, dir := range scriptDirs {
		if real, err := sysroot.Find(r, path.Join(dir, below)); ok && err == nil {
			return fs.ReadFile(r, real)
		}
	}
	return nil, fs.ErrNotExist
}
