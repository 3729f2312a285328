//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// patched is one run of `groundhog patch` on a real target's archive.
type patched struct {
	target  *fixtures.Target
	archive string
	key     string // the private key that may log in
	report  patchJSON
}

// target builds the target, or takes it from the cache.
func target(t *testing.T, suite, arch string) *fixtures.Target {
	t.Helper()
	return judge.Value(fixtures.BuildTarget(t.Context(), suite, arch, os.Stderr))(t)
}

// patchTarget runs the verb on initrd, as a user would, and reads its report.
func patchTarget(t *testing.T, tgt *fixtures.Target, initrd string, args ...string) *patched {
	t.Helper()
	dir := t.TempDir()
	p := &patched{target: tgt, archive: filepath.Join(dir, "reflash.img"), key: filepath.Join(dir, "id")}
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", p.key)
	args = append([]string{"patch", initrd, "--root", tgt.Root, "--authorized-keys", p.key + ".pub", "-o", p.archive, "--json"}, args...)
	var stdout, stderr bytes.Buffer
	if code := run(args, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("groundhog %q: exit %d: %s", args, code, stderr.String())
	}
	judge.Must(t, json.Unmarshal(stdout.Bytes(), &p.report))
	if code := run([]string{"verify", p.archive}, nil, &stdout, &stderr); code != 0 {
		t.Errorf("groundhog verify: exit %d: %s%s", code, stdout.String(), stderr.String())
	}
	return p
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	return string(judge.Output(t, exec.Command(name, args...)))
}

// machine is the device that the archive is for.
func (p *patched) machine() fixtures.Machine {
	return fixtures.Machine{Arch: p.target.Arch, Kernel: p.target.Vmlinuz, Initrd: p.archive}
}

// guest is a booted reflash initramfs that somebody has logged in to.
type guest struct {
	t     *testing.T
	vm    *fixtures.VM
	login fixtures.Login
}

// boot boots the archive until a login with its own known_hosts, strict
// checking and the key that was given succeeds.
func (p *patched) boot(t *testing.T, m fixtures.Machine) *guest {
	t.Helper()
	vm := judge.Value(fixtures.Boot(t.Context(), m))(t)
	t.Cleanup(vm.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s", vm.Console())
		}
	})
	g := &guest{t, vm, fixtures.Login{Port: vm.SSHPort, Key: p.key, KnownHosts: p.report.KnownHosts}}
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stop()
	judge.Must(t, vm.WaitSSH(ctx, g.login))
	return g
}

// run runs a command over SSH and returns what it printed.
func (g *guest) run(command string) string {
	g.t.Helper()
	ctx, stop := context.WithTimeout(g.t.Context(), 5*time.Minute)
	defer stop()
	out, err := fixtures.SSH(ctx, g.login, nil, command)
	if err != nil {
		g.t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

// says checks what a command prints.
func (g *guest) says(command, want string) {
	g.t.Helper()
	if got := g.run(command); got != want {
		g.t.Errorf("%s: printed %q, want %q", command, got, want)
	}
}

// sayAll is says of commands and what each prints, in turns, in one session: to shake hands takes an emulated machine seconds.
func (g *guest) sayAll(commandsAndWants ...string) {
	g.t.Helper()
	const end = "--end-of-answer"
	var script strings.Builder
	for i := 0; i < len(commandsAndWants); i += 2 {
		fmt.Fprintf(&script, "(%s); echo \"%s $?\"\n", commandsAndWants[i], end)
	}
	rest := g.run(script.String())
	for i := 0; i < len(commandsAndWants); i += 2 {
		command, want := commandsAndWants[i], commandsAndWants[i+1]
		got, behind, _ := strings.Cut(rest, end+" ")
		code, next, _ := strings.Cut(behind, "\n")
		if got = strings.TrimSpace(got); got != want || code != "0" {
			g.t.Errorf("%s: printed %q and ended with %q, want %q", command, got, code, want)
		}
		rest = next
	}
}

// console waits for a text on the console.
func (g *guest) console(text string, atMost time.Duration) {
	g.t.Helper()
	ctx, stop := context.WithTimeout(g.t.Context(), atMost)
	defer stop()
	if err := g.vm.WaitConsole(ctx, text); err != nil {
		g.t.Error(err)
	}
}

const testMAC = "02:00:5e:10:00:01"

// TestPatchBoots patches each release's archives, with dropbear and without,
// has Debian's own tools read them, boots them and looks around inside.
func TestPatchBoots(t *testing.T) {
	t.Parallel()
	for _, suite := range judge.Cases([]string{"bookworm", "trixie"}, "bullseye") {
		tgt := target(t, suite, "amd64")
		for _, kind := range judge.Cases([]string{"plain"}, "dropbear") {
			t.Run(suite+"/"+kind, func(t *testing.T) {
				t.Parallel()
				initrd := tgt.Dropbear
				if kind == "plain" {
					initrd = tgt.Plain
				}
				web := startWeb(t)
				p := patchTarget(t, tgt, initrd, "--mac", testMAC, "--tool", "sfdisk", "--ca", web.ca)
				readByDebian(t, p)
				m := p.machine()
				m.Serve = web.serve()
				lookAround(p.boot(t, m), p, web)
			})
		}
	}
}

// windowIn is the largest receive window that each release's dropbear takes.
var windowIn = map[string]string{"bullseye": "-W 1048576", "bookworm": "-W 10485760", "trixie": "-W 10485760"}

// lookAround checks what must be true in the waiting initramfs.
func lookAround(g *guest, p *patched, web *web) {
	g.sayAll(
		"cat /run/groundhog/build", p.report.Build,
		"cat /sys/class/net/eth0/address", testMAC,
		"grep ^DEVICE= /conf/initramfs.conf", "DEVICE=eth0",
		"kill -0 $(cat /run/groundhog/wait.pid) && echo waiting", "waiting",
		"grep ^ExecStart= /run/systemd/system/multi-user.target.wants/groundhog-restore.service",
		"ExecStart=/bin/sh /var/lib/groundhog/restore",
		"cat /sys/class/net/lo/operstate", "unknown", // what an lo that is up says; down: "down"
		"tr '\\0' ' ' </proc/$(cat /run/dropbear.pid)/cmdline | grep -o -e '-W [0-9]* -K 5'", windowIn[p.target.Suite]+" -K 5",
		"command -v blockdev >/dev/null && command -v sfdisk", "/usr/sbin/sfdisk",
		"sfdisk --version | cut -d' ' -f1", "sfdisk",
		"curl -sS http://10.0.2.100/", web.text,
		"curl -sS --resolve groundhog.test:443:10.0.2.100 https://groundhog.test/", web.text)
	// A name, asked over TCP, because the guest's network passes nothing else.
	g.run("printf 'nameserver 10.0.2.100\\noptions use-vc\\n' >/etc/resolv.conf")
	g.says("curl -sS http://groundhog.test/", web.text)
	g.run("groundhog-continue")
	g.console("No root device specified", 5*time.Minute)
}

// readByDebian has the tools of Debian read the archive.
func readByDebian(t *testing.T, p *patched) {
	t.Helper()
	root := unpack(t, p.archive)
	names := []string{"usr/bin/curl", "scripts/groundhog/wait", "usr/bin/groundhog-continue", "etc/groundhog/patches.json"}
	for _, want := range names {
		if _, err := os.Stat(filepath.Join(root, want)); err != nil {
			t.Errorf("unmkinitramfs: %v", err)
		}
	}
	if p.target.Suite != "trixie" || judge.Full { // which lsinitramfs reads as slowly as unmkinitramfs
		listed := lsinitramfs(t, p.archive)
		for _, want := range names {
			if !slices.Contains(listed, want) {
				t.Errorf("lsinitramfs does not list %s", want)
			}
		}
	}
	script := judge.ReadFile(t, filepath.Join(root, "scripts/init-premount/dropbear"))
	if !strings.Contains(string(script), "\n. /scripts/groundhog/network\nrun_dropbear &\n") {
		t.Errorf("the premount script does not source ours where it must:\n%s", script)
	}
	same(t, root, "usr/bin/busybox", "usr/bin/cat")
}

// same fails unless the two names are one file.
func same(t *testing.T, root, a, b string) {
	t.Helper()
	ia := judge.Value(os.Stat(filepath.Join(root, a)))(t)
	ib := judge.Value(os.Stat(filepath.Join(root, b)))(t)
	if !os.SameFile(ia, ib) {
		t.Errorf("%s and %s are no longer one file", a, b)
	}
}
