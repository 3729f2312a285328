package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/confine"
	"groundhog/cmd/internal/flash/image/table"
)

// ErrNoHostKey is in errors that say why an image tells none: there may be no key in it before its first boot, or in a
// filesystem that cannot be read here.
var ErrNoHostKey = errors.New("no host key can be read from the image")

// sshHostKeys is where sshd has its public keys (sshd_config(5), HostKey), and which types they may have.
var sshHostKeys = []struct {
	name  string
	types []string
}{
	{"/etc/ssh/ssh_host_ed25519_key.pub", []string{ssh.KeyAlgoED25519}},
	{"/etc/ssh/ssh_host_ecdsa_key.pub", []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}},
	{"/etc/ssh/ssh_host_rsa_key.pub", []string{ssh.KeyAlgoRSA}},
}

// Bounds: an image may be anybody's.
const (
	maxKey         = 16 << 10 // bytes of a file; RSA with 16384 bits has 2,800
	maxFilesystems = 16       // that are looked into
	maxReading     = 10 * time.Second
)

// foundKeys is the host keys, once they were found.
type foundKeys struct {
	mu  sync.Mutex
	all []ssh.PublicKey
}

// HostKeys is the host keys of the systems in the image, as they are in each ext2, ext3 or ext4 filesystem of it: each
// key once, ed25519 before ecdsa before rsa, partition by partition. It decodes the image to its end, and reads it with debugfs(8), which needs
// no root and follows no link out of the filesystem, once for all devices. The error is [ErrNoHostKey], with the reason, where
// nothing is wrong but that there is none.
func (i *Image) HostKeys(ctx context.Context) ([]ssh.PublicKey, error) {
	if err := i.Walk(ctx, func(int64) bool { return false }, nil); err != nil {
		return nil, err
	}
	i.keys.mu.Lock()
	defer i.keys.mu.Unlock()
	if len(i.keys.all) > 0 {
		return i.keys.all, nil
	}
	f, err := i.decodedFile()
	if err != nil {
		return nil, err
	}
	keys, reasons, err := readHostKeys(ctx, f)
	if err == nil { // nothing has held what was read against the chunks
		err = i.checkUnchanged(ctx)
	}
	switch {
	case err != nil:
		return nil, err
	case len(keys) > 0:
		i.keys.all = keys
		return keys, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoHostKey, strings.Join(reasons, "; "))
}

// readHostKeys reads them from a raw image; the reasons are for those that it does not have.
func readHostKeys(ctx context.Context, image *os.File) (keys []ssh.PublicKey, reasons []string, err error) {
	debugfs, err := sbinTool("debugfs")
	if err != nil {
		return nil, []string{"debugfs is not installed (package e2fsprogs)"}, nil
	}
	all, err := partitionsOf(image)
	if err != nil {
		return nil, []string{err.Error()}, nil
	}
	looked := map[int64]bool{}
	for _, p := range all {
		kind, err := filesystemAt(image, p.Start)
		switch {
		case err != nil:
			return nil, nil, err
		case kind == "", looked[p.Start]:
		case kind != "ext":
			reasons = append(reasons, fmt.Sprintf("%s is %s, of which nothing can be read here", partitionWhere(p), kind))
		case len(looked) < maxFilesystems:
			looked[p.Start] = true
			found, reason, err := keysAt(ctx, debugfs, image, p.Start)
			if err != nil {
				return nil, nil, err
			}
			if reason != "" {
				reasons = append(reasons, partitionWhere(p)+" "+reason)
			}
			for _, k := range found {
				if !slices.ContainsFunc(keys, func(have ssh.PublicKey) bool { return bytes.Equal(have.Marshal(), k.Marshal()) }) {
					keys = append(keys, k)
				}
			}
		}
	}
	if len(reasons) == 0 {
		reasons = []string{"it has no filesystem that is known here"}
	}
	return keys, reasons, nil
}

// partitionsOf is an image's partitions; one that has no table is one itself.
func partitionsOf(image *os.File) ([]table.Partition, error) {
	all, err := table.Partitions(image)
	if errors.Is(err, table.ErrNone) {
		return []table.Partition{{}}, nil
	}
	return all, err
}

func partitionWhere(p table.Partition) string {
	if p.N == 0 {
		return "the image"
	}
	return fmt.Sprintf("partition %d", p.N)
}

// keysAt is the host keys in the filesystem at off, and why there are none or not all.
func keysAt(ctx context.Context, debugfs string, image *os.File, off int64) (keys []ssh.PublicKey, reason string, err error) {
	reason = "has none in /etc/ssh"
	for _, k := range sshHostKeys {
		b, err := catFile(ctx, debugfs, image, off, k.name, maxKey, maxReading)
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		if err != nil {
			reason = fmt.Sprintf("cannot be read: %v", err)
			continue
		}
		if len(b) == 0 {
			continue
		}
		key, _, options, rest, err := ssh.ParseAuthorizedKey(b)
		if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 || !slices.Contains(k.types, key.Type()) {
			reason = fmt.Sprintf("has a %s that is no such key", k.name) // never its content: it is anybody's
			continue
		}
		keys = append(keys, key)
	}
	return keys, reason, nil
}

// catFile is a file's content, at most most bytes; none where there is no file, or a link.
func catFile(ctx context.Context, debugfs string, image *os.File, off int64, name string, most int, patience time.Duration) ([]byte, error) {
	return askDebugfs(ctx, debugfs, image, off, "cat", name, most, patience)
}

// askDebugfs is what debugfs says to a request about a file. The name is a word to it, which has quotes: none that needs some may come here.
func askDebugfs(ctx context.Context, debugfs string, image *os.File, off int64, request, name string, most int, patience time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, said := boundedBytes{left: most}, boundedBytes{left: maxKey}
	// The image may have no name any more. -c reads a filesystem that was not unmounted, too.
	setup := func(c *exec.Cmd) {
		c.ExtraFiles, c.Stdout, c.Stderr = []*os.File{image}, &out, &said
		c.Env = append(os.Environ(), "LC_ALL=C")
	}
	err := confine.Run(ctx, setup, debugfs, "-c", "-R", request+" "+name, fmt.Sprintf("/proc/self/fd/3?offset=%d", off))
	switch {
	case out.left < 0:
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("debugfs has taken more than %s", patience)
	case err != nil:
		_, why, _ := strings.Cut(string(said.b), "\n") // the first line is debugfs's version
		return nil, fmt.Errorf("debugfs: %w: %.200q", err, why)
	}
	return out.b, nil
}

// boundedBytes keeps so many bytes; one more is an error, which ends the program that writes.
type boundedBytes struct {
	b    []byte // no bytes.Buffer: io.Copy would use its ReadFrom, which has no bound
	left int
}

func (b *boundedBytes) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrShortWrite
	}
	b.b = append(b.b, p...)
	return len(p), nil
}

// sbinDirs is where administrators' tools are, which is not in everybody's PATH.
var sbinDirs = []string{"/usr/sbin", "/sbin"}

func sbinTool(tool string) (string, error) {
	path, err := exec.LookPath(tool)
	for _, dir := range sbinDirs {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, tool))
	}
	return path, err
}
