package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/screen"
	"groundhog/initrd/show"
)

// remoteFlags is the flags that say how to reach devices.
type remoteFlags struct {
	ssh      device.Options
	parallel int
	json     bool

	screen *screen.Screen // where a person looks on; nil: nobody does
}

func (o *remoteFlags) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&o.ssh.Identities, "identity", "i", nil, "log in with the private key in `FILE` (repeatable)")
	f.StringVar(&o.ssh.HostKey, "host-key", "", "take the host key with this fingerprint, `SHA256:...`, and no other")
	f.StringArrayVar(&o.ssh.KnownHosts, "known-hosts", nil, "look for host keys in `FILE` alone (repeatable)")
	f.StringVar(&o.ssh.Config, "ssh-config", "", "read `FILE` in place of ~/.ssh/config; none reads none")
	f.DurationVar(&o.ssh.ConnectTimeout, "connect-timeout", 0, "how long a connection, and its server's first word, may take (default ssh_config's ConnectTimeout, or 15s)")
	f.DurationVar(&o.ssh.LoginTimeout, "login-timeout", time.Minute, "how long the key exchange, the authentication and the first answer may take, each")
	f.DurationVar(&o.ssh.IdleTimeout, "command-timeout", 10*time.Minute, "how long a command on the device may neither say nor take anything")
	f.IntVar(&o.parallel, "parallel", 4, "at most `N` devices at once")
	f.BoolVar(&o.json, "json", false, "report as JSON, one event a line")
}

// askingTerminal is the terminal while somebody is asked for a passphrase.
var askingTerminal struct {
	sync.Mutex
	before *term.State // of the echo, for an end in between
}

// passphraseAsker asks for a passphrase on the terminal, once what was said before stands there; nil where there is none.
func (o *remoteFlags) passphraseAsker(said func()) func(string) ([]byte, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil
	}
	askingTerminal.before, _ = term.GetState(fd)
	return func(prompt string) ([]byte, error) {
		askingTerminal.Lock()
		defer askingTerminal.Unlock()
		said()
		if o.screen != nil {
			defer o.screen.Quiet()()
		}
		defer fmt.Fprintln(os.Stderr)
		return screen.ReadSecret(fd, func() { fmt.Fprint(os.Stderr, show.Printable(prompt)) })
	}
}

// restoreEcho puts the terminal back: a question that Ctrl-C ended left it without echo.
func restoreEcho() {
	if askingTerminal.before != nil {
		term.Restore(int(os.Stdin.Fd()), askingTerminal.before)
	}
}
