package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/image/sums"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/home"
	"groundhog/cmd/internal/sidefile"
)

// recordSchema is the version of a record's JSON.
const recordSchema = 1

// Record is what push learned of a device, kept on our side: how it is reached, which disk is its system's,
// who it is before and after a reboot.
type Record struct {
	Schema    int           `json:"schema"`
	Target    string        `json:"target"` // as given
	User      string        `json:"user"`   // as resolved, like Host and Port
	Host      string        `json:"host"`
	Port      string        `json:"port"`
	HostName  string        `json:"hostname,omitzero"` // what the device calls itself
	Interface string        `json:"interface,omitzero"`
	MAC       string        `json:"mac,omitzero"`
	Address   string        `json:"address,omitzero"` // with its prefix, "192.0.2.7/24"
	BootID    string        `json:"boot_id"`          // when it was pushed to
	HostKeys  []string      `json:"host_keys"`        // of the running system, as in authorized_keys(5)
	Disk      disk.Identity `json:"disk,omitzero"`    // that carries /
	Who       Who           `json:"who,omitzero"`     // its hardware
	Archive   Pushed        `json:"archive"`
	Via       string        `json:"via,omitzero"`      // the way in that was seen to work last, where it is not the ordinary one: "kexec", "oneshot"
	Firmware  []string      `json:"firmware,omitzero"` // the layouts of images with which it has come up by its firmware
}

// Pushed is the archive that the device has.
type Pushed struct {
	Path   string `json:"path"`   // absolute, on our side
	SHA256 string `json:"sha256"` // of that file
	Sent   string `json:"sent"`   // of what is on the device: the file and the device's own segment
	Build  string `json:"build"`
	Port   uint16 `json:"port,omitzero"` // that its dropbear listens on
}

// SetHostKey notes the key that the running system showed.
func (r *Record) SetHostKey(key ssh.PublicKey) {
	r.HostKeys = []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))}
}

// StateDir is where groundhog keeps what it knows of devices: $XDG_STATE_HOME/groundhog (XDG Base Directory
// Specification), else below ~/.local/state.
func StateDir() (string, error) {
	base, err := home.State()
	return filepath.Join(base, "groundhog"), err
}

// recordPath is where a target's record is: devices, in the [StateDir].
func recordPath(target string) (string, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return "", err
	}
	base, err := StateDir()
	if err != nil {
		return "", err
	}
	// One device, whoever logs in. A host's characters are fit for a file name (validHost).
	name := strings.ToLower(t.Host)
	if t.Port != "" && t.Port != "22" {
		name = net.JoinHostPort(name, t.Port)
	}
	return filepath.Join(base, "devices", name+".json"), nil
}

// RecordPath is where a target's record is, "" for what is no target.
func RecordPath(target string) string {
	path, _ := recordPath(target)
	return path
}

// maxRecord bounds a record's file.
const maxRecord = 1 << 20

// ReadRecord reads what is known of a target; the error is fs.ErrNotExist where nothing is.
func ReadRecord(target string) (*Record, error) {
	path, err := recordPath(target)
	if err != nil {
		return nil, err
	}
	f, err := sidefile.OpenHere(path)
	if err != nil {
		return nil, fmt.Errorf("reading what is known of %s: %w", target, err)
	}
	defer f.Close()
	var b []byte
	if err = sidefile.Believe(f, sidefile.Nobody); err == nil {
		b, err = sidefile.ReadAll(f, maxRecord)
	}
	r := new(Record)
	if err == nil {
		err = json.Unmarshal(b, r)
	}
	if err == nil && r.Schema != recordSchema {
		err = fmt.Errorf("schema %d: not %d", r.Schema, recordSchema)
	}
	if err == nil {
		err = r.checkRecord()
	}
	if err != nil {
		return nil, hint.To(fmt.Errorf("reading %s: %w", path, err), "another groundhog push writes it anew")
	}
	return r, nil
}

// maxLayouts bounds the layouts of images: there are a few loaders, in a few kinds of filesystems and tables.
const maxLayouts = 100

// checkRecord refuses what push does not write: somebody, or a broken disk, has changed the file.
func (r *Record) checkRecord() error {
	if r.Disk != (disk.Identity{}) {
		if err := r.Disk.Check(); err != nil {
			return err
		}
	}
	switch {
	case !validHost(r.Host), !validPort(r.Port), !validUser(r.User):
		return fmt.Errorf("%q is no device", Target{r.User, r.Host, r.Port})
	case !bootID.MatchString(r.BootID):
		return fmt.Errorf("%.40q is no boot id", r.BootID)
	case r.Archive.SHA256 != "" && !sums.Is(r.Archive.SHA256), !buildID.MatchString(r.Archive.Build):
		return errors.New("what it says of the archive is not what push writes")
	}
	if len(r.Firmware) > maxLayouts || slices.ContainsFunc(r.Firmware, func(l string) bool { return l == "" || len(l) > 200 }) {
		return errors.New("what it says of the firmware is not what reflash writes")
	}
	for _, text := range r.HostKeys {
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text)); err != nil {
			return fmt.Errorf("%.80q is no host key", text)
		}
	}
	return nil
}

var buildID = regexp.MustCompile(`^[0-9A-Za-z._-]{0,128}$`)

// CheckKept says why a target's record could not be written; nil where nothing stands against that. It writes nothing.
func CheckKept(target string) error {
	path, err := recordPath(target)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	for {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir) // it is made
	}
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s: not a directory", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("writing to %s: %w", dir, err)
	}
	return nil
}

// Save writes the record, whole or not at all, and returns where it is.
func (r *Record) Save() (string, error) {
	path, err := recordPath(r.Target)
	if err != nil {
		return "", err
	}
	r.Schema = recordSchema
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer dir.Close()
	err = sidefile.Replace(dir, filepath.Base(path), func(f *os.File) error {
		_, err := f.Write(append(b, '\n'))
		return errors.Join(err, f.Sync())
	})
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return path, nil
}
