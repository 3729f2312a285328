package reflash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"groundhog/cmd/internal/push"
	"groundhog/initrd"
	"groundhog/patches/scripts"
)

// ownIP is a file that /init sources before it reads the command line, which has the last word
// (initramfs-tools(7), ip=).
const ownIP = "conf/conf.d/groundhog-device"

// ownFor appends a small segment with what only this device needs: one archive serves every
// device, and its own bytes stay as they were signed and recorded.
func (a *Archive) ownFor(p push.Personal) (*ownArchive, error) {
	if p == (push.Personal{}) {
		return a.wholeArchive(), nil
	}
	var segment bytes.Buffer
	if err := a.writePersonal(&segment, p); err != nil {
		return nil, fmt.Errorf("making the device's own segment: %w", err)
	}
	whole, err := a.wholeArchive().open()
	if err != nil {
		return nil, err
	}
	defer whole.Close()
	var all bytes.Buffer
	if _, err := all.ReadFrom(io.LimitReader(whole, a.Size+1)); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(all.Bytes()); hex.EncodeToString(sum[:]) != a.SHA256 {
		return nil, fmt.Errorf("%s changed while it was read", a.Path)
	}
	for all.Len()%4 != 0 { // the kernel looks for the next segment on a 4-byte boundary
		all.WriteByte(0)
	}
	all.Write(segment.Bytes())
	sum := sha256.Sum256(all.Bytes())
	return &ownArchive{int64(all.Len()), hex.EncodeToString(sum[:]), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(all.Bytes())), nil }}, nil
}

// writePersonal writes the segment: an archive of its own, plain.
func (a *Archive) writePersonal(w io.Writer, p push.Personal) error {
	var entries []initrd.Entry
	dir := func(name string) {
		entries = append(entries, initrd.Entry{Name: name, Mode: initrd.TypeDir | 0o755, Nlink: 2})
	}
	file := func(name, text string) {
		entries = append(entries, initrd.Entry{Name: name, Mode: initrd.TypeFile | 0o600, Nlink: 1, Data: []byte(text)})
	}
	if ip := p.IP(); ip != "" {
		dir("conf")
		dir("conf/conf.d")
		file(ownIP, "IP="+ip+"\n")
	}
	if p.MAC != (push.MAC{}) {
		at, ok := a.Image.Resolve(scripts.Conf)
		if !ok {
			return errors.New("the archive has no " + scripts.Conf)
		}
		b, err := a.Image.ReadFile(at)
		if err != nil {
			return err
		}
		file(at, setMAC(string(b), p.MAC.String()))
	}
	img, err := initrd.New(initrd.None, entries...)
	if err != nil {
		return err
	}
	_, err = img.WriteTo(w)
	return err
}

// setMAC sets GROUNDHOG_MAC, unless whoever built the archive has set it.
func setMAC(conf, mac string) string {
	var b strings.Builder
	found := false
	for line := range strings.Lines(conf) {
		if value, ok := strings.CutPrefix(line, "GROUNDHOG_MAC="); ok {
			found = true
			if strings.Trim(strings.TrimSpace(value), `'"`) == "keep" {
				line = "GROUNDHOG_MAC=" + mac + "\n"
			}
		}
		b.WriteString(line)
	}
	if !found {
		b.WriteString("GROUNDHOG_MAC=" + mac + "\n")
	}
	return b.String()
}
