package diff_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"groundhog/fixtures/judge"
	"groundhog/initrd"
	"groundhog/manifest"
	"groundhog/manifest/diff"
	"groundhog/manifest/sbom"
)

// FuzzReports: whatever two archives hold, the reports of their difference have no
// markup but ours, and what is JSON is JSON that steers no terminal.
func FuzzReports(f *testing.F) {
	names, err := filepath.Glob("../../fixtures/archives/*.[ci][pm]*")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	base := handmadeBytes(f, dir("etc"), file("etc/passwd", "root:*:0:0::/root-x:/bin/sh\n"))
	for _, s := range evil {
		if s = strings.ReplaceAll(strings.ReplaceAll(s, "/", "\u2215"), "\x00", ""); s != "" {
			f.Add(base, handmadeBytes(f, dir("etc"), file("etc/"+s, s+"\n"), link("etc/l"+s, s)))
		}
	}
	for _, name := range names {
		b := judge.ReadFile(f, name)
		f.Add(base, b)
	}
	f.Fuzz(func(t *testing.T, x, y []byte) {
		oldImage, old := described(x)
		nowImage, now := described(y)
		if old == nil || now == nil {
			return
		}
		for _, write := range []func(*bytes.Buffer) error{
			func(w *bytes.Buffer) error { return sbom.SPDX(w, now) },
			func(w *bytes.Buffer) error { return sbom.CycloneDX(w, now) },
			func(w *bytes.Buffer) error { return manifest.Encode(w, now) },
		} {
			var b bytes.Buffer
			if err := write(&b); err == nil && (!json.Valid(b.Bytes()) || bytes.ContainsAny(b.Bytes(), "\x1b\x07\x00")) {
				t.Fatalf("no JSON, or one that steers a terminal: %q", b.Bytes())
			}
		}
		c := diff.Of(old, now, true)
		judge.Must(t, c.AddText(oldImage, nowImage))
		checkReports(t, c, old, now)
	})
}

// described is an archive and its manifest, or nothing.
func described(b []byte) (*initrd.Image, *manifest.Manifest) {
	img, err := initrd.ReadHashed(bytes.NewReader(b), initrd.Limits{Unpacked: 1 << 20, Entries: 200})
	if err != nil || len(b) > 1<<16 {
		return nil, nil
	}
	m, err := manifest.Of(img)
	if err != nil {
		return nil, nil
	}
	return img, m
}

func handmadeBytes(t testing.TB, entries ...initrd.Entry) []byte {
	var b bytes.Buffer
	judge.Value(archive(t, entries...).WriteTo(&b))(t)
	return b.Bytes()
}

func checkReports(t *testing.T, c *diff.Changes, old, now *manifest.Manifest) {
	t.Helper()
	var md, page, text bytes.Buffer
	if err := c.WriteMarkdown(&md); err != nil || md.Len() > 61000 {
		t.Fatalf("%d bytes, %v", md.Len(), err)
	}
	if live := liveMarkdown(t, md.Bytes()); len(live) > 0 {
		t.Fatalf("live: %q in\n%s", live, md.Bytes())
	}
	if err := c.WriteText(&text, false); err != nil || strings.ContainsFunc(text.String(), steers) {
		t.Fatalf("%v, %q", err, text.String())
	}
	judge.Must(t, c.WriteHTML(&page, old, now))
	doc := judge.Value(html.Parse(&page))(t)
	var scripts int
	for n := range doc.Descendants() {
		switch {
		case n.Type == html.CommentNode, n.Type == html.ElementNode && slices.Contains([]string{"img", "a", "iframe", "object", "svg", "link", "form"}, n.Data):
			t.Fatalf("live: %s", n.Data)
		case n.Type == html.ElementNode && n.Data == "script":
			scripts++
		}
	}
	if scripts != 2 {
		t.Fatalf("%d scripts", scripts)
	}
}

// steers reports whether a terminal would take r for more than a character.
func steers(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 }
