package patches

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"groundhog/initrd"
	"groundhog/initrd/debian"
	"groundhog/patches/sysroot"
)

// bundle is where Debian's curl looks for certificates.
const bundle = "etc/ssl/certs/ca-certificates.crt"

// curl adds curl, what it needs to look names up, and certificates.
func curl(t *Target) (string, error) {
	if !t.opts.Curl {
		return "", nil
	}
	if _, ok := t.Image.Resolve("bin/curl"); ok {
		return "in the archive already", t.certificates()
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
	if err := t.certificates(); err != nil {
		return "", err
	}
	certs := "and certificates"
	if _, ok := t.Image.Resolve(bundle); !ok {
		certs = "without certificates"
		t.note("no %s in the root tree: https will fail in the initramfs (--ca FILE gives some)", bundle)
	}
	return fmt.Sprintf("with %d libraries %s", libs, certs), nil
}

// certificates puts in those given, else the root tree's bundle, else the ones
// that the ca-certificates package would make it from.
func (t *Target) certificates() error {
	pem := t.opts.CA
	if pem == nil {
		if _, ok := t.Image.Resolve(bundle); ok {
			return nil
		}
		var err error
		if pem, err = t.optional(bundle); err != nil {
			return err
		}
	}
	if pem == nil {
		var err error
		if pem, err = t.packagedCertificates(); err != nil || pem == nil {
			return err
		}
	}
	return t.generated(bundle, pem)
}

// packagedCertificates joins the certificates that the ca-certificates package
// ships: in a tree of .debs nobody has run update-ca-certificates.
func (t *Target) packagedCertificates() ([]byte, error) {
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

// tools adds the further programs, each where the root tree has it.
func tools(t *Target) (string, error) {
	var names []string
	for _, tool := range t.opts.Tools {
		src, err := t.findTool(tool)
		if err != nil {
			return "", err
		}
		dst := debian.MergedUsr(src)
		if err := t.notBusybox(src, dst); err != nil {
			return "", err
		}
		if _, err := t.copyExec(src, dst); err != nil {
			return "", err
		}
		names = append(names, path.Base(src))
	}
	return strings.Join(names, ", "), nil
}

// notBusybox puts the program src over dst where that is one of busybox's
// names, as Debian's hooks do, which run before busybox's own.
func (t *Target) notBusybox(src, dst string) error {
	box, ok := t.Image.Resolve("bin/busybox")
	at, there := t.Image.Resolve(dst)
	if !ok || !there || path.Base(src) == "busybox" {
		return nil
	}
	e, b := t.Image.Lookup(at), t.Image.Lookup(box)
	if at != box && (e.LinkID() == nil || e.LinkID() != b.LinkID()) {
		return nil
	}
	real, err := sysroot.Resolve(t.Root, src)
	if err != nil {
		return err
	}
	data, err := fs.ReadFile(t.Root, real)
	if err != nil {
		return err
	}
	return t.put(dst, initrd.TypeFile|0o755, data)
}

// findTool finds a program by its path, or by its name where PATH would.
func (t *Target) findTool(tool string) (string, error) {
	if strings.Contains(tool, "/") {
		return t.find(strings.TrimLeft(path.Clean(tool), "/"))
	}
	var names []string
	for _, dir := range []string{"usr/sbin", "usr/bin", "sbin", "bin"} {
		names = append(names, path.Join(dir, tool))
	}
	found, err := t.find(names...)
	if _, missing := errors.AsType[*sysroot.NotFound](err); missing {
		return "", &sysroot.NotFound{Name: tool, Layers: t.Layers}
	}
	return found, err
}
