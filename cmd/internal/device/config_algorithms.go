package device

import (
	"crypto/rsa"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/hint"
)

// algorithmOptions are the options whose value is a list of algorithms. ssh -G says what holds, and not whether somebody has set it; what is
// its own default is left out of its answer (askSSH), so that ours holds: the two libraries do not have the same ones.
var algorithmOptions = []string{"kexalgorithms", "ciphers", "macs", "hostkeyalgorithms", "pubkeyacceptedalgorithms", "casignaturealgorithms"}

// usualRSABits is how long RSA keys are at least where no RequiredRSASize says otherwise (ssh_config(5)).
const usualRSABits = 1024

// readAlgorithms reads what the two sides may agree upon. A list that leaves us nothing is refused.
func (s *sshSettings) readAlgorithms(a configAnswers) (err error) {
	good, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	list := func(option string, known ...[]string) []string {
		v := a.firstValue(strings.ToLower(option))
		if v == "" || err != nil {
			return nil
		}
		all := slices.Concat(known...)
		ours := slices.DeleteFunc(strings.Split(v, ","), func(name string) bool { return !slices.Contains(all, name) })
		if len(ours) == 0 {
			err = hint.To(refusedOption{option, v, "groundhog has none of these"}, "it has "+strings.Join(known[0], " "))
		}
		return ours
	}
	g := &s.algorithms
	g.kex = list("KexAlgorithms", good.KeyExchanges, weak.KeyExchanges, []string{"curve25519-sha256@libssh.org"}) // the other name of curve25519-sha256
	g.ciphers = list("Ciphers", good.Ciphers, weak.Ciphers)
	g.macs = list("MACs", good.MACs, weak.MACs)
	var provable []string
	for _, f := range keyFamilies {
		provable = slices.Concat(provable, f.certified, f.algorithms)
	}
	g.hostKey = list("HostKeyAlgorithms", provable, []string{ssh.KeyAlgoRSA})
	g.login = list("PubkeyAcceptedAlgorithms", loginAlgorithms(), []string{ssh.KeyAlgoRSA, ssh.CertAlgoRSAv01})
	g.authority = list("CASignatureAlgorithms", good.PublicKeyAuths)
	if err != nil {
		return err
	}
	if g.rsaBits, err = a.wholeNumber("RequiredRSASize", usualRSABits); err != nil {
		return err
	}
	if v, _, _ := strings.Cut(a.firstValue("rekeylimit"), " "); v != "" {
		if g.rekey, err = strconv.ParseUint(v, 10, 63); err != nil {
			return fmt.Errorf("the configuration's RekeyLimit %q is no number of bytes", v)
		}
	}
	return nil
}

// loginAlgorithms are those with which we prove our keys, and the certificates for them.
func loginAlgorithms() []string {
	return append(ssh.SupportedAlgorithms().PublicKeyAuths, ssh.CertAlgoED25519v01, ssh.CertAlgoSKED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01,
		ssh.CertAlgoECDSA521v01, ssh.CertAlgoSKECDSA256v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
}

// loginRefused says why a key of ours may not be offered; "" if it may.
func (g *agreedAlgorithms) loginRefused(key ssh.PublicKey) string {
	if bits := rsaBits(key); bits > 0 && bits < g.rsaBits {
		return fmt.Sprintf("it has %d bits, and RequiredRSASize is %d", bits, g.rsaBits)
	}
	if g.login != nil && len(g.loginAlgorithmsOf(key)) == 0 {
		return "PubkeyAcceptedAlgorithms leaves out " + key.Type()
	}
	return ""
}

// loginAlgorithmsOf are the set ones with which a key, or a certificate, can be proven.
func (g *agreedAlgorithms) loginAlgorithmsOf(key ssh.PublicKey) []string {
	names := []string{key.Type()}
	switch key.Type() {
	case ssh.KeyAlgoRSA:
		names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
	case ssh.CertAlgoRSAv01:
		names = []string{ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSAv01}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(g.login, name) })
}

// restrictRSA is a signer that signs with the set algorithms alone, of which an RSA key has several.
func (g *agreedAlgorithms) restrictRSA(s ssh.AlgorithmSigner) ssh.Signer {
	if g.login == nil || rsaBits(s.PublicKey()) == 0 {
		return s
	}
	names := g.loginAlgorithmsOf(s.PublicKey())
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], "-cert-v01@openssh.com")
	}
	only, err := ssh.NewSignerWithAlgorithms(s, names)
	if err != nil { // never, of RSA's three
		return s
	}
	return only
}

// rsaBits is the length of an RSA key, or of the one that a certificate is for; 0 of any other.
func rsaBits(key ssh.PublicKey) int {
	key, _ = withoutCertificate(key)
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen()
		}
	}
	return 0
}

// allowedTries are the tries of a verdict without the algorithms that the configuration leaves out, in its order.
func (g *agreedAlgorithms) allowedTries(tries [][]string) ([][]string, error) {
	if g.hostKey == nil {
		return tries, nil
	}
	var left [][]string
	for _, try := range tries {
		only := slices.DeleteFunc(slices.Clone(g.hostKey), func(name string) bool { return !slices.Contains(try, name) })
		if len(only) > 0 {
			left = append(left, only)
		}
	}
	if len(left) == 0 {
		return nil, hint.To(fmt.Errorf("%w: the configuration's HostKeyAlgorithms %s leaves out those of the keys that are known", ErrHostKey, strings.Join(g.hostKey, ",")),
			"known are "+strings.Join(slices.Concat(tries...), " "))
	}
	return left, nil
}
