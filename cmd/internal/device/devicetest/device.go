// Package devicetest is a device for tests: an SSH server on loopback that answers what groundhog asks of a device, without a
// kernel and without a shell. A running system takes a push, reboots into the pushed initramfs, which has a real
// writer (package writer) on a disk that is a file, and reboots into what was flashed.
//
// A test changes what it answers (On), cuts its connections, switches it off. It does not stand for Debian's own servers and
// shells, which the end-to-end tests meet.
package devicetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/flash/writer"
)

// Device is a device. Its methods may be called from anywhere.
type Device struct {
	Addr string // host:port
	dir  string
	t    testing.TB

	mu       sync.Mutex
	listener net.Listener
	off      bool // it resets whoever connects
	conns    map[net.Conn]bool
	system   ssh.Signer      // the running system's host key
	waiting  ssh.Signer      // the initramfs'
	answers  []commandAnswer // a test's own, the last one first
	log      []string        // commands, as they came

	boots     int
	initramfs bool
	build     string // of the archive that waits, or that is booted next
	next      bool   // what a push put there is booted next
	facts     map[string]string
	board     string            // its serial number
	marked    map[string]string // what a Roll left, by boot and word
	line      string            // the kernel's, of the last kexec
	kexecs    int               // the boot that it began; 0: none
	open      func(name string, write bool) (writer.Target, error)
	silent    time.Duration // that the writer bears; 0: its own bound
	direct    bool          // its client may come by a direct line, too
	sessions  int           // at once, on a connection; 0: any number
}

// commandAnswer is what the device does for a command that has a word in it.
type commandAnswer struct {
	word string
	do   func(*Command) int
}

// DiskSize is the size of the device's disk in bytes.
const DiskSize = 24 << 20

// Start starts a device; it runs its system.
func Start(t testing.TB) *Device {
	t.Helper()
	d := &Device{t: t, dir: t.TempDir(), conns: map[net.Conn]bool{}, boots: 1, board: "GH-BOARD-1", marked: map[string]string{}, facts: goodFacts()}
	d.system, d.waiting = d.makeKey("system"), d.makeKey("initramfs")
	d.makeKey("login")
	if err := os.WriteFile(d.DiskFile(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.DiskFile(), DiskSize); err != nil {
		t.Fatal(err)
	}
	d.open = func(_ string, write bool) (writer.Target, error) { return writer.Open(d.DiskFile(), write) }
	d.listenAgain()
	t.Cleanup(d.SwitchOff)
	line := func(key ssh.Signer) string {
		host, port, _ := net.SplitHostPort(d.Addr)
		return fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(key.PublicKey()))
	}
	d.writeFile("known_hosts", []byte(line(d.system)+line(d.waiting)))
	return d
}

// makeKey makes a key pair in the files NAME and NAME.pub.
func (d *Device) makeKey(name string) ssh.Signer {
	d.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, name)
	if err != nil {
		d.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		d.t.Fatal(err)
	}
	d.writeFile(name, pem.EncodeToMemory(block))
	d.writeFile(name+".pub", ssh.MarshalAuthorizedKey(signer.PublicKey()))
	return signer
}

func (d *Device) writeFile(name string, b []byte) {
	d.t.Helper()
	if err := os.WriteFile(d.Path(name), b, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// Path is a file of the test: login, system and initramfs (private keys), each with its .pub, known_hosts.
func (d *Device) Path(name string) string { return filepath.Join(d.dir, name) }

// DiskFile is the disk's content.
func (d *Device) DiskFile() string { return d.Path("disk") }

// Run is what the waiting initramfs has as /run/groundhog.
func (d *Device) Run() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Path(fmt.Sprint("run-", d.boots))
}

// Target names the device as a command line does.
func (d *Device) Target() string { return "root@" + d.Addr }

// WaitingKey is what its initramfs answers with.
func (d *Device) WaitingKey() ssh.PublicKey { return d.waiting.PublicKey() }

// On has the device answer a command, or a program, that has a word in it. The answer is an exit status, or one of the
// Command's endings.
func (d *Device) On(word string, do func(*Command) int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append([]commandAnswer{{word, do}}, d.answers...)
}

// Once is On for the first such command alone.
func (d *Device) Once(word string, do func(*Command) int) {
	var once sync.Once
	d.On(word, func(c *Command) int {
		exit := Pass
		once.Do(func() { exit = do(c) })
		return exit
	})
}

// OpenDisk has the writer's disk opened by a test.
func (d *Device) OpenDisk(open func(name string, write bool) (writer.Target, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = open
}

// Patience is how long the device's writer bears a client that says nothing.
func (d *Device) Patience(silent time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent = silent
}

// Direct has the device's writer let a client come by a direct line, too.
func (d *Device) Direct() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.direct = true
}

// Sessions is how many commands the device lets run at once on a connection (sshd_config(5), MaxSessions).
func (d *Device) Sessions(most int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sessions = most
}

// Fact changes a line of what a push finds on the running system.
func (d *Device) Fact(key, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.facts[key] = value
}

// Wait has the device wait in the initramfs of a build.
func (d *Device) Wait(build string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.initramfs, d.build = true, build
}

// Commands is what was asked of it so far.
func (d *Device) Commands() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.log...)
}

// Asked reports whether a command with that word in it came.
func (d *Device) Asked(word string) bool {
	for _, c := range d.Commands() {
		if strings.Contains(c, word) {
			return true
		}
	}
	return false
}

// Cut ends all connections.
func (d *Device) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		c.Close()
	}
}

// Unplug ends all connections, and resets those that are made until Plug: another process could take the port of a listener that is
// closed.
func (d *Device) Unplug() {
	d.mu.Lock()
	d.off = true
	d.mu.Unlock()
	d.Cut()
}

// Plug lets connections in again.
func (d *Device) Plug() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = false
}

// SwitchOff ends all connections and lets none in, for good.
func (d *Device) SwitchOff() {
	d.mu.Lock()
	l := d.listener
	d.listener = nil
	d.mu.Unlock()
	if l != nil {
		l.Close()
	}
	d.Cut()
}

// listenAgain lets connections in.
func (d *Device) listenAgain() {
	d.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	d.listener, d.Addr = l, l.Addr().String()
	go d.acceptClients(l)
}

// Reboot boots what is to be booted next. The memory that /run is in is gone.
func (d *Device) Reboot() {
	d.mu.Lock()
	d.boots++
	d.initramfs, d.next = d.next, false
	d.mu.Unlock()
	d.Cut()
}

// PowerCut is a reboot that leaves the same as before: an initramfs that is booted every time, with nothing of what it knew.
func (d *Device) PowerCut() {
	d.mu.Lock()
	d.boots++
	d.mu.Unlock()
	d.Cut()
}

// Now is what a device is.
type Now struct {
	On        bool // it lets connections in
	Initramfs bool
	Next      bool // a pushed archive is booted next
	Writing   bool // it says that its disk is neither old nor new
	Boots     int  // 1 at the beginning
}

// Now is what the device is at the moment.
func (d *Device) Now() Now {
	_, err := os.Stat(filepath.Join(d.Run(), "writing"))
	d.mu.Lock()
	defer d.mu.Unlock()
	return Now{On: d.listener != nil && !d.off, Initramfs: d.initramfs, Next: d.next, Writing: err == nil, Boots: d.boots}
}

// bootID is random(4)'s, another one at each boot. The caller holds mu.
func (d *Device) bootID() string { return fmt.Sprintf("461063a3-5c46-448c-84ca-%012d", d.boots) }
