package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"groundhog/cmd/internal/sidefile"
	"groundhog/initrd/debian/dropbear"
)

// An Identity is a key that we hold.
type Identity struct {
	Key  ssh.PublicKey
	From string // its file, or "agent"
}

// heldIdentities is identities with what signs for them. closeAgent has to end its use.
type heldIdentities struct {
	signers []ssh.AlgorithmSigner
	ids     []Identity
	agent   net.Conn
	stop    func() bool
	trouble []string // what could not be used, with the reason
	allowed *agreedAlgorithms
}

func (h *heldIdentities) closeAgent() {
	if h.agent != nil {
		h.stop()
		h.agent.Close()
	}
}

// Identities says which keys would be tried for a target, without asking for
// a passphrase.
func Identities(ctx context.Context, target string, o Options) ([]Identity, error) {
	o = o.withDefaults()
	s, err := resolveTarget(ctx, target, o)
	if err != nil {
		return nil, err
	}
	h, err := s.holdIdentities(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	defer h.closeAgent()
	return h.ids, nil
}

// identityKey is a key of a file or of the agent; signer is nil where only the public half is here.
type identityKey struct {
	Identity
	signer ssh.AlgorithmSigner
	unused string // why the private half, which is here, is not used
}

// holdIdentities collects what we hold, in the order in which it is tried: a server lets only a few
// be tried (sshd_config(5), MaxAuthTries; dropbear any number), so what the user named comes first. Of two ways to sign
// with a key the agent's is taken: it asks nobody. Ending ctx frees whoever waits for the agent.
func (s *sshSettings) holdIdentities(ctx context.Context, o Options, ask func(string) ([]byte, error)) (*heldIdentities, error) {
	h := &heldIdentities{allowed: &s.algorithms}
	read := func(f string) (identityKey, error) {
		k, err := readKey(ctx, f, ask)
		if locked, ok := k.signer.(*lockedKey); ok {
			locked.tries, locked.batch = s.passphrases, s.batch
		}
		return k, err
	}
	var named, configured []identityKey
	var certs []certFile
	besideKey := func(f string) []certFile {
		if len(s.certificates) > 0 { // they are all, to ssh, too
			return nil
		}
		return []certFile{{f + "-cert.pub", false}}
	}
	for _, f := range s.certificates {
		certs = append(certs, certFile{f, true})
	}
	for _, f := range o.Identities {
		k, err := read(f)
		if err != nil {
			return nil, Unread(fmt.Errorf("reading identity %s: %w", f, err))
		}
		named, certs = append(named, k), append(certs, besideKey(f)...)
	}
	for _, f := range s.identities {
		k, err := read(f)
		if err == nil {
			configured, certs = append(configured, k), append(certs, besideKey(f)...)
		} else if !errors.Is(err, fs.ErrNotExist) {
			h.trouble = append(h.trouble, fmt.Sprintf("%s: %v", f, err))
		}
	}
	agents, err := h.fromAgent(ctx, s.agent, o.ConnectTimeout/2)
	if err != nil {
		h.trouble = append(h.trouble, fmt.Sprintf("agent: %v", err))
	}
	signing := slices.Concat(agents, named, configured)
	for _, k := range slices.Concat(h.userCertificates(certs, signing), named, keysInBoth(configured, agents)) {
		h.addKey(k, agents)
	}
	if !s.identitiesOnly {
		for _, k := range agents {
			h.addKey(k, nil)
		}
	}
	for _, k := range configured {
		h.addKey(k, agents)
	}
	if s.pkcs11 != "" {
		h.trouble = append(h.trouble, "the keys of PKCS11Provider "+s.pkcs11+": ssh-add -s gives them to the agent")
	}
	return h, nil
}

func (k identityKey) sameKey(other identityKey) bool {
	return string(k.Key.Marshal()) == string(other.Key.Marshal())
}

// keysInBoth are those keys of some that are among others, too.
func keysInBoth(some, others []identityKey) []identityKey {
	return slices.DeleteFunc(slices.Clone(some), func(k identityKey) bool { return !slices.ContainsFunc(others, k.sameKey) })
}

// addKey adds a key once, with the signer that the agent has for it, if it has one.
func (h *heldIdentities) addKey(k identityKey, agents []identityKey) {
	if i := slices.IndexFunc(agents, k.sameKey); i >= 0 {
		k = agents[i]
	}
	refused := h.allowed.loginRefused(k.Key)
	switch {
	case slices.ContainsFunc(h.ids, func(id Identity) bool { return k.sameKey(identityKey{Identity: id}) }):
	case k.signer == nil:
		h.trouble = append(h.trouble, k.From+": "+cmp.Or(k.unused, "only the public half is there")+", and the agent does not have the key")
	case refused != "":
		if why := k.From + ": " + refused; !slices.Contains(h.trouble, why) {
			h.trouble = append(h.trouble, why)
		}
	default:
		h.signers, h.ids = append(h.signers, k.signer), append(h.ids, k.Identity)
	}
}

// fromAgent lists the agent's keys. An agent that is gone, or says nothing for as long as limit, has none.
func (h *heldIdentities) fromAgent(ctx context.Context, socket string, limit time.Duration) ([]identityKey, error) {
	if socket == "" {
		return nil, nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	h.agent, h.stop = conn, context.AfterFunc(ctx, func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(limit))
	defer conn.SetDeadline(time.Time{})
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "agent: "))
	}
	var all []identityKey
	for _, signer := range signers {
		if s, ok := signer.(ssh.AlgorithmSigner); ok {
			all = append(all, identityKey{Identity: Identity{signer.PublicKey(), "agent"}, signer: s})
		}
	}
	return all, nil
}

// readKey reads a private key's file, or a public half whose other half the agent may have
// (ssh_config(5), IdentityFile). An encrypted one is opened only when a server wants it. As for ssh, a private key of ours that others may
// read is none; the agent may have it.
func readKey(ctx context.Context, name string, ask func(string) ([]byte, error)) (identityKey, error) {
	k, shared, err := readAnyKey(ctx, name, ask)
	if err == nil && k.signer != nil && shared != 0 { // ssh does not use it, either
		k.signer, k.unused = nil, fmt.Sprintf("others may read it (mode %#o; chmod 600 helps)", shared)
	}
	return k, err
}

// readAnyKey reads a key's file, whoever may read it; shared is its mode where others may.
func readAnyKey(ctx context.Context, name string, ask func(string) ([]byte, error)) (k identityKey, shared fs.FileMode, err error) {
	b, shared, err := readKeyFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if public, perr := publicHalf(name); perr == nil {
			return identityKey{Identity: Identity{public, name}}, 0, nil
		}
	}
	if err != nil {
		return identityKey{}, 0, err
	}
	if dropbear.IsDSS(b) {
		return identityKey{}, 0, errors.New("ssh-dss, which is too weak to be used")
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
		return identityKey{Identity: Identity{public, name}}, 0, nil
	}
	signer, err := ssh.ParsePrivateKey(b)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		public := locked.PublicKey
		if public == nil {
			if public, err = publicHalf(name); err != nil {
				return identityKey{}, 0, fmt.Errorf("encrypted, and no public half beside it: %w", err)
			}
		}
		return identityKey{Identity: Identity{public, name}, signer: &lockedKey{ctx: ctx, name: name, pem: b, public: public, ask: ask}}, shared, nil
	}
	if err != nil {
		if public, perr := publicHalf(name); perr == nil { // a key in a token (FIDO), for which the agent signs
			return identityKey{Identity: Identity{public, name}}, 0, nil
		}
		return identityKey{}, 0, errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
	}
	open, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return identityKey{}, 0, errors.New("not a key that can sign here")
	}
	return identityKey{Identity: Identity{signer.PublicKey(), name}, signer: open}, shared, nil
}

// CheckIdentity says what is wrong with the file of a key that somebody names; nil of one that can be tried. It asks for no passphrase.
func CheckIdentity(ctx context.Context, name string) error {
	k, err := readKey(ctx, name, nil)
	if err == nil && k.unused != "" {
		err = errors.New(k.unused)
	}
	if err != nil {
		return fmt.Errorf("reading identity %s: %w", name, err)
	}
	return nil
}

// publicHalf reads FILE.pub: the old PEM form hides the public key, too.
func publicHalf(name string) (ssh.PublicKey, error) {
	b, _, err := readKeyFile(name + ".pub")
	if err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	return public, err
}

// maxKeyFile bounds a key's file, in bytes: an RSA key of 16,384 bits has 13 KB.
const maxKeyFile = 1 << 20

// readKeyFile reads a key's file; shared is its mode if it is ours and others may read it, 0 otherwise.
func readKeyFile(name string) (b []byte, shared fs.FileMode, err error) {
	f, err := sidefile.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) == os.Getuid() && info.Mode().Perm()&0o077 != 0 {
		shared = info.Mode().Perm()
	}
	b, err = sidefile.ReadAll(f, maxKeyFile)
	return b, shared, err
}
