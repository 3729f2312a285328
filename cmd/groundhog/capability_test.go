package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	validate "github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
	"groundhog/manifest"

	"github.com/google/go-cmp/cmp"
)

// capabilityAttribute is a value of security.capability: of revision 3 where there is a root of a user namespace.
func capabilityAttribute(effective bool, permitted, inheritable uint64, root uint32) []byte {
	head := uint32(2 << 24)
	if root != 0 {
		head = 3 << 24
	}
	if effective {
		head |= 1
	}
	b := binary.LittleEndian.AppendUint32(nil, head)
	for _, word := range []uint64{permitted & 0xffffffff, inheritable & 0xffffffff, permitted >> 32, inheritable >> 32} {
		b = binary.LittleEndian.AppendUint32(b, uint32(word))
	}
	if root != 0 {
		b = binary.LittleEndian.AppendUint32(b, root)
	}
	return b
}

// capableTree is a directory in which root may give files capabilities.
func capableTree(t *testing.T, names ...string) string {
	t.Helper()
	judge.Root(t, "give files capabilities")
	dir := t.TempDir()
	for _, name := range append(names, "plain") {
		judge.WriteFile(t, filepath.Join(dir, name), name)
	}
	probe := filepath.Join(t.TempDir(), "probe")
	judge.WriteFile(t, probe, "")
	if err := unix.Setxattr(probe, "security.capability", capabilityAttribute(true, 1, 0, 0), 0); err != nil {
		judge.Missing(t, "a file system whose files can have capabilities: "+err.Error())
	}
	return dir
}

// capabilitiesOf is what the manifest of a tree says, by path, and its problems.
func capabilitiesOf(t *testing.T, text string) (said map[string]string, problems []string) {
	t.Helper()
	m := judge.Value(manifest.Decode(strings.NewReader(text), manifest.Limits{}))(t)
	said = map[string]string{}
	for _, e := range m.Entries {
		if e.Capabilities != "" {
			said[e.Path] = e.Capabilities
		}
	}
	return said, m.Problems
}

// byGetcap is what getcap says of the same.
func byGetcap(t *testing.T, dir string) map[string]string {
	t.Helper()
	said := map[string]string{}
	for line := range strings.Lines(string(judge.Output(t, exec.Command(judge.Tool(t, "getcap"), "-n", "-r", dir)))) {
		name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		said[strings.TrimPrefix(name, dir+"/")] = text
	}
	return said
}

// manifestHere is the manifest of a tree.
func manifestHere(t *testing.T, dir string) string {
	t.Helper()
	code, text, said := here("manifest", dir)
	if code != exitDone {
		t.Fatalf("manifest: exit %d: %s", code, said)
	}
	return text
}

// What setcap gives, and whatever else the kernel takes, the manifest tells in getcap's words.
func TestCapabilitiesAsGetcap(t *testing.T) {
	setcap := judge.Tool(t, "setcap")
	dir := capableTree(t)
	all := uint64(1)<<41 - 1
	if last := strings.TrimSpace(string(judge.ReadFile(t, "/proc/sys/kernel/cap_last_cap"))); last != "40" {
		t.Logf("this kernel's last capability is %s: getcap has other words for most sets of all that have a name", last)
		all = 0x1f
	}
	for i, text := range []string{"cap_net_raw=ep", "cap_net_raw+p", "cap_setuid,cap_setgid=eip", "cap_chown=i cap_kill=p", "=", "cap_net_bind_service=+ep"} {
		name := filepath.Join(dir, fmt.Sprint("setcap", i))
		judge.WriteFile(t, name, text)
		judge.Run(t, exec.Command(setcap, text, name))
	}
	name := filepath.Join(dir, "namespace")
	judge.WriteFile(t, name, "")
	judge.Run(t, exec.Command(setcap, "-n", "1000", "cap_net_raw=ep", name))
	rnd := rand.New(rand.NewPCG(1, 2))
	few := func() (set uint64) { // one or two
		for range 2 {
			set |= 1 << rnd.IntN(41) & all
		}
		return set
	}
	for i := range 400 {
		permitted, inheritable, root := few(), few(), uint32(0)
		switch rnd.IntN(6) {
		case 0:
			permitted, inheritable = all&^few(), all&^few()
		case 1:
			permitted, inheritable = all&rnd.Uint64(), all&rnd.Uint64()
		case 2:
			inheritable = 0
		case 3: // those without a name
			permitted |= rnd.Uint64() << 41 & rnd.Uint64()
		}
		if rnd.IntN(3) == 0 {
			root = rnd.Uint32() >> 1 // getcap takes larger ones for negative
		}
		name := filepath.Join(dir, fmt.Sprintf("random%03d", i))
		judge.WriteFile(t, name, "")
		judge.Must(t, unix.Setxattr(name, "security.capability", capabilityAttribute(rnd.IntN(2) == 0, permitted, inheritable, root), 0))
	}
	want := byGetcap(t, dir)
	if len(want) != 407 {
		t.Fatalf("getcap found %d files", len(want))
	}
	text := manifestHere(t, dir)
	said, problems := capabilitiesOf(t, text)
	if diff := cmp.Diff(want, said); diff != "" || problems != nil {
		t.Errorf("(-getcap +manifest):\n%s%q", diff, problems)
	}

	// Whoever may read a file may read what it may do.
	judge.Must(t, os.Chmod(filepath.Dir(dir), 0o711))
	judge.Run(t, exec.Command("chmod", "-R", "a+rX", dir))
	self := filepath.Join(t.TempDir(), "groundhog")
	judge.Run(t, exec.Command("install", "-m", "755", judge.Value(os.Executable())(t), self))
	cmd := exec.Command(self, "manifest", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	if said, _ := capabilitiesOf(t, string(judge.Output(t, cmd))); !cmp.Equal(want, said) {
		t.Errorf("nobody reads %d of %d", len(said), len(want))
	}
}

// Between two builds a file gains what root alone may do: the gate is red, and says which and what.
func TestCapabilitiesGate(t *testing.T) {
	dir := capableTree(t, "ping", "tool")
	give := func(name string, permitted uint64) {
		judge.Must(t, unix.Setxattr(filepath.Join(dir, name), "security.capability", capabilityAttribute(true, permitted, 0, 0), 0))
	}
	before := filepath.Join(t.TempDir(), "none.json")
	none := strings.Replace(manifestHere(t, dir), `"groundhog `+Version+`"`, `"groundhog 0.13.0"`, 1)
	judge.WriteFile(t, before, none)
	give("ping", 1<<13)
	old := filepath.Join(t.TempDir(), "old.json")
	judge.WriteFile(t, old, manifestHere(t, dir))
	if code, out, said := here("diff", before, dir, "--fail-on", "any"); code != exitDone ||
		!strings.Contains(out, "not compared: file capabilities: the old manifest is of a groundhog that did not read them\n") {
		t.Errorf("an older manifest: exit %d: %s%s", code, out, said)
	}
	if code, out, said := here("diff", old, dir, "--fail-on", "any,setuid"); code != exitDone {
		t.Errorf("the same tree: exit %d: %s%s", code, out, said)
	}
	give("tool", 1<<7)
	code, out, said := here("diff", old, dir, "--fail-on", "setuid")
	if code != exitNo || !strings.Contains(out, "\n  M tool  capabilities none -> cap_setuid=ep\n") || !strings.HasSuffix(out, "\ntripped setuid: tool: capabilities none -> cap_setuid=ep\n") {
		t.Errorf("exit %d: %s%s", code, out, said)
	}
	if code, out, said := here("diff", dir, old, "--fail-on", "setuid"); code != exitDone || !strings.Contains(out, "M tool  capabilities cap_setuid=ep -> none\n") {
		t.Errorf("backwards: exit %d: %s%s", code, out, said)
	}
	if _, page, _ := here("diff", old, dir, "--html", "-"); !strings.Contains(page, `capabilities none -\u003e cap_setuid=ep`) {
		t.Error("not in the page")
	}
	_, out, _ = here("diff", old, dir, "--json")
	if err := compiled(t, "diff").Validate(judge.Value(validate.UnmarshalJSON(strings.NewReader(out)))(t)); err != nil || !strings.Contains(out, `"capabilities": "cap_setuid=ep"`) {
		t.Errorf("%v: %s", err, out)
	}
}

// What lies damaged on the disk, or in a form of tomorrow, is unknown; the kernel hands none of it out, and the rest is told.
func TestCapabilitiesDamaged(t *testing.T) {
	judge.Root(t, "mount")
	judge.Tools(t, "mke2fs", "debugfs", "mount", "umount")
	values := map[string][]byte{"cut": capabilityAttribute(true, 1<<13, 0, 0)[:16], "good": capabilityAttribute(true, 1<<13, 0, 0), "namespace": capabilityAttribute(true, 1<<13, 0, 1000),
		"tomorrow": append([]byte{1, 0, 0, 4}, make([]byte, 16)...), "yesterday": append([]byte{1, 0, 0, 1, 0, 32, 0, 0}, make([]byte, 4)...)}
	src, room := t.TempDir(), t.TempDir()
	image, dir := filepath.Join(room, "image"), filepath.Join(room, "mounted")
	var commands strings.Builder
	for name, value := range values {
		judge.WriteFile(t, filepath.Join(src, name), name)
		judge.WriteFile(t, filepath.Join(room, name), value)
		fmt.Fprintf(&commands, "ea_set -f %s %s security.capability\n", filepath.Join(room, name), name)
	}
	judge.WriteFile(t, image, make([]byte, 2<<20))
	judge.Run(t, exec.Command("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", src, image))
	debugfs := exec.Command("debugfs", "-w", "-f", "-", image)
	debugfs.Stdin = strings.NewReader(commands.String())
	judge.Run(t, debugfs)
	judge.Must(t, os.Mkdir(dir, 0o755))
	if out, err := exec.Command("mount", "-o", "loop,ro", image, dir).CombinedOutput(); err != nil {
		judge.Missing(t, "a file system to mount: "+string(out))
	}
	t.Cleanup(func() { judge.Run(t, exec.Command("umount", dir)) })
	said, problems := capabilitiesOf(t, manifestHere(t, dir))
	want := map[string]string{"cut": "unknown", "good": "cap_net_raw=ep", "namespace": "cap_net_raw=ep [rootid=1000]", "tomorrow": "unknown", "yesterday": "unknown"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var names []string
	for _, p := range problems {
		names = append(names, strings.TrimSuffix(p, ": file capabilities: damaged, or of a revision that this kernel does not hand out"))
	}
	if !slices.Equal(names, []string{"cut", "tomorrow", "yesterday"}) {
		t.Errorf("%q", problems)
	}
}
