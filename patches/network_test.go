package patches

import (
	"slices"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/tiny"
	"groundhog/patches/scripts"
)

// settings are the lines of the settings, without the build id.
func settings(t *testing.T, conf string) string {
	t.Helper()
	var lines []string
	for l := range strings.Lines(conf) {
		if !strings.HasPrefix(l, "GROUNDHOG_BUILD=") {
			lines = append(lines, strings.TrimPrefix(strings.TrimSuffix(l, "\n"), "GROUNDHOG_"))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

// The archive of every release gets DEVICE, the two lines in Debian's script
// and nothing else in it, our scripts, and the settings.
func TestNetworkAndWait(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, _ := patch(t, tgt, nil)
		config := "dropbear.conf"
		if tgt.Release == "buster" || tgt.Release == "bullseye" {
			config = "config"
		}
		want := strings.NewReplacer("run_dropbear &\n", scripts.NetworkLine+"\nrun_dropbear &\n", nfsLine, scripts.NFSLine+"\n"+nfsLine).Replace(tiny.Premount(config))
		if got := text(t, img, premountScript); got != want {
			t.Errorf("the premount script:\n%s", got)
		}
		if e := img.Lookup(premountScript); e.Perm()&0o111 != 0o111&e.Perm()|0o100&e.Perm() || e.Perm()&0o100 == 0 {
			t.Errorf("%s: %s", premountScript, e.ModeString())
		}
		if got := text(t, img, "conf/initramfs.conf"); got != "MODULES=most\nBUSYBOX=auto\nDEVICE=eth0\nNFSROOT=auto\n" {
			t.Errorf("conf/initramfs.conf:\n%s", got)
		}
		for _, f := range scripts.Files() {
			if got := text(t, img, f.Path); got != string(f.Data) {
				t.Errorf("%s is not ours", f.Path)
			}
			if e := img.Lookup(f.Path); e.Perm() != uint32(f.Mode) {
				t.Errorf("%s: %s", f.Path, e.ModeString())
			}
		}
		if got, want := settings(t, text(t, img, confPath)),
			"DEVICE=any EPOCH=1700000000 INTERFACE_TIMEOUT=20 MAC=keep WAIT=900"; got != want {
			t.Errorf("settings %s, want %s", got, want)
		}
	})
}

// Nothing is named for what others than dropbear bring up: they took any interface, and go on doing so.
func TestDeviceIsLeftToOthers(t *testing.T) {
	const script = "scripts/local-top/clevis"
	for name, files := range map[string]map[string]string{
		"an NFS root": {"conf/conf.d/nfs": "BOOT=nfs\n"},
		"a script":    {script: "#!/bin/sh\n. /scripts/functions\n\tconfigure_networking\n", "scripts/local-top/ORDER": "/" + script + " \"$@\"\n"},
		"wifi":        {"scripts/local-top/wifi": "#!/bin/sh\nwpa_supplicant -B -i wlan0 -c /etc/wpa.conf\n", "scripts/local-top/ORDER": "/scripts/local-top/wifi \"$@\"\n"},
		"wifi behind dropbear": {"scripts/init-premount/wifi": "#!/bin/sh\nwpa_supplicant -B -i wlan0 -c /etc/wpa.conf\n",
			"scripts/init-premount/ORDER": "/scripts/init-premount/dropbear \"$@\"\n/scripts/init-premount/wifi \"$@\"\n"},
		"neither": {script: "#!/bin/sh\n# configure_networking\n", "scripts/local-top/ORDER": "/" + script + " \"$@\"\n"},
	} {
		tgt := tiny.New("bookworm", true)
		for at, text := range files {
			tgt.Archive[at] = tiny.Text(text)
		}
		img, r := patch(t, tgt, nil)
		want, told := "\nDEVICE=\n", "any, "
		if name == "neither" {
			want, told = "\nDEVICE=eth0\n", "eth0, "
		}
		if got := text(t, img, "conf/initramfs.conf"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", name, got)
		}
		if got := settings(t, text(t, img, confPath)); !strings.Contains(got, "DEVICE=any ") {
			t.Errorf("%s: %s", name, got)
		}
		for _, p := range r.Patches {
			if p.Name == "interface" && !strings.HasPrefix(p.Summary, told) {
				t.Errorf("%s: %s", name, p.Summary)
			}
		}
	}
}

func TestSettingsOfOptions(t *testing.T) {
	img, r := patch(t, tiny.New("bookworm", true), func(o *Options) {
		o.Device, o.InterfaceTimeout, o.MAC, o.Wait = "enp1s0", time.Minute, "02-00-5E-10-00-01", 0
	})
	if got, want := settings(t, text(t, img, confPath)),
		"DEVICE=enp1s0 EPOCH=1700000000 INTERFACE_TIMEOUT=60 MAC=02:00:5e:10:00:01 WAIT=0"; got != want {
		t.Errorf("settings %s, want %s", got, want)
	}
	if got := text(t, img, "conf/initramfs.conf"); !strings.Contains(got, "\nDEVICE=enp1s0\n") {
		t.Errorf("conf/initramfs.conf:\n%s", got)
	}
	if last := r.Patches[len(r.Patches)-1]; last.Name != "wait" || !strings.Contains(last.Summary, "at once") {
		t.Errorf("%+v", last)
	}
}

// An archive with no network driver is told of; one with a driver is not.
func TestNoDriverNoted(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	has := func(r *Report) bool {
		return slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, "no network driver") })
	}
	if _, r := patch(t, tgt, nil); has(r) {
		t.Errorf("%q", r.Notes)
	}
	for name, f := range tgt.Archive {
		if strings.Contains(name, "/drivers/net/") && !f.Mode.IsDir() {
			delete(tgt.Archive, name)
		}
	}
	if _, r := patch(t, tgt, nil); !has(r) {
		t.Errorf("%q", r.Notes)
	}
}

// dropbear gets its options in front of what the configuration says, in the
// file that its release reads; where its sessions lack sbin, root gets a shell
// that has it.
func TestLink(t *testing.T) {
	each(t, func(t *testing.T, tgt *tiny.Target) {
		img, _ := patch(t, tgt, nil)
		old := tgt.Release == "buster" || tgt.Release == "bullseye"
		conf, window := "etc/dropbear/dropbear.conf", "10485760"
		if old {
			conf, window = "etc/dropbear/config", "1048576"
		}
		if got := text(t, img, conf); !strings.HasSuffix(got, "\nDROPBEAR_OPTIONS=\"-W "+window+" -K 5 ${DROPBEAR_OPTIONS-}\" # groundhog\n") || !strings.HasPrefix(got, "#") {
			t.Errorf("%s:\n%s", conf, got)
		}
		shell := "/bin/sh"
		if old {
			shell = "/" + scripts.ShellPath
		}
		if got := text(t, img, "etc/passwd"); !strings.HasPrefix(got, "root:*:0:0::/root-") || !strings.HasSuffix(got, ":"+shell+"\n") {
			t.Errorf("etc/passwd: %q", got)
		}
		if _, ok := img.Resolve(scripts.ShellPath); ok != old {
			t.Errorf("the shell is there: %v", ok)
		}
		if old {
			if got := text(t, img, "etc/shells"); got != "/bin/sh\n"+shell+"\n" {
				t.Errorf("etc/shells: %q", got)
			}
		}
	})
}

func TestWithShell(t *testing.T) {
	got, err := withShell([]byte("a:b\nroot:*:0:0::/r:/bin/sh"), "/x")
	if err != nil || string(got) != "a:b\nroot:*:0:0::/r:/x\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "toor:*:0:0::/r:/bin/sh\n", "root:*:0:0:/r:/bin/sh\n", "root:*:0:0::/r:/bin/sh\nroot:*:0:0::/r:/bin/sh\n"} {
		if got, err := withShell([]byte(text), "/x"); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
}
