package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"

	"github.com/google/go-cmp/cmp"
)

func decodeManifest(b []byte) (*manifest.Manifest, error) {
	return manifest.Decode(bytes.NewReader(b), manifest.Limits{})
}

func TestRoundTrip(t *testing.T) {
	m := of(t, sample(t))
	b := encode(t, m)
	back := judge.Value(decodeManifest(b))(t)
	if diff := cmp.Diff(m, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	slices.Reverse(back.Entries)
	if !bytes.Equal(b, encode(t, back)) {
		t.Error("unsorted entries were not sorted")
	}
}

// Every cut of a manifest is an error.
func TestCut(t *testing.T) {
	b := bytes.TrimSpace(encode(t, of(t, sample(t))))
	for n := range len(b) {
		if _, err := decodeManifest(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were taken for a manifest", n, len(b))
		} else if strings.Contains(err.Error(), "\n") {
			t.Fatalf("more than one line: %q", err)
		}
	}
}

func TestRefuses(t *testing.T) {
	good := string(encode(t, of(t, sample(t))))
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the sample has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":                 {"", "no JSON object"},
		"foreign":               {`{"bomFormat":"CycloneDX"}`, `no field "schema"`},
		"array":                 {"[1]", "no JSON object"},
		"newer":                 {edit(`"schema": 3`, `"schema": 7`), "schema 7: written by a newer groundhog"},
		"newer, last":           {`{"x":[{}],"schema":5}`, "written by a newer"},
		"schema 0":              {edit(`"schema": 3`, `"schema": 0`), "positive"},
		"unknown field":         {edit(`"schema": 3`, `"schema": 3, "extra": {}`), "extra"},
		"other case":            {edit(`"architecture"`, `"Architecture"`), "Architecture"},
		"duplicate field":       {edit(`"schema": 3`, `"schema": 3, "schema": 3`), "duplicate"},
		"duplicate path":        {edit(`"path": "conf"`, `"path": "dev"`), `"dev": there twice`},
		"no entries":            {good[:strings.Index(good, `"entries": [`)] + `"entries": []}`, "no entries, and what it is of has some"},
		"a tree without any":    {`{"schema": 3, "source": "root", "dropbear": false}`, "no entries, and"},
		"trailing data":         {good + "{}", "byte"},
		"invalid UTF-8":         {edit("curl with", "\xff"), "UTF-8"},
		"absolute path":         {edit(`"path": "conf"`, `"path": "/conf"`), "not a path"},
		"dots":                  {edit(`"path": "conf"`, `"path": "../conf"`), "not a path"},
		"bad escape":            {edit(`"path": "conf"`, `"path": "co\\nf"`), "backslash"},
		"other escape":          {edit(`"path": "conf"`, `"path": "co\\x6ef"`), "one way"},
		"mode":                  {edit(`"0755"`, `"0788"`), "octal"},
		"type":                  {edit(`"type": "dir"`, `"type": "door"`), "door"},
		"negative":              {edit(`"size": 4`, `"size": -4`), "size"},
		"huge number":           {edit(`"size": 4`, `"size": 99999999999999999999`), "size"},
		"segment":               {edit(`"segment": 0`, `"segment": 9`), "segment 9"},
		"local path":            {edit(`"sha256"`, `"name": "/home/me/x", "sha256"`), "base name"},
		"hole":                  {edit(`"offset": 0`, `"offset": 8`), "end at"},
		"no file hash":          {edit(`"type": "dir"`, `"type": "file"`), "without a SHA-256"},
		"field with a line end": {edit(`"schema": 3`, `"schema": 3, "a\nb": {}`), `a\u000ab`},
		"path with a line end":  {edit(`"type": "dir"`, `"type": "a\nb"`), `a\nb`},
		"deep":                  {strings.Replace(good, `"dropbear": false`, `"dropbear": `+strings.Repeat("[", 20000), 1), "dropbear"},
	} {
		_, err := decodeManifest([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, c.want)
		}
	}
	if _, err := decodeManifest([]byte(edit(`"schema": 3`, `"schema": 5`))); !errors.Is(err, manifest.ErrNewer) {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestLimits(t *testing.T) {
	b := encode(t, of(t, sample(t)))
	many := fmt.Sprintf(`{"schema":1,"entries":[%s{}]}`, strings.Repeat("{},", 100000))
	for _, c := range []struct {
		in string
		l  manifest.Limits
	}{{string(b), manifest.Limits{Bytes: int64(len(b)) - 1}}, {string(b), manifest.Limits{Items: 20}}, {many, manifest.Limits{Items: 1000}}} {
		if _, err := manifest.Decode(strings.NewReader(c.in), c.l); !errors.Is(err, manifest.ErrTooLarge) {
			t.Errorf("limits %+v: %v", c.l, err)
		}
	}
	if _, err := manifest.Decode(bytes.NewReader(b), manifest.Limits{Bytes: int64(len(b)), Items: 100}); err != nil {
		t.Errorf("exactly at the limit: %v", err)
	}
}

// The schema and the Go types name the same fields.
func TestSchemaFields(t *testing.T) {
	var schema struct {
		Title      string
		Properties map[string]any `json:"properties"`
		Defs       map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	judge.Must(t, json.Unmarshal([]byte(manifest.SchemaJSON), &schema))
	if want := fmt.Sprintf("groundhog manifest, schema %d", manifest.Schema); schema.Title != want {
		t.Errorf("the schema's title is %q, want %q", schema.Title, want)
	}
	check := func(typ reflect.Type, have map[string]any) {
		want := map[string]any{}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			want[name] = nil
			if have[name] == nil {
				t.Errorf("%v: the schema lacks %q", typ, name)
			}
		}
		for name := range have {
			if _, ok := want[name]; !ok {
				t.Errorf("%v: the schema has %q, the type has not", typ, name)
			}
		}
	}
	check(reflect.TypeFor[manifest.Manifest](), schema.Properties)
	for name, typ := range map[string]reflect.Type{"entry": reflect.TypeFor[manifest.Entry](),
		"origin": reflect.TypeFor[manifest.Origin](), "package": reflect.TypeFor[manifest.Package](),
		"segment": reflect.TypeFor[manifest.Segment](), "patch": reflect.TypeFor[manifest.Patch](),
		"key": reflect.TypeFor[manifest.Key](), "input": reflect.TypeFor[manifest.Input]()} {
		check(typ, schema.Defs[name].Properties)
	}
}

// Whatever is accepted is written again, read back equal and written equal;
// and the schema accepts it.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, of(f, sample(f))))
	f.Add([]byte(`{"schema":1,"source":"root","dropbear":false,"entries":[]}`))
	f.Add([]byte(`{"schema":1,"source":"root","dropbear":true,"entries":[{"path":"a","type":"char","mode":"4755",` +
		`"uid":1,"gid":2,"size":0,"mtime":-1,"segment":0,"device":"1:2","origin":{"kind":"unknown"}}]}`))
	f.Add([]byte(`{"schema":4,"source":"root","dropbear":false,"entries":[{"path":"a","type":"file","mode":"0755","uid":0,"gid":0,"size":0,` +
		`"mtime":0,"segment":0,"sha256":"` + strings.Repeat("0", 64) + `","capabilities":"cap_net_raw=ep [rootid=1000]"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := manifest.Decode(bytes.NewReader(b), manifest.Limits{Bytes: 1 << 20, Items: 1000})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("more than one line: %q", err)
			}
			return
		}
		once := encode(t, m)
		back, err := decodeManifest(once)
		if err != nil {
			t.Fatalf("our own output is refused: %v", err)
		}
		if twice := encode(t, back); !bytes.Equal(once, twice) {
			t.Fatalf("written again it differs:\n%s\n%s", once, twice)
		}
		validate(t, once)
	})
}

// A record comes with an archive that anybody may have made.
func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(record))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := manifest.DecodeRecord(b)
		if err != nil {
			return
		}
		once, err := r.Encode()
		if err != nil {
			t.Fatalf("a record that was read cannot be written: %v", err)
		}
		back := judge.Value(manifest.DecodeRecord(once))(t)
		if twice, _ := back.Encode(); !bytes.Equal(once, twice) {
			t.Fatal("written again it differs")
		}
	})
}
