//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/input"
	"groundhog/fixtures"
	"groundhog/fixtures/handmade"
	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/initrd/debian"
)

// Debian's own update-initramfs builds in a changed root tree what patch makes
// of its archive, and a revert leaves no trace.
func TestHooksTargets(t *testing.T) {
	t.Parallel()
	judge.Root(t, "chroot")
	for _, suite := range judge.Cases([]string{"bookworm"}, "bullseye", "trixie") {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			tgt := target(t, suite, "amd64")
			h := newHooked(t, tgt)
			before := handmade.Snapshot(t, h.root)
			h.run("hooks", h.root, "--dry-run")
			h.same(before)
			h.hooks()
			h.judgeScripts()
			built := h.update()
			p := h.judgeArchive(built)
			h.compare(built)
			if r := h.hooks(); r.Changed {
				t.Errorf("a second run changes %v", r.Files)
			}
			judge.Must(t, os.Remove(built))
			h.run("hooks", h.root, "--revert")
			h.same(before)
			if judge.Full && suite != "trixie" { // bullseye has most to go wrong
				m := p.machine()
				m.Serve = h.web.serve()
				lookAround(p.boot(t, m), p, h.web)
			}
		})
	}
}

// hooked is a copy of a target's root tree without its archive, and somebody
// who may log in.
type hooked struct {
	t      *testing.T
	target *fixtures.Target
	root   string
	key    string
	args   []string
	web    *web
}

func newHooked(t *testing.T, tgt *fixtures.Target) *hooked {
	dir := t.TempDir()
	h := &hooked{t: t, target: tgt, root: filepath.Join(dir, "root"), key: filepath.Join(dir, "id"), web: startWeb(t)}
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", h.key)
	command(t, "cp", "-a", "--reflink=auto", tgt.Root, h.root)
	judge.Must(t, os.RemoveAll(h.archive()))
	h.args = []string{"--authorized-keys", h.key + ".pub", "--tool", "sfdisk", "--module", "mii", "--wait", "30m",
		"--mac", testMAC, "--ca", h.web.ca, "--json"}
	return h
}

func (h *hooked) archive() string {
	return filepath.Join(h.root, "boot", "initrd.img-"+h.target.Kernel)
}

func (h *hooked) run(args ...string) []byte {
	h.t.Helper()
	if args[0] != "inspect" && !slices.Contains(args, "--revert") {
		args = append(args, h.args...)
	}
	var stdout, stderr bytes.Buffer
	if code := run(args, nil, &stdout, &stderr); code != 0 {
		h.t.Fatalf("groundhog %q: exit %d: %s", args, code, stderr.String())
	}
	return stdout.Bytes()
}

func (h *hooked) hooks() (r hooksJSON) {
	h.t.Helper()
	judge.Must(h.t, json.Unmarshal(h.run("hooks", h.root), &r))
	return r
}

// same compares the tree with what it was. What a directory's time says of its
// files is not held against it, nor is what update-initramfs itself leaves.
func (h *hooked) same(before map[string]string) {
	h.t.Helper()
	now := handmade.Snapshot(h.t, h.root)
	for name := range now {
		if strings.HasPrefix(name, "/var/lib/initramfs-tools") {
			delete(now, name)
			delete(before, name)
		}
	}
	if diff := cmp.Diff(before, now); diff != "" {
		h.t.Errorf("the tree is not what it was (-want +got):\n%s", diff)
	}
}

// judgeScripts has the shell and shellcheck read the hooks.
func (h *hooked) judgeScripts() {
	h.t.Helper()
	judge.Must(h.t, fixtures.Need("shellcheck"))
	dir := filepath.Join(h.root, "usr/share/initramfs-tools")
	for _, name := range []string{"hooks/dropbear", "hooks/groundhog", "scripts/init-premount/dropbear"} {
		command(h.t, "sh", "-n", filepath.Join(dir, name))
		// Debian's own text may have what is worth a word, but no error.
		command(h.t, "shellcheck", "--severity=error", filepath.Join(dir, name))
	}
}

// update runs the target's update-initramfs in the tree, in mounts of its own:
// they go when it ends.
func (h *hooked) update() string {
	h.t.Helper()
	const script = `mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" \
		/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C update-initramfs -c -k "$2"`
	out, err := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", h.root, h.target.Kernel).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("WARNING")) || bytes.Contains(out, []byte("W: ")) || bytes.Contains(out, []byte("E: ")) {
		h.t.Fatalf("update-initramfs: %v\n%s", err, out)
	}
	return h.archive()
}

// judgeArchive looks for what has to be there, in Debian's own listing of the
// archive and with inspect. patch finds nothing to change in it.
func (h *hooked) judgeArchive(archive string) *patched {
	h.t.Helper()
	list := h.list(archive)
	for _, name := range []string{"usr/bin/curl", "usr/sbin/sfdisk", "usr/bin/groundhog-continue", "scripts/groundhog/hold",
		"etc/groundhog/patches.json", "etc/ssl/certs/ca-certificates.crt", "conf/modules", "root-X/.ssh/authorized_keys"} {
		if !slices.Contains(list, name) {
			h.t.Errorf("no %s", name)
		}
	}
	text := string(h.run("inspect", archive))
	for _, want := range []string{"script patched by groundhog", windowIn[h.target.Suite] + " -K 5", "bench (ED25519)", "GROUNDHOG_WAIT=1800", "release " + h.target.Suite} {
		if !strings.Contains(text, want) {
			h.t.Errorf("inspect does not say %q:\n%s", want, text)
		}
	}
	p := &patched{target: h.target, archive: filepath.Join(h.t.TempDir(), "again.img"), key: h.key}
	judge.Must(h.t, json.Unmarshal(h.run("patch", archive, "--root", h.target.Root, "-o", p.archive), &p.report))
	if p.report.Changed {
		h.t.Errorf("patch finds something to change: %+v", p.report.Patches)
	}
	return p
}

// compare holds the archive against what patch makes of the one that the target
// had: names, and for what groundhog brings the contents too.
func (h *hooked) compare(archive string) {
	h.t.Helper()
	patched := filepath.Join(h.t.TempDir(), "patched.img")
	h.run("patch", h.target.Dropbear, "--root", h.target.Root, "-o", patched)
	// mkinitramfs writes an ORDER, here an empty one, into every directory of scripts.
	want := append(h.list(patched), "scripts/groundhog/ORDER")
	slices.Sort(want)
	if diff := cmp.Diff(want, h.list(archive)); diff != "" {
		h.t.Errorf("patch and hooks make different archives (-patch +hooks):\n%s", diff)
	}
	a, b := h.read(patched), h.read(archive)
	for _, name := range want {
		if !strings.HasPrefix(name, "scripts/") && !slices.Contains([]string{"conf/initramfs.conf", "conf/modules", "etc/shells",
			"etc/ssl/certs/ca-certificates.crt", "usr/bin/groundhog-continue", "usr/bin/groundhog-shell", "usr/bin/curl"}, name) {
			continue
		}
		e, f := a.Lookup(name), b.Lookup(name)
		if e == nil || f == nil || name == "scripts/groundhog/conf" {
			continue // the build's id and time are its own
		}
		if !bytes.Equal(spaces(a.Content(e)), spaces(b.Content(f))) {
			h.t.Errorf("%s differs", name)
		}
	}
	var who [2][]string
	for i, img := range []*initrd.Image{a, b} {
		for _, k := range debian.Read(img).LoginKeys() {
			who[i] = append(who[i], k.String())
		}
	}
	if !slices.Equal(who[0], who[1]) {
		h.t.Errorf("other people may log in: %q, not %q", who[1], who[0])
	}
}

// spaces drops blanks at the ends of lines: mkinitramfs leaves them in conf/modules.
func spaces(b []byte) []byte { return regexp.MustCompile(`(?m)[ \t]+$`).ReplaceAll(b, nil) }

func (h *hooked) read(archive string) *initrd.Image {
	h.t.Helper()
	in, err := input.Named().Archive(archive, int64(defaultMaxSize))
	if err != nil {
		h.t.Fatal(err)
	}
	return in.Image
}

// list is the archive's names as lsinitramfs has them, sorted; root's home has
// a name made up by each build.
func (h *hooked) list(archive string) []string {
	h.t.Helper()
	judge.Must(h.t, fixtures.Need("lsinitramfs"))
	home := regexp.MustCompile(`^root-\w+`)
	var names []string
	for name := range strings.Lines(command(h.t, "lsinitramfs", archive)) {
		names = append(names, home.ReplaceAllString(strings.TrimSpace(name), "root-X"))
	}
	slices.Sort(names)
	return names
}
