package devicetest

import (
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"
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
			c.Close()
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
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for open := range channels {
		if open.ChannelType() != "session" {
			open.Reject(ssh.UnknownChannelType, "")
			continue
		}
		if channel, requests, err := open.Accept(); err == nil {
			go d.runSession(c, channel, requests)
		}
	}
}

// runSession runs the command of an exec request (RFC 4254, 6.5 and 6.10).
func (d *Device) runSession(c net.Conn, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		switch exit := d.answerCommand(parseCommand(exec.Command, channel)); exit {
		case Gone:
			c.Close()
		case Rebooting:
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{}))
			channel.Close()
			d.Reboot()
		case Killed:
			channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal        string
				Dumped        bool
				Message, Lang string
			}{Signal: "KILL"}))
		default:
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(exit)}))
		}
		return
	}
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
