package device

import (
	"cmp"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options say how to reach a device. The zero value is what ssh(1) would do
// with strict host key checking.
type Options struct {
	Config     string   // ssh_config(5) file; "": the user's and the machine's; "none": no file
	User       string   // instead of the target's and the configuration's
	Port       string   // likewise: an initramfs need not listen where its system does
	Identities []string // private key files, tried before the agent's and the configuration's

	// Who the device must be. The first that is set decides alone; if none is,
	// the known_hosts files of the configuration, or ssh's own, do.
	Keys       []ssh.PublicKey // one of these, whatever its name and port
	HostKey    string          // the one with this fingerprint, "SHA256:..."
	KnownHosts []string        // only these files

	// Ask asks a person for a passphrase; nil where there is none to ask.
	Ask func(prompt string) ([]byte, error)

	// Bounds. A small board may compute for half a minute until it lets somebody in.
	ConnectTimeout time.Duration // until a connection stands, and again until its ssh server has said a word; ssh_config's, or 15 s
	LoginTimeout   time.Duration // of the key exchange, of the authentication, and of the first answer, each; 1 min
	IdleTimeout    time.Duration // of a command that neither says nor takes anything; 10 min (Patient)
	Keepalive      time.Duration // between two questions whether the device is there; 5 s
	Silence        time.Duration // after which it is not; 20 s

	waits bool // for a device, with a bound of its own
	hop   bool // it is a jump host on the way
	idles int  // how many IdleTimeouts a command may take as a whole; maxIdles, but for a test that waits for it
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.ConnectTimeout, 15*time.Second)
	set(&o.LoginTimeout, time.Minute)
	set(&o.IdleTimeout, 10*time.Minute)
	set(&o.Keepalive, 5*time.Second)
	set(&o.Silence, 20*time.Second)
	o.idles = cmp.Or(o.idles, maxIdles)
	return o
}

// isNoConfig reports whether the name of a configuration says that there is to be none, as ssh(1) has it.
func isNoConfig(name string) bool { return name == "none" || name == "/dev/null" }

// CheckFiles says what is wrong with a configuration and with files of host keys as [Options] has them: they cannot be read, or others may write to them.
func CheckFiles(config string, knownHosts []string) error {
	if config != "" && !isNoConfig(config) {
		f, err := openConfig(config)
		if err != nil {
			return err
		}
		f.Close()
	}
	_, err := readKnownHosts(knownHosts, true)
	return err
}

// Initramfs is o for the same device's waiting initramfs: its user is root, and
// only the keys that its archive promises will do.
func (o Options) Initramfs(keys []ssh.PublicKey) Options {
	o.User, o.Keys, o.HostKey, o.KnownHosts = "root", keys, "", nil
	return o
}

// OnPort is o for an initramfs that listens on that port, unless the target itself names one. 0 and 22 are no reason to depart from
// what the user's configuration says: a forwarded port may be there.
func (o Options) OnPort(target string, port uint16) Options {
	if t, err := ParseTarget(target); err == nil && t.Port == "" && port != 0 && port != 22 {
		o.Port = fmt.Sprint(port)
	}
	return o
}

// forHop is o for a jump host on the way: the device's own key, user and port are not the hop's, nor are the keys with which one logs in to the
// device. What ssh -J makes of itself gets no -i either.
func (o Options) forHop() Options {
	o.User, o.Port, o.Identities, o.Keys, o.HostKey, o.KnownHosts, o.hop = "", "", nil, nil, "", nil, true
	return o
}
