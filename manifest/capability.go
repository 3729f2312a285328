package manifest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
)

// What a program may do beyond its user is in an extended attribute of its file, security.capability (capabilities(7)). Its forms
// are those of linux/capability.h; the text of them is what getcap(8) of libcap prints, but that getcap takes as names those that the
// running kernel has, and ours are the same on any machine.

// capabilityNames are the capabilities by number, as of Linux 5.9.
var capabilityNames = [...]string{"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid", "cap_setuid",
	"cap_setpcap", "cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast", "cap_net_admin", "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner",
	"cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice",
	"cap_sys_resource", "cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write", "cap_audit_control", "cap_setfcap",
	"cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm", "cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf",
	"cap_checkpoint_restore"}

// maxCapabilities is how many a set has room for.
const maxCapabilities = 64

// fileCapabilities are those of a file: which a program has, which it may take over from who runs it, and whether it has them
// in force from its start, all or none.
type fileCapabilities struct {
	permitted, inheritable uint64
	effective              bool
	rootID                 uint32 // root of the user namespaces in which they count; 0: they count everywhere
}

// capabilityForms are the revisions of the attribute: each begins with a number that has the revision in its highest byte.
var capabilityForms = map[byte]struct {
	size, words int // bytes of the whole; 32 bits of either set
	rootID      bool
}{1: {12, 1, false}, 2: {20, 2, false}, 3: {24, 2, true}}

// parseCapabilities reads the attribute. What the kernel takes for no capabilities is an error, which says what is wrong.
func parseCapabilities(b []byte) (c fileCapabilities, err error) {
	if len(b) < 4 {
		return c, fmt.Errorf("%d bytes, which is no revision's size", len(b))
	}
	const effective = 1
	head := binary.LittleEndian.Uint32(b)
	revision, flags := byte(head>>24), head&0xffffff
	form, known := capabilityForms[revision]
	switch {
	case !known:
		return c, fmt.Errorf("revision %d is not known", revision)
	case len(b) != form.size:
		return c, fmt.Errorf("%d bytes, and revision %d has %d", len(b), revision, form.size)
	case flags&^effective != 0:
		return c, fmt.Errorf("flags %#x are not known", flags)
	}
	c.effective = flags != 0
	b = b[4:]
	for i := range form.words {
		c.permitted |= uint64(binary.LittleEndian.Uint32(b[8*i:])) << (32 * i)
		c.inheritable |= uint64(binary.LittleEndian.Uint32(b[8*i+4:])) << (32 * i)
	}
	if form.rootID {
		c.rootID = binary.LittleEndian.Uint32(b[8*form.words:])
	}
	return c, nil
}

// capabilityStates are the texts of what a file has of one capability: effective, permitted and inheritable are the bits.
var capabilityStates = [8]string{"", "e", "p", "ep", "i", "ei", "ip", "eip"}

func (c fileCapabilities) stateOf(n int) (state int) {
	permitted, inheritable := c.permitted>>n&1 != 0, c.inheritable>>n&1 != 0
	if c.effective && (permitted || inheritable) {
		state |= 1
	}
	if permitted {
		state |= 2
	}
	if inheritable {
		state |= 4
	}
	return state
}

// String is the text of cap_to_text(3), and behind it the user of a user namespace as getcap -n has it: what most of the capabilities
// that have a name are, and then those that are otherwise.
func (c fileCapabilities) String() string {
	var named, unnamed [8][]string
	for n := range maxCapabilities {
		if n < len(capabilityNames) {
			named[c.stateOf(n)] = append(named[c.stateOf(n)], capabilityNames[n])
		} else {
			unnamed[c.stateOf(n)] = append(unnamed[c.stateOf(n)], strconv.Itoa(n))
		}
	}
	most := 0
	for state, names := range named {
		if len(names) > len(named[most]) {
			most = state
		}
	}
	text := []string{"=" + capabilityStates[most]}
	for state := 7; state >= 0; state-- {
		if state == most || len(named[state]) == 0 {
			continue
		}
		one := strings.Join(named[state], ",")
		if more := state &^ most; more != 0 && text[0] == "=" {
			text, one = text[:0], one+"="+capabilityStates[more] // "cap_kill=ep" for "= cap_kill+ep"
		} else if more != 0 {
			one += "+" + capabilityStates[more]
		}
		if less := most &^ state; less != 0 {
			one += "-" + capabilityStates[less]
		}
		text = append(text, one)
	}
	for state := 7; state > 0; state-- {
		if len(unnamed[state]) > 0 {
			text = append(text, strings.Join(unnamed[state], ",")+"+"+capabilityStates[state])
		}
	}
	if c.rootID != 0 {
		text = append(text, fmt.Sprintf("[rootid=%d]", c.rootID))
	}
	return strings.Join(text, " ")
}

// unknownCapabilities is what a manifest has of an attribute that cannot be read, with its bytes where there are any: who
// compares it with none, or with another one, sees a change.
const unknownCapabilities = "unknown"

// maxCapabilityText bounds the text; the longest has each capability once.
const maxCapabilityText = 1024

// capabilityText is an entry's text of the attribute's value, "" of none, and what is wrong with it. readErr is of reading it.
func capabilityText(b []byte, readErr error) (string, error) {
	switch {
	case errors.Is(readErr, syscall.EINVAL): // the kernel looks at the value before it hands it out
		return unknownCapabilities, errors.New("damaged, or of a revision that this kernel does not hand out")
	case errors.Is(readErr, syscall.EOVERFLOW):
		return unknownCapabilities, errors.New("those of another user namespace")
	case readErr != nil:
		return unknownCapabilities, readErr
	case b == nil:
		return "", nil
	}
	c, err := parseCapabilities(b)
	if err != nil {
		const most = 64 // bytes that are shown
		return strings.TrimSpace(unknownCapabilities + " " + hex.EncodeToString(b[:min(len(b), most)])), err
	}
	return c.String(), nil
}

// checkCapabilities says what of an entry's text cannot be: only a root tree has any, of its files, and getcap prints no other bytes.
func (e *Entry) checkCapabilities(m *Manifest) error {
	switch {
	case e.Capabilities == "":
		return nil
	case m.Schema < schemaCapabilities:
		return fmt.Errorf("capabilities, which schema %d does not have", m.Schema)
	case m.Source != Root || e.Type != File:
		return errors.New("capabilities, which only a file of a root tree has")
	case len(e.Capabilities) > maxCapabilityText || strings.Trim(e.Capabilities, "abcdefghijklmnopqrstuvwxyz0123456789_,=+-[] ") != "":
		return errors.New("capabilities: not as getcap prints them")
	}
	return nil
}

// readCapabilities notes what an open file tells of its capabilities. One that cannot tell has none.
func (t *treeReader) readCapabilities(e *Entry, f fs.File) {
	file, ok := f.(interface{ Capabilities() ([]byte, error) })
	if !ok {
		return
	}
	var err error
	if e.Capabilities, err = capabilityText(file.Capabilities()); err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unclear == nil {
		t.unclear = map[string]error{}
	}
	t.unclear[e.Path] = err
}

// noteCapabilities notes whose capabilities are not clear, and that capabilities were found is a newer schema.
func (t *treeReader) noteCapabilities(m *Manifest) {
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Capabilities != "" {
			m.Schema = schemaCapabilities
		}
		if err := t.unclear[e.Path]; err != nil {
			m.noteProblem("%s: file capabilities: %v", e.Path, err)
		}
	}
}

// lastWithoutCapabilities is the last version of groundhog whose manifests have none, whatever the files have.
var lastWithoutCapabilities = [3]int{0, 13, 0}

// TellsCapabilities reports whether a file without [Entry.Capabilities] has none. Of a root tree that an older groundhog described
// nobody knows. The file of a manifest without any looks the same as it did then, but for the tool's version; what has
// none of groundhog's is believed.
func (m *Manifest) TellsCapabilities() bool {
	if m.Source != Root || m.Schema >= schemaCapabilities {
		return true
	}
	var v [3]int
	if n, err := fmt.Sscanf(m.Tool, "groundhog %d.%d.%d", &v[0], &v[1], &v[2]); n < 3 || err != nil {
		return true
	}
	for i := range v {
		if v[i] != lastWithoutCapabilities[i] {
			return v[i] > lastWithoutCapabilities[i]
		}
	}
	return false
}
