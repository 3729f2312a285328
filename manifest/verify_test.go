package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/manifest"
)

func verify(t testing.TB, img *initrd.Image, m *manifest.Manifest) []string {
	t.Helper()
	found := judge.Value(manifest.Verify(img, m))(t)
	var lines []string
	for _, d := range found {
		lines = append(lines, d.String())
	}
	return lines
}

// A manifest verifies its own archive, and any one value of it changed is found.
func TestVerifyEveryValue(t *testing.T) {
	img := sample(t)
	good := encode(t, of(t, img))
	if got := verify(t, img, of(t, img)); got != nil {
		t.Fatalf("its own archive: %q", got)
	}
	// What only the caller knew when the manifest was made.
	free := []string{"/schema", "/source"}
	tried := 0
	for at := range leaves(t, good) {
		bad := change(t, good, at)
		m, err := manifest.Decode(bytes.NewReader(bad), manifest.Limits{})
		if err != nil || slices.Contains(free, at) {
			continue // the change made it no manifest at all
		}
		tried++
		if got := verify(t, img, m); len(got) == 0 {
			t.Errorf("%s was changed and nobody saw it", at)
		}
	}
	if tried < 100 {
		t.Errorf("only %d values tried", tried)
	}
}

// leaves names each value of a JSON document that is no list or object.
func leaves(t testing.TB, doc []byte) map[string]any {
	var v any
	judge.Must(t, json.Unmarshal(doc, &v))
	all := map[string]any{}
	var walk func(string, any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(at+"/"+k, x)
			}
		case []any:
			for i, x := range v {
				walk(fmt.Sprint(at, "/", i), x)
			}
		default:
			all[at] = v
		}
	}
	walk("", v)
	return all
}

// change gives the value at a place of the document another value of its kind.
func change(t testing.TB, doc []byte, at string) []byte {
	var v any
	judge.Must(t, json.Unmarshal(doc, &v))
	var edit func(v any, rest []string) any
	edit = func(v any, rest []string) any {
		switch x := v.(type) {
		case map[string]any:
			x[rest[0]] = edit(x[rest[0]], rest[1:])
		case []any:
			var i int
			fmt.Sscan(rest[0], &i)
			x[i] = edit(x[i], rest[1:])
		case string:
			// The last character: of a digest, a path, a mode it stays one.
			if last := x[len(x)-1:]; last == "1" {
				return x[:len(x)-1] + "2"
			}
			return x[:len(x)-1] + "1"
		case float64:
			return x + 1
		case bool:
			return !x
		}
		return v
	}
	return judge.Value(json.Marshal(edit(v, strings.Split(at, "/")[1:])))(t)
}

// An archive that was changed behind its manifest's back.
func TestVerifyChanged(t *testing.T) {
	m := of(t, sample(t))
	for want, edit := range map[string]func(*initrd.Image) error{
		"usr/bin/curl: sha256 is": func(img *initrd.Image) error {
			_, err := img.Put("usr/bin/curl", initrd.File{Data: []byte("evil")})
			return err
		},
		"usr/bin/curl: mode is 4755, the manifest says 0644": func(img *initrd.Image) error {
			_, err := img.Put("usr/bin/curl", initrd.File{Mode: initrd.TypeFile | 0o4755, Data: []byte("curl")})
			return err
		},
		"dev/console: missing": func(img *initrd.Image) error { return img.Remove("dev/console") },
		"a\\u000ab: not in the manifest": func(img *initrd.Image) error {
			_, err := img.Put("a\nb", initrd.File{Mode: initrd.TypeFile | 0o644})
			return err
		},
		"manifest: architecture is arm64, the manifest says amd64": func(img *initrd.Image) error {
			_, err := img.Put("conf/arch.conf", initrd.File{Data: []byte("DPKG_ARCH=arm64\n")})
			return err
		},
	} {
		img := sample(t)
		judge.Must(t, edit(img))
		changed := judge.Value(initrd.Read(bytes.NewReader(bytesOf(t, img)), initrd.Limits{}))(t)
		lines := verify(t, changed, m)
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("want %q among %q", want, lines)
		}
		if !strings.HasPrefix(lines[0], "archive: sha256 is ") {
			t.Errorf("the archive as a whole: %q", lines[0])
		}
	}
}
