package devicetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/wire"
	"groundhog/cmd/internal/flash/writer"
)

// DiskPath is what the device calls its disk.
const DiskPath = "/dev/vda"

// GoodFacts is what a bookworm in a virtual machine answers to a push's questions, a line each; everything fits.
const GoodFacts = `kernel 6.1.0-56-amd64
modules 40
arch amd64
hostname bench-1
release bookworm
distribution debian
boot_id 461063a3-5c46-448c-84ca-e9bce42d5bf2
boot_free 200000
boot_type ext2/ext3
boot_mount /
state_free 200000
state_mount /
initrd /boot/initrd.img-6.1.0-56-amd64
initrd_size 30000000
initrd_magic 28b52ffd
loader grub/grub.cfg
named grub
address 127.0.0.1
interface eth0
prefix 127.0.0.1/8
mac 52:54:00:12:34:56
mac_assigned 0
dynamic yes
root /dev/vda1
root_on disk
disk /dev/vda
disk_size 25165824
disk_serial GH
systemd yes
root_login yes
`

// goodFacts is those, by key.
func goodFacts() map[string]string {
	f := map[string]string{}
	for line := range strings.Lines(GoodFacts) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		f[key] = value
	}
	return f
}

// ownAnswers is what a device answers by itself, the most particular word first.
func (d *Device) ownAnswers() []commandAnswer {
	return []commandAnswer{
		{"cat >/sbin/.groundhog-writer", func(c *Command) int { io.Copy(io.Discard, c.Stdin); return 0 }},
		{"groundhog-writer serve", d.serveWriter},
		{"groundhog-writer kexec new", d.answerKexec},
		{"/proc/sys/kernel/bootloader_type", d.bootLoader},
		{"groundhog-writer version && groundhog-writer disks", func(c *Command) int {
			fmt.Fprintln(c.Stdout, writerVersion())
			return d.listDisks(c)
		}},
		{"groundhog-writer disks", d.listDisks},
		{"groundhog-writer state ", d.writerState}, // reflash's state.sh
		{"/run/groundhog/writing", d.isWriting},
		{"/scripts/groundhog", d.answerState},
		{"/etc/machine-id", d.answerWho},
		{"/run/groundhog-run", d.answerMark},
		{"fact end ok", d.answerSurvey},
		{"groundhog_restore=", d.answerPush},
		{"groundhog-restore.service", Say("", 0)},
		{"/run/groundhog-kexec", func(c *Command) int { io.Copy(io.Discard, c.Stdin); return 0 }}, // a program, and what it loads
		{"take_lock", Complain("groundhog: the original is back", 0)},                             // restore's program
		{"blkid -p", Say("device /dev/vda\ndevice /dev/vda1\nTYPE=ext4\nLABEL=root\n", 0)},
		{"dd if=", d.answerDD},
		{"reboot", d.answerReboot},
		{"id -u", Say("0\nheard\n", 7)}, // device.Client.AsRoot
		{"uname -m", Say("x86_64\n", 0)},
	}
}

func writerVersion() string { return fmt.Sprintf("groundhog-writer, protocol %d", wire.Version) }

// answerState is what device.Client.State asks.
func (d *Device) answerState(c *Command) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	what := "system"
	build := ""
	if d.initramfs {
		what, build = "initramfs", d.build
	}
	fmt.Fprintf(c.Stdout, "%s\n%s\n%s\n", d.bootID(), what, build)
	return 0
}

// answerWho is what device.Client.Who asks.
func (d *Device) answerWho(c *Command) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(c.Stdout, "board %s\nmac 52:54:00:12:34:56\nend ok\n", d.board)
	return 0
}

// rollMarks are the words that device.Roll leaves: ln's last words are the link's text and name.
var rollMarks = regexp.MustCompile(`ln -s ([0-9]+) "\$d/([0-9a-f]+)"`)

func (d *Device) answerMark(c *Command) int {
	m := rollMarks.FindStringSubmatch(c.Text)
	if m == nil {
		return 1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := fmt.Sprint(d.boots, " ", m[2])
	if d.marked[key] == "" {
		d.marked[key] = m[1]
	}
	fmt.Fprintln(c.Stdout, "name", d.marked[key])
	return 0
}

var ddCommand = regexp.MustCompile(`^dd if=(\S+) bs=([0-9]+) skip=([0-9]+) count=([0-9]+) `)

// answerDD reads the disk.
func (d *Device) answerDD(c *Command) int {
	m := ddCommand.FindStringSubmatch(c.Text)
	if m == nil || m[1] != DiskPath {
		return 1
	}
	size, _ := strconv.ParseInt(m[2], 10, 32)
	skip, _ := strconv.ParseInt(m[3], 10, 64)
	count, _ := strconv.ParseInt(m[4], 10, 32)
	f, err := os.Open(d.DiskFile())
	if err != nil {
		return 1
	}
	defer f.Close()
	io.Copy(c.Stdout, io.NewSectionReader(f, skip*size, count*size))
	return 0
}

// Board says what the device's board has for a serial number.
func (d *Device) Board(serial string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.board = serial
}

func (d *Device) answerSurvey(c *Command) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(d.facts)) {
		fmt.Fprintln(c.Stdout, key, d.facts[key])
	}
	fmt.Fprintln(c.Stdout, "end ok")
	return 0
}

// answerPush takes an archive: one of its program's arguments is the archive's SHA-256.
func (d *Device) answerPush(c *Command) int {
	fmt.Fprintln(c.Stdout, "ready")
	h := sha256.New()
	io.Copy(h, c.Stdin)
	if got := hex.EncodeToString(h.Sum(nil)); !slices.Contains(c.Args, got) {
		fmt.Fprintf(c.Stderr, "groundhog: what came has sha256 %s\n", got)
		return 1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = true
	fmt.Fprintln(c.Stdout, "done 0000")
	return 0
}

// Pushed says of which build the initramfs is that a push puts there: the device does not unpack archives.
func (d *Device) Pushed(build string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.build = build
}

// answerKexec is a writer's kexec new: it takes what is announced, and starts what was flashed.
func (d *Device) answerKexec(c *Command) int {
	words := shellWords(c.Text)
	if len(words) < 10 {
		fmt.Fprintln(c.Stderr, "usage: groundhog-writer ... kexec new ...")
		return 2
	}
	for _, announced := range [][]string{words[5:7], words[7:9]} {
		size, _ := strconv.ParseInt(announced[0], 10, 64)
		h := sha256.New()
		n, _ := io.CopyN(h, c.Stdin, size)
		if got := hex.EncodeToString(h.Sum(nil)); n != size || got != announced[1] {
			fmt.Fprintf(c.Stderr, "groundhog-writer: what came has SHA-256 %s, %d bytes\n", got, n)
			return 1
		}
		if words[4] == "trial" { // the kernel alone
			return 0
		}
	}
	fmt.Fprintln(c.Stdout, "loaded")
	if said, _ := io.ReadAll(c.Stdin); string(said) != "go\n" {
		fmt.Fprintln(c.Stderr, "groundhog-writer: nobody said to start it")
		return 1
	}
	fmt.Fprintln(c.Stdout, "starting")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line, d.kexecs = words[9], d.boots+1
	return Rebooting
}

// bootLoader is what an amd64 kernel says of who has started it: kexec or GRUB.
func (d *Device) bootLoader(c *Command) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	kind := 114
	if d.kexecs == d.boots {
		kind = 208
	}
	fmt.Fprintln(c.Stdout, kind)
	return 0
}

// KexecLine is the command line of what was started by kexec last; "" for nothing.
func (d *Device) KexecLine() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.line
}

func (d *Device) listDisks(c *Command) int {
	json.NewEncoder(c.Stdout).Encode([]disk.Info{{Identity: disk.Identity{Path: DiskPath, Size: DiskSize, Serial: "GH"}, Block: 512}})
	return 0
}

func (d *Device) writerState(c *Command) int {
	s, session, err := writer.StateOf(d.Run(), c.Args[0], 20*time.Second)
	if err != nil {
		fmt.Fprintf(c.Stderr, "groundhog-writer: %v\n", err)
		return 1
	}
	fmt.Fprintln(c.Stdout, s, session)
	return 0
}

// answerReboot reboots, unless its disk is neither old nor new.
func (d *Device) answerReboot(c *Command) int {
	if writing, err := os.ReadFile(filepath.Join(d.Run(), "writing")); err == nil {
		c.Stderr.Write(writing)
		return 75
	}
	return Rebooting
}

// isWriting is a test(1) for the file that says that a disk is neither old nor new.
func (d *Device) isWriting(*Command) int {
	if _, err := os.Stat(filepath.Join(d.Run(), "writing")); err != nil {
		return 1
	}
	return 0
}

func (d *Device) serveWriter(c *Command) int {
	config := writer.Config{Tool: writerVersion(), Run: d.Run()}
	d.mu.Lock()
	config.Open, config.Silent, config.Direct = d.open, d.silent, d.direct
	d.mu.Unlock()
	if err := writer.Serve(context.Background(), c.channel, config); err != nil {
		fmt.Fprintf(c.Stderr, "groundhog-writer: %v\n", err)
		return 1
	}
	return 0
}
