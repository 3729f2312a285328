package manifest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/manifest"

	"github.com/google/go-cmp/cmp"
)

// capableFS is a tree some of whose files have the attribute security.capability, or an error for it.
type capableFS struct {
	fstest.MapFS
	values map[string]any
}

type capableFile struct {
	fs.File
	value any
}

func (c capableFS) Open(name string) (fs.File, error) {
	f, err := c.MapFS.Open(name)
	return capableFile{f, c.values[name]}, err
}

func (f capableFile) Capabilities() ([]byte, error) {
	if err, ok := f.value.(error); ok {
		return nil, err
	}
	b, _ := f.value.([]byte)
	return b, nil
}

// capable is a tree of a few files, of which those in values have such an attribute.
func capable(values map[string]any) capableFS {
	tree := fstest.MapFS{"etc": {Mode: fs.ModeDir | 0o755}, "plain": {Data: []byte("plain")}}
	for name := range values {
		tree[name] = &fstest.MapFile{Data: []byte(name), Mode: 0o755}
	}
	return capableFS{tree, values}
}

// attribute is the value of security.capability: of revision 3 with a root.
func attribute(revision, flags uint32, permitted, inheritable uint64, root ...uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, revision<<24|flags)
	for shift := 0; shift < 64; shift += 32 {
		b = binary.LittleEndian.AppendUint32(b, uint32(permitted>>shift))
		b = binary.LittleEndian.AppendUint32(b, uint32(inheritable>>shift))
	}
	for _, id := range root {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return b
}

const (
	netAdmin, netRaw = 1 << 12, 1 << 13
	allNamed         = 1<<41 - 1
)

// capabilitiesIn is what a manifest of the tree says, by path.
func capabilitiesIn(t testing.TB, tree fs.FS) (m *manifest.Manifest, said map[string]string) {
	t.Helper()
	m = judge.Value(manifest.OfTree(tree))(t)
	said = map[string]string{}
	for _, e := range m.Entries {
		if e.Capabilities != "" {
			said[e.Path] = e.Capabilities
		}
	}
	return m, said
}

// The texts are those that getcap -n of libcap 2.66 prints of the same bytes (TestCapabilitiesAsGetcap asks it); what it
// cannot print is unknown, and the rest of the manifest stands.
func TestCapabilities(t *testing.T) {
	values, want, problems := map[string]any{}, map[string]string{}, []string{}
	for i, c := range []struct {
		value         any
		text, problem string
	}{
		{attribute(2, 1, netRaw, 0), "cap_net_raw=ep", ""},
		{attribute(2, 0, netRaw, 0), "cap_net_raw=p", ""},
		{attribute(2, 1, netRaw, netAdmin), "cap_net_admin=ei cap_net_raw+ep", ""},
		{attribute(2, 1, 0, 0), "=", ""},
		{attribute(2, 1, allNamed, 0), "=ep", ""},
		{attribute(2, 1, allNamed, allNamed), "=eip", ""},
		{attribute(2, 1, allNamed&^netRaw, netAdmin), "=ep cap_net_admin+i cap_net_raw-ep", ""},
		{attribute(2, 1, netRaw|1<<45, 1<<63), "cap_net_raw=ep 63+ei 45+ep", ""},
		{attribute(2, 0, 1<<63, 0), "= 63+p", ""},
		{attribute(3, 1, netRaw, 0, 1000), "cap_net_raw=ep [rootid=1000]", ""},
		{attribute(3, 1, netRaw, 0, 3000000000), "cap_net_raw=ep [rootid=3000000000]", ""},
		{attribute(3, 1, netRaw, 0, 0), "cap_net_raw=ep", ""},
		{attribute(1, 1, netRaw, 0)[:12], "cap_net_raw=ep", ""},
		{[]byte{}, "unknown", "0 bytes, which is no revision's size"},
		{[]byte{1, 0, 0}, "unknown 010000", "3 bytes, which is no revision's size"},
		{attribute(2, 1, netRaw, 0)[:19], "unknown 01000002002000000000000000000000000000", "19 bytes, and revision 2 has 20"},
		{attribute(2, 1, netRaw, 0, 0), "unknown 010000020020000000000000000000000000000000000000", "24 bytes, and revision 2 has 20"},
		{attribute(4, 1, netRaw, 0), "unknown 0100000400200000000000000000000000000000", "revision 4 is not known"},
		{attribute(2, 3, netRaw, 0), "unknown 0300000200200000000000000000000000000000", "flags 0x3 are not known"},
		{bytes.Repeat([]byte{0xff}, 65), "unknown " + strings.Repeat("ff", 64), "revision 255 is not known"},
		{syscall.EINVAL, "unknown", "damaged, or of a revision that this kernel does not hand out"},
		{syscall.EOVERFLOW, "unknown", "those of another user namespace"},
		{errors.New("input/output error"), "unknown", "input/output error"},
	} {
		name := fmt.Sprintf("bin/%02d", i)
		values[name], want[name] = c.value, c.text
		if c.problem != "" {
			problems = append(problems, name+": file capabilities: "+c.problem)
		}
	}
	m, said := capabilitiesIn(t, capable(values))
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(problems, m.Problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := encode(t, m)
	validate(t, text)
	if diff := cmp.Diff(m, judge.Value(decodeManifest(text))(t)); diff != "" {
		t.Errorf("(-want +read back):\n%s", diff)
	}
}

// The manifest of a tree without capabilities is what it was before there was a field for them; with them it is of another schema.
func TestCapabilitiesSchema(t *testing.T) {
	tree := capable(map[string]any{"a": nil, "b": nil})
	plain := encode(t, judge.Value(manifest.OfTree(tree.MapFS))(t))
	if none := encode(t, judge.Value(manifest.OfTree(tree))(t)); !bytes.Equal(plain, none) || !bytes.HasPrefix(none, []byte("{\n  \"schema\": 3,\n")) {
		t.Errorf("%s\nwant\n%s", none, plain)
	}
	tree.values["b"] = attribute(2, 1, netRaw, 0)
	with := encode(t, judge.Value(manifest.OfTree(tree))(t))
	only := strings.NewReplacer("\"schema\": 4", "\"schema\": 3", ",\n      \"capabilities\": \"cap_net_raw=ep\"", "").Replace(string(with))
	if !bytes.Contains(with, []byte("\"schema\": 4")) || only != string(plain) {
		t.Errorf("%s", with)
	}
}

// All names of a file have its capabilities, and they are asked for once.
func TestCapabilitiesOfHardLinks(t *testing.T) {
	tree := linkedFS{capable(map[string]any{"a": attribute(2, 1, netRaw, 0), "b": errors.New("asked for")})}
	m, said := capabilitiesIn(t, tree)
	if diff := cmp.Diff(map[string]string{"a": "cap_net_raw=ep", "b": "cap_net_raw=ep"}, said); diff != "" || m.Problems != nil {
		t.Errorf("(-want +got):\n%s%q", diff, m.Problems)
	}
}

// linkedFS is a tree in which all files of one letter are one.
type linkedFS struct{ capableFS }

type linkedInfo struct{ fs.FileInfo }

func (i linkedInfo) LinkID() any {
	if len(i.Name()) == 1 {
		return 1
	}
	return nil
}

func (l linkedFS) Lstat(name string) (fs.FileInfo, error) {
	info, err := l.capableFS.Lstat(name)
	return linkedInfo{info}, err
}

// A manifest comes from anybody: capabilities are texts of getcap, of a root tree's files, in a schema that has them.
func TestCapabilitiesRefused(t *testing.T) {
	m, _ := capabilitiesIn(t, capable(map[string]any{"a": attribute(2, 1, netRaw, 0)}))
	good := string(encode(t, m))
	const field = `"capabilities": "cap_net_raw=ep"`
	for name, c := range map[string]struct{ old, new, want string }{
		"older schema":  {`"schema": 4`, `"schema": 3`, "a: capabilities, which schema 3 does not have"},
		"of a dir":      {`"type": "dir",`, `"type": "dir", ` + field + `,`, "which only a file of a root tree has"},
		"long":          {"cap_net_raw=ep", strings.Repeat("x", 1025), "a: capabilities: not as getcap"},
		"an escape":     {"cap_net_raw=ep", `cap\u001b[2J`, "a: capabilities: not as getcap"},
		"capitals":      {"cap_net_raw=ep", "CAP_NET_RAW=ep", "a: capabilities: not as getcap"},
		"another case":  {`"capabilities"`, `"Capabilities"`, "Capabilities"},
		"not a text":    {`"cap_net_raw=ep"`, `["cap_net_raw=ep"]`, "capabilities"},
		"there twice":   {field, field + ", " + field, "duplicate"},
		"of an archive": {"", "", "which only a file of a root tree has"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if name == "of an archive" {
			text = strings.Replace(string(encode(t, of(t, sample(t)))), `"type": "file",`, `"type": "file", `+field+`,`, 1)
			text = strings.Replace(text, `"schema": 3`, `"schema": 4`, 1)
		}
		_, err := decodeManifest([]byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
		}
	}
	judge.Value(decodeManifest([]byte(strings.Replace(good, "cap_net_raw=ep", strings.Repeat("x", 1024), 1))))(t)
}

// The longest text is one that a manifest may have.
func TestLongestCapabilities(t *testing.T) {
	longest := 0
	for i := range 8 {
		for j := range 8 { // bits of either set that alternate split the capabilities into as many groups as there can be
			patterns := [8]uint64{0, ^uint64(0), 0x5555555555555555, 0x3333333333333333, 0xcccccccccccccccc, 0xf0f0f0f0f0f0f0f0, allNamed, 0xffffffff}
			_, said := capabilitiesIn(t, capable(map[string]any{"a": attribute(3, 1, patterns[i], patterns[j], 1<<32-2)}))
			longest = max(longest, len(said["a"]))
		}
	}
	m, _ := capabilitiesIn(t, capable(map[string]any{"a": attribute(3, 1, 0x5555555555555555, 0x3333333333333333, 1<<32-2)}))
	encode(t, m)
	names := 0
	for n := range 64 {
		_, said := capabilitiesIn(t, capable(map[string]any{"a": attribute(2, 0, 1<<n, 0)}))
		names += len(strings.TrimPrefix(strings.TrimRight(said["a"], "=+p"), "= ")) + len(",")
	}
	if most := names + 14*len(" +eip-eip") + len("=eip [rootid=4294967295]"); longest > most || most > 1024 {
		t.Errorf("%d bytes seen, %d possible", longest, most)
	}
}

// Only of a root tree that an older groundhog described it is not known whether a file without capabilities has none.
func TestTellsCapabilities(t *testing.T) {
	for _, c := range []struct {
		source manifest.Source
		schema int
		tool   string
		want   bool
	}{
		{manifest.Root, 3, "groundhog 0.13.0", false}, {manifest.Root, 1, "groundhog 0.1.0", false}, {manifest.Root, 2, "groundhog 0.4.12", false},
		{manifest.Root, 4, "groundhog 0.13.0", true}, {manifest.Root, 3, "groundhog 0.13.1", true}, {manifest.Root, 3, "groundhog 0.14.0", true},
		{manifest.Root, 3, "groundhog 1.0.0", true}, {manifest.Root, 3, "groundhog 0.100.0", true}, {manifest.Root, 3, "", true},
		{manifest.Root, 3, "another 0.1.0", true}, {manifest.Root, 3, "groundhog", true}, {manifest.Root, 3, "groundhog x", true},
		{manifest.Initramfs, 1, "groundhog 0.1.0", true},
	} {
		m := &manifest.Manifest{Schema: c.schema, Source: c.source, Tool: c.tool}
		if got := m.TellsCapabilities(); got != c.want {
			t.Errorf("%s, schema %d, %q: %v", c.source, c.schema, c.tool, got)
		}
	}
}

// readCapabilityText reads cap_from_text(3)'s language as far as we write it, name by name.
func readCapabilityText(t *testing.T, text string, names []string) (states [64]string, root string) {
	t.Helper()
	if at := strings.Index(text, " [rootid="); at >= 0 {
		text, root = text[:at], strings.Trim(text[at:], " []")
	}
	for clause := range strings.SplitSeq(text, " ") {
		at := strings.IndexAny(clause, "=+-")
		if at < 0 {
			t.Fatalf("%q: a clause without an operator", text)
		}
		var of []int
		for name := range strings.SplitSeq(clause[:at], ",") {
			n, err := strconv.Atoi(name)
			if err != nil {
				n = slices.Index(names, name)
			}
			switch {
			case name == "":
				for i := range names {
					of = append(of, i)
				}
			case n < 0:
				t.Fatalf("%q: no capability is called %q", text, name)
			default:
				of = append(of, n)
			}
		}
		op := byte(0)
		for _, c := range []byte(clause[at:]) {
			if strings.IndexByte("=+-", c) >= 0 {
				op = c
				if op == '=' {
					for _, n := range of {
						states[n] = ""
					}
				}
				continue
			}
			for _, n := range of {
				states[n] = strings.ReplaceAll(states[n], string(c), "")
				if op != '-' {
					states[n] += string(c)
				}
			}
		}
	}
	return states, root
}

// Whatever the attribute holds, the manifest can be written and read back; and the text says of each capability what the bytes say.
func FuzzCapabilities(f *testing.F) {
	var names []string
	for n := range 41 {
		_, said := capabilitiesIn(f, capable(map[string]any{"a": attribute(2, 0, 1<<n, 0)}))
		names = append(names, strings.TrimSuffix(said["a"], "=p"))
	}
	for _, b := range [][]byte{{}, attribute(1, 1, netRaw, 0)[:12], attribute(2, 1, netRaw, netAdmin), attribute(2, 0, allNamed, 1<<50), attribute(3, 1, ^uint64(0), 7, 1000), attribute(9, 0, 1, 1)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, said := capabilitiesIn(t, capable(map[string]any{"a": b}))
		back := judge.Value(decodeManifest(encode(t, m)))(t)
		if diff := cmp.Diff(m, back); diff != "" {
			t.Fatalf("(-want +read back):\n%s", diff)
		}
		text := said["a"]
		if strings.HasPrefix(text, "unknown") {
			if len(m.Problems) != 1 {
				t.Fatalf("%x: problems %q", b, m.Problems)
			}
			return
		}
		states, root := readCapabilityText(t, text, names)
		revision, words := b[3], (len(b)-4)/8
		wantRoot := ""
		if revision == 3 && binary.LittleEndian.Uint32(b[20:]) != 0 {
			wantRoot = fmt.Sprint("rootid=", binary.LittleEndian.Uint32(b[20:]))
		}
		if root != wantRoot {
			t.Fatalf("%x: %q", b, text)
		}
		for n, state := range states {
			want := ""
			if at := 4 + n/32*8; n/32 < words {
				permitted, inheritable := binary.LittleEndian.Uint32(b[at:])>>(n%32)&1, binary.LittleEndian.Uint32(b[at+4:])>>(n%32)&1
				want = strings.Repeat("i", int(inheritable)) + strings.Repeat("p", int(permitted))
				if want != "" && b[0] == 1 {
					want = "e" + want
				}
			}
			if sorted := strings.Repeat("e", strings.Count(state, "e")) + strings.Repeat("i", strings.Count(state, "i")) + strings.Repeat("p", strings.Count(state, "p")); sorted != want {
				t.Fatalf("%x: %q says %q of %d, want %q", b, text, state, n, want)
			}
		}
	})
}
