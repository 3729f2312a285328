package disk

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzChoose: what a device lists never makes us take what it does not list, what cannot be a disk, or one of several.
func FuzzChoose(f *testing.F) {
	f.Add([]byte(`[{"path":"/dev/vda","size":512,"block":512,"serial":"a"},{"path":"/dev/vdb","size":512,"block":512}]`), "serial:a", []byte(`{"path":"/dev/vda","size":512,"serial":"a"}`))
	f.Add([]byte(`[{"path":"/dev/vda","size":512,"block":4096,"cid":"0123456789abcdef0123456789abcdef","ptuuid":"x"}]`), "", []byte(`{"path":"/dev/vda","size":512,"ptuuid":"x"}`))
	f.Add([]byte(`[{"path":"/dev/vda","size":-512,"block":0}]`), "/dev/vda", []byte(nil))
	f.Add([]byte(`[{"path":"/dev/../etc/passwd","size":512,"block":512}]`), "", []byte(nil))
	f.Fuzz(func(t *testing.T, listed []byte, want string, rec []byte) {
		all, err := Parse(listed)
		if err != nil {
			return
		}
		for _, d := range all {
			if d.Size <= 0 || d.Size%512 != 0 || d.Block < 512 || d.Block > 65536 || d.Block&(d.Block-1) != 0 || !strings.HasPrefix(d.Path, "/dev/") || strings.Contains(d.Path, "..") {
				t.Fatalf("taken from a device: %+v", d)
			}
		}
		b, err := json.Marshal(all)
		if again, perr := Parse(b); err != nil || perr != nil || !cmp.Equal(all, again) {
			t.Fatalf("%+v reads back as %+v, %v, %v", all, again, err, perr)
		}
		var r *Identity
		if len(rec) > 0 {
			r = new(Identity)
			if json.Unmarshal(rec, r) != nil {
				r = nil
			}
		}
		d, err := Choose(all, want, r)
		if err != nil {
			return
		}
		same := 0
		for _, other := range all {
			if other.Identity == d.Identity {
				same++
			}
		}
		if !slices.Contains(all, d) || d.ReadOnly || d.InUse != "" || same != 1 {
			t.Fatalf("%+v of %+v", d, all)
		}
		if want == "" && r != nil && (d.Size != r.Size || r.Serial != "" && d.Serial != r.Serial || r.CID != "" && !strings.EqualFold(r.CID, d.CID)) {
			t.Fatalf("recorded %+v, chosen %+v", r, d)
		}
	})
}

// A device's list is taken as a whole or not at all.
func TestParse(t *testing.T) {
	good := `{"path":"/dev/vda","size":512,"block":512}`
	for text, ok := range map[string]bool{
		"[]": true, "[" + good + "]": true, "null": true,
		"[" + good + "," + strings.Replace(good, "512,", "0,", 1) + "]":                  false,
		"[" + strings.Replace(good, `"block":512`, `"block":0`, 1) + "]":                 false,
		"[" + strings.Replace(good, `"block":512`, `"block":513`, 1) + "]":               false,
		"[" + strings.Replace(good, `"block":512`, `"block":1048576`, 1) + "]":           false,
		"[" + strings.Replace(good, `"size":512`, `"size":-512`, 1) + "]":                false,
		"[" + strings.Replace(good, `"size":512`, `"size":9223372036854775807`, 1) + "]": false,
		"[" + strings.Replace(good, `"size":512`, `"size":1e30`, 1) + "]":                false,
		"[" + strings.Replace(good, "/dev/vda", "/etc/passwd", 1) + "]":                  false,
		"[" + strings.Replace(good, "/dev/vda", "/dev/a b", 1) + "]":                     false,
		"[" + strings.Replace(good, "}", `,"serial":"\u001b[2J"}`, 1) + "]":              false,
		"[" + strings.Repeat(good+",", maxDisks) + good + "]":                            false,
		"":                  false,
		"[" + good + "] x":  false,
		`{"path":"/dev/a"}`: false,
	} {
		if _, err := Parse([]byte(text)); (err == nil) != ok {
			t.Errorf("%.100s: %v", text, err)
		}
	}
}
