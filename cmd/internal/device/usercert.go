package device

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/sidefile"
)

// certFile is a user's certificate that is to be looked for.
type certFile struct {
	name  string
	asked bool // by CertificateFile; the others are beside a key (FILE-cert.pub) and need not exist
}

// userCertificates are the users' certificates (ssh-keygen(1), "CERTIFICATES") that we can sign for: those in CertificateFile
// or, where there are none, the one beside each key. They are tried before plain keys, as ssh does; a device that does not know their
// authority says no to them and yes to the key.
func (h *heldIdentities) userCertificates(files []certFile, keys []identityKey) (all []identityKey) {
	for _, f := range files {
		k, err := readCertificate(f.name, keys)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !f.asked:
		case err != nil:
			h.trouble = append(h.trouble, fmt.Sprintf("%s: %v", f.name, err))
		default:
			all = append(all, k)
		}
	}
	return all
}

// readCertificate reads one, and finds who signs for it.
func readCertificate(name string, keys []identityKey) (identityKey, error) {
	f, err := sidefile.Open(name)
	if err != nil {
		return identityKey{}, err
	}
	defer f.Close()
	b, err := sidefile.ReadAll(f, maxKeyFile)
	if err != nil {
		return identityKey{}, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(b)
	if err != nil {
		return identityKey{}, errors.New("no certificate")
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok || cert.CertType != ssh.UserCert {
		return identityKey{}, errors.New("no user's certificate")
	}
	for _, k := range keys {
		if k.signer == nil || !sameKey(k.Key, cert.Key) {
			continue
		}
		signer, err := ssh.NewCertSigner(cert, k.signer)
		if err != nil {
			return identityKey{}, err
		}
		if s, ok := signer.(ssh.AlgorithmSigner); ok {
			return identityKey{Identity: Identity{cert, name}, signer: s}, nil
		}
	}
	return identityKey{}, errors.New("nobody here has the key that it is for")
}
