package patches

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/manifest"
	"groundhog/patches/scripts"
	"groundhog/patches/sysroot"
)

// hookPatches is the patches of [All] as far as they have to do with a root
// tree, under the same names; hook comes last, because the others say what it
// is to copy.
var hookPatches = []struct {
	name  string
	apply func(*hooks) (string, error)
}{
	{"authorized-keys", (*hooks).authorizedKeys},
	{"host-keys", (*hooks).hostKeys},
	{"link", (*hooks).link},
	{"interface", (*hooks).networkInterface},
	{"mac", (*hooks).macAddress},
	{"modules", (*hooks).modules},
	{"curl", (*hooks).curl},
	{"tools", (*hooks).tools},
	{"writer", (*hooks).writer},
	{"wait", (*hooks).wait},
	{"hook", (*hooks).hook},
}

// link sets dropbear's options in the configuration that the hook copies.
func (h *hooks) link() (string, error) {
	if err := h.edit(h.version.RootConfig(), nil, withLine(optionsLine(h.version))); err != nil {
		return "", err
	}
	h.added = append(h.added, h.version.ArchiveConfig)
	summary := "dropbear " + options(h.version)
	if h.version.SbinInPath {
		return summary, nil
	}
	h.added = append(h.added, scripts.ShellPath, "etc/passwd", "etc/shells")
	return summary + ", sbin in the sessions' PATH", h.own(ownDir+"/shell", 0o644, scripts.Shell().Data)
}

// networkInterface names the interface, and has it waited for.
func (h *hooks) networkInterface() (string, error) {
	const conf = "etc/initramfs-tools/initramfs.conf"
	if err := h.edit(conf, nil, assign("DEVICE", h.opts.Device)); err != nil {
		return "", err
	}
	if err := h.noteConf(conf); err != nil {
		return "", err
	}
	if err := h.install("functions", "network", "mac"); err != nil {
		return "", err
	}
	start := lineBefore(startLine, scripts.NetworkLine)
	if err := h.edit(path.Join(toolsDir, premount), pristinePremount, start); err != nil {
		return "", err
	}
	h.added = append(h.added, premount, "conf/initramfs.conf", scripts.Conf)
	if err := h.setting("GROUNDHOG_DEVICE", h.opts.Device); err != nil {
		return "", err
	}
	err := h.setting("GROUNDHOG_INTERFACE_TIMEOUT", seconds(h.opts.InterfaceTimeout))
	return fmt.Sprintf("%s, waited for up to %v", h.opts.Device, h.opts.InterfaceTimeout), err
}

func (h *hooks) macAddress() (string, error) {
	h.added = append(h.added, scripts.Conf)
	if err := h.setting("GROUNDHOG_MAC", h.opts.MAC); err != nil {
		return "", err
	}
	switch h.opts.MAC {
	case "keep":
		return "left as the interface has it", nil
	case "cmdline":
		return "from smsc95xx.macaddr= on the kernel command line", nil
	}
	return h.opts.MAC, nil
}

// curl has the hook copy curl and what it looks names up with; certificates
// are our own hook's part.
func (h *hooks) curl() (string, error) {
	if !h.opts.Curl {
		return "", nil
	}
	found, err := h.need("usr/bin/curl", "curl")
	if err != nil {
		return "", err
	}
	h.copyExec(found, "/bin")
	h.added = append(h.added, "usr/bin/curl")
	if h.version.NeedsNSSDNS {
		arch, err := sysroot.Arch(h.Root)
		if err != nil {
			return "", err
		}
		var names []string
		machine, _ := debian.MachineNamed(arch)
		for _, dir := range []string{"usr/lib/", "lib/"} {
			names = append(names, dir+machine.Triplet+"/libnss_dns.so.2")
		}
		if found, err = h.find(names...); err != nil {
			return "", fmt.Errorf("%w: without it curl cannot look names up", err)
		}
		h.copyExec(found, "")
		h.added = append(h.added, debian.MergedUsr(found))
	}
	return h.hookCertificates()
}

func (h *hooks) hookCertificates() (string, error) {
	h.added = append(h.added, bundle)
	if h.opts.CA != nil {
		return "with its libraries and the given certificates", h.own(ownDir+"/ca.pem", 0o644, h.opts.CA)
	}
	pem, err := h.optional(bundle)
	if err != nil {
		return "", err
	}
	if len(pem) == 0 {
		h.added = h.added[:len(h.added)-1]
		h.note("no %s in the root tree: https will fail in the initramfs (install ca-certificates there, or --ca FILE gives some)", bundle)
		return "with its libraries, without certificates", nil
	}
	return "with its libraries and certificates", nil
}

// copyExec adds a line to Debian's hook; to "" means the same place. A program
// that has gone since stops update-initramfs with an error, as it stops us.
func (h *hooks) copyExec(name, to string) {
	line := "copy_exec /" + name
	if to != "" {
		line += " " + to
	}
	h.execs = append(h.execs, line+" || exit 1")
	if at := h.names[dropbearHook]; !slices.Contains(h.touched, at) {
		h.touched = append(h.touched, at)
	}
}

func (h *hooks) tools() (string, error) {
	var names []string
	for _, tool := range h.opts.Tools {
		found, err := h.findTool(tool)
		if err != nil {
			return "", fmt.Errorf("%w: install the package that has it there", err)
		}
		if !toolName.MatchString(found) {
			return "", fmt.Errorf("tool %q: not the path of a program", found)
		}
		h.copyExec(found, "")
		h.added = append(h.added, debian.MergedUsr(found))
		names = append(names, path.Base(found))
	}
	return strings.Join(names, ", "), nil
}

func (h *hooks) wait() (string, error) {
	if err := h.install("functions", "hold", "original", "wait", "reach", "watchdog", "work", "groundhog-continue"); err != nil {
		return "", err
	}
	hold := lineAfter(pidLine, scripts.HoldLine)
	if err := h.edit(path.Join(toolsDir, premount), pristinePremount, hold); err != nil {
		return "", err
	}
	h.added = append(h.added, premount, scripts.Conf)
	if err := h.setting("GROUNDHOG_WAIT", seconds(h.opts.Wait)); err != nil {
		return "", err
	}
	if h.opts.Wait == 0 {
		return "none: the boot goes on at once", nil
	}
	return fmt.Sprintf("%v for somebody to come, then a normal boot", h.opts.Wait), nil
}

// hook has Debian's hook copy the programs, and brings our own.
func (h *hooks) hook() (string, error) {
	change := all(withoutCrypttab(h.Release), hookBlock(h.execs))
	if err := h.edit(dropbearHook, pristineHook, change); err != nil {
		return "", err
	}
	if err := h.own(ownHook, 0o755, hookScript); err != nil {
		return "", err
	}
	h.added = append(h.added, manifest.RecordPath)
	summary := fmt.Sprintf("%s in dropbear's, and one of our own", show.Count(len(h.execs), "copy_exec line"))
	if h.Release == "buster" {
		summary += "; no crypttab needed"
	}
	return summary, nil
}
