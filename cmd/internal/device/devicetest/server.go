package devicetest

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/sshd"
)

func (d *Device) acceptClients(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		if d.off {
			d.mu.Unlock()
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
			continue
		}
		d.conns[c] = true
		key := d.system
		if d.initramfs {
			key = d.waiting
		}
		d.mu.Unlock()
		go func() {
			d.serveClient(c, key)
			d.mu.Lock()
			delete(d.conns, c)
			d.mu.Unlock()
		}()
	}
}

func (d *Device) serveClient(c net.Conn, key ssh.Signer) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, nil // who is let in is tested elsewhere
	}}
	config.AddHostKey(key)
	var now atomic.Int32 // sessions
	sshd.Serve(c, config, func(open ssh.NewChannel) {
		d.mu.Lock()
		most := d.sessions
		d.mu.Unlock()
		if most > 0 && int(now.Load()) >= most {
			open.Reject(ssh.Prohibited, "open failed")
			return
		}
		now.Add(1)
		go sshd.Session(open, func(channel ssh.Channel, command string) {
			defer now.Add(-1)
			switch exit := d.answerCommand(parseCommand(command, channel)); exit {
			case Gone:
				c.Close()
			case Rebooting:
				sshd.Exit(channel, 0)
				channel.Close()
				d.Reboot()
			case Killed:
				sshd.Signal(channel, "KILL")
			default:
				sshd.Exit(channel, exit)
			}
		})
	})
}

// answerCommand answers a command: as the test wants, or else as a device does.
func (d *Device) answerCommand(c *Command) int {
	d.mu.Lock()
	d.log = append(d.log, strings.TrimSpace(c.Text+" "+strings.Join(c.Args, " ")))
	var all []func(*Command) int
	for _, a := range d.answers {
		if strings.Contains(c.Text, a.word) {
			all = append(all, a.do)
		}
	}
	d.mu.Unlock()
	for _, do := range all {
		if exit := do(c); exit != Pass {
			return exit
		}
	}
	for _, a := range d.ownAnswers() {
		if strings.Contains(c.Text, a.word) {
			return a.do(c)
		}
	}
	fmt.Fprintf(c.Stderr, "devicetest: not a command of a device: %.60q\n", c.Text)
	return 127
}
