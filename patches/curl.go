package patches

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// certBundle is where Debian's curl looks for certificates.
const certBundle = "etc/ssl/certs/ca-certificates.crt"

// addCurl adds curl, what it needs to look names up, and certificates.
func (t *Archive) addCurl() (string, error) {
	if !t.opts.Curl {
		return "", nil
	}
	if _, ok := t.Image.Resolve("bin/curl"); ok {
		return "in the archive already", t.addCertificates()
	}
	libs, err := t.copyExec("usr/bin/curl", "bin/curl")
	if err != nil {
		return "", err
	}
	if t.version.NeedsNSSDNS {
		for _, so := range []string{"libnss_dns.so.2", "libnss_files.so.2"} {
			if err := t.copyNSS(so); err != nil {
				return "", err
			}
		}
	}
	if err := t.addCertificates(); err != nil {
		return "", err
	}
	certs := "and certificates"
	if _, ok := t.Image.Resolve(certBundle); !ok {
		certs = "without certificates"
		t.addNote("no %s in the root tree: https will fail in the initramfs (--ca FILE gives some)", certBundle)
	}
	return fmt.Sprintf("with %d libraries %s", libs, certs), nil
}

// addCertificates puts in those given, else the root tree's bundle, else the ones
// that the ca-certificates package would make it from.
func (t *Archive) addCertificates() error {
	pem := t.opts.CA
	if pem == nil {
		if _, ok := t.Image.Resolve(certBundle); ok {
			return nil
		}
		var err error
		if pem, err = t.readOptional(certBundle); err != nil {
			return err
		}
	}
	if pem == nil {
		var err error
		if pem, err = t.packagedCertificates(); err != nil || pem == nil {
			return err
		}
	}
	return t.putGenerated(certBundle, pem)
}

// packagedCertificates joins the certificates that the ca-certificates package
// ships: in a tree of .debs nobody has run update-ca-certificates.
func (t *editTarget) packagedCertificates() ([]byte, error) {
	const dir = "usr/share/ca-certificates/mozilla"
	if t.Root == nil {
		return nil, nil
	}
	list, err := fs.ReadDir(t.Root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var all []byte
	for _, e := range list {
		if path.Ext(e.Name()) != ".crt" {
			continue
		}
		b, err := fs.ReadFile(t.Root, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

// hookCurl has the hook copy curl and what it looks names up with; certificates
// are our own hook's part.
func (t *Tree) hookCurl() (string, error) {
	if !t.opts.Curl {
		return "", nil
	}
	if err := t.needFile("usr/bin/curl", "curl"); err != nil {
		return "", err
	}
	found, err := t.findProgram("usr/bin/curl")
	if err != nil {
		return "", err
	}
	t.copyExec(found, "/bin")
	t.added = append(t.added, "usr/bin/curl")
	if t.version.NeedsNSSDNS {
		arch, err := sysroot.Arch(t.Root)
		if err != nil {
			return "", err
		}
		var names []string
		machine, _ := debian.MachineNamed(arch)
		for _, dir := range []string{"usr/lib/", "lib/"} {
			names = append(names, dir+machine.Triplet+"/libnss_dns.so.2")
		}
		if found, err = t.findInTree(names...); err != nil {
			return "", fmt.Errorf("%w: without it curl cannot look names up", err)
		}
		t.copyExec(found, "")
		t.added = append(t.added, debian.MergedUsr(found))
	}
	return t.hookCertificates()
}

func (t *Tree) hookCertificates() (string, error) {
	t.added = append(t.added, certBundle)
	if t.opts.CA != nil {
		return "with its libraries and the given certificates", t.putOwn(ownDir+"/ca.pem", 0o644, t.opts.CA)
	}
	pem, err := t.readOptional(certBundle)
	if err != nil {
		return "", err
	}
	if len(pem) == 0 {
		t.added = t.added[:len(t.added)-1]
		t.addNote("no %s in the root tree: https will fail in the initramfs (install ca-certificates there, or --ca FILE gives some)", certBundle)
		return "with its libraries, without certificates", nil
	}
	return "with its libraries and certificates", nil
}
