package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/manifest/diff"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const record = `{"schema":1,"tool":"groundhog 0.1.0","build":"0123abcd","release":"bookworm","board":"generic",
"patches":[{"name":"curl","summary":"curl with 33 libraries","paths":["usr/bin/curl"]}]}`

// sample is a small archive with one of everything.
func sample(t testing.TB) *initrd.Image {
	return archive(t,
		dir("."), dir("conf"), file("conf/arch.conf", "DPKG_ARCH=amd64\n"),
		dir("dev"), node("dev/console", 5, 1),
		dir("etc"), dir("etc/groundhog"), file(manifest.RecordPath, record),
		link("lib", "usr/lib"), dir("usr"), dir("usr/bin"), file("usr/bin/curl", "curl"),
		dir("usr/lib"), dir("usr/lib/modules"), dir("usr/lib/modules/6.1.0-56-amd64"),
		file("usr/lib/\xff back\\slash", ""),
		hard("usr/bin/ls", "", 7, 3), hard("usr/bin/cat", "", 7, 3), hard("usr/bin/busybox", "applets", 7, 3),
		file("lib/through-a-link", "x"),
	)
}

func TestOf(t *testing.T) {
	img := sample(t)
	m := of(t, img)
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	got := map[string]manifest.Entry{}
	for _, e := range m.Entries {
		got[e.Path] = e
	}
	if len(m.Entries) != 20 {
		t.Errorf("%d entries, want 20", len(m.Entries))
	}
	want := map[string]manifest.Entry{
		"dev/console":              {Type: manifest.Char, Mode: 0o600, Device: "5:1"},
		"lib":                      {Type: manifest.Symlink, Mode: 0o777, Target: "usr/lib"},
		"usr/bin/busybox":          {Type: manifest.File, Mode: 0o755, Size: 7, Mtime: 1700000000, SHA256: sum("applets")},
		"usr/bin/ls":               {Type: manifest.File, Mode: 0o755, Size: 7, Mtime: 1700000000, SHA256: sum("applets"), LinkOf: "usr/bin/busybox"},
		"usr/bin/curl":             {Type: manifest.File, Mode: 0o644, Size: 4, Mtime: 1700000000, SHA256: sum("curl"), Patch: "curl"},
		`usr/lib/\xff back\\slash`: {Type: manifest.File, Mode: 0o644, Mtime: 1700000000, SHA256: sum("")},
		"usr/lib/through-a-link":   {Type: manifest.File, Mode: 0o644, Size: 1, Mtime: 1700000000, SHA256: sum("x")},
	}
	for name, w := range want {
		w.Path = name
		if diff := cmp.Diff(w, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	raw := bytesOf(t, img)
	head := &manifest.Manifest{Schema: 3, Source: manifest.Initramfs, Architecture: "amd64", Release: "bookworm",
		Kernels:   []string{"6.1.0-56-amd64"},
		Groundhog: &manifest.Groundhog{Tool: "groundhog 0.1.0", Build: "0123abcd", Board: "generic"},
		Archive:   &manifest.Archive{SHA256: sum(string(raw)), Size: int64(len(raw)), Unpacked: img.Segments[0].Unpacked},
		Patches:   []manifest.Patch{{Name: "curl", Summary: "curl with 33 libraries", Paths: []string{"usr/bin/curl"}}},
		Segments: []manifest.Segment{{Size: int64(len(raw)), Unpacked: img.Segments[0].Unpacked, Compression: "gzip",
			Entries: 20, SHA256: sum(string(raw))}}}
	if diff := cmp.Diff(head, m, cmpopts.IgnoreFields(manifest.Manifest{}, "Entries"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Two segments with padding between them: each has its own hash, a path that
// comes again is shadowed, one without a directory is ignored.
func TestSegments(t *testing.T) {
	first := judge.Value(initrd.New(initrd.None, dir("kernel"), file("kernel/x", "old"), file("kernel/y", "same")))(t)
	second := archive(t, dir("kernel"), file("kernel/x", "new"), file("nowhere/z", "z"))
	a, b := bytesOf(t, first), bytesOf(t, second)
	pad := make([]byte, 1024)
	img := judge.Value(initrd.Read(bytes.NewReader(append(append(append([]byte(nil), a...), pad...), b...)), initrd.Limits{}))(t)
	m := of(t, img)
	for i, raw := range [][]byte{bytes.TrimRight(a, "\x00"), b} {
		s := m.Segments[i]
		whole := append(append(append([]byte(nil), a...), pad...), b...)
		h := sha256.Sum256(whole[s.Offset : s.Offset+s.Size])
		if s.SHA256 != hex.EncodeToString(h[:]) || !bytes.HasPrefix(whole[s.Offset:], raw[:100]) {
			t.Errorf("segment %d: %+v", i, s)
		}
	}
	if len(m.Shadowed) != 1 || m.Shadowed[0].Path != "kernel/x" || m.Shadowed[0].Size != 3 || m.Shadowed[0].SHA256 == "" {
		t.Errorf("shadowed: %+v", m.Shadowed)
	}
	if len(m.Ignored) != 1 || m.Ignored[0].Path != "nowhere/z" {
		t.Errorf("ignored: %+v", m.Ignored)
	}
	validate(t, encode(t, m))
}

// An edited image has no bytes yet, and a manifest of it cannot be written.
func TestEdited(t *testing.T) {
	img := sample(t)
	judge.Value(img.Put("usr/bin/new", initrd.File{Mode: initrd.TypeFile | 0o755, Data: []byte("new")}))(t)
	if _, err := manifest.Of(img); err == nil {
		t.Fatal("an edited image was described as if it had bytes")
	}
	b := bytesOf(t, img)
	again := judge.Value(initrd.Read(bytes.NewReader(b), initrd.Limits{}))(t)
	if diff := cmp.Diff(of(t, again), of(t, img)); diff != "" {
		t.Errorf("(-read again +written):\n%s", diff)
	}
}

// A broken record is a problem, not an error: the rest of the manifest stands.
func TestBrokenRecord(t *testing.T) {
	for _, bad := range []string{"", "{", "[]", `{"schema":2}`, `{"schema":1,"build":"X"}`,
		`{"schema":1,"tool":"","build":"","patches":[{"name":"a"},{"name":"a"}]}`,
		`{"schema":1,"tool":"","build":"","patches":[{"name":"a","paths":["../x"]}]}`,
		`{"schema":1,"tool":"","build":"","more":1}`, strings.Repeat(" ", 2<<20)} {
		m := of(t, archive(t, dir("etc"), dir("etc/groundhog"), file(manifest.RecordPath, bad)))
		if len(m.Problems) != 1 || m.Patches != nil || m.Groundhog != nil {
			t.Errorf("%.40q: problems %q", bad, m.Problems)
		}
	}
}

// The output does not depend on how many cores there are.
func TestDeterministic(t *testing.T) {
	want := encode(t, of(t, sample(t)))
	for _, n := range []int{1, 2, 7} {
		old := runtime.GOMAXPROCS(n)
		got := encode(t, of(t, sample(t)))
		runtime.GOMAXPROCS(old)
		if !bytes.Equal(want, got) {
			t.Errorf("GOMAXPROCS %d: other bytes", n)
		}
	}
	validate(t, want)
}

// validate holds JSON against the schema that `groundhog manifest --schema`
// prints, with a validator that is not ours.
func validate(t testing.TB, b []byte) {
	t.Helper()
	doc := judge.Value(jsonschema.UnmarshalJSON(strings.NewReader(manifest.SchemaJSON)))(t)
	c := jsonschema.NewCompiler()
	judge.Must(t, c.AddResource("manifest.json", doc))
	schema := judge.Value(c.Compile("manifest.json"))(t)
	inst := judge.Value(jsonschema.UnmarshalJSON(bytes.NewReader(b)))(t)
	if err := schema.Validate(inst); err != nil {
		t.Errorf("the schema does not accept what we wrote: %v", err)
	}
}

// Whatever can be read as an archive has a manifest that can be written and
// read back, and that verifies it.
func FuzzOf(f *testing.F) {
	f.Add(bytesOf(f, sample(f)))
	plain, err := initrd.New(initrd.None, dir("kernel"), hard("a", "", 1, 2), hard("b", "x", 1, 2), node("n", 1, 2),
		dir("etc"), file("etc/passwd", "root:x:0:0::/root-abcdefghij:/bin/sh\n"), dir("root-abcdefghij"),
		dir("root-abcdefghij/.ssh"), file("root-abcdefghij/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n"),
		dir("etc/groundhog"), file(manifest.RecordPath, record), dir("etc/dropbear"), file("etc/dropbear/dropbear_rsa_host_key", "key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytesOf(f, plain))
	f.Add(append(bytesOf(f, plain), bytesOf(f, plain)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := initrd.Read(bytes.NewReader(b), initrd.Limits{Unpacked: 4 << 20, Segments: 8, Entries: 1000})
		if err != nil {
			return
		}
		m := of(t, img)
		if sum := sha256.Sum256(b); m.Archive.SHA256 != hex.EncodeToString(sum[:]) {
			t.Fatal("not the SHA-256 of the file")
		}
		text := encode(t, m)
		validate(t, text)
		back := judge.Value(decodeManifest(text))(t)
		if found := verify(t, img, back); found != nil {
			t.Fatalf("its own archive: %q", found)
		}
		if !diff.Of(m, back, false).Same {
			t.Fatal("it differs from itself")
		}
	})
}
