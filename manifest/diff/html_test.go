package diff_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// page is the report of two builds.
func page(t testing.TB, a, b *manifest.Manifest) string {
	t.Helper()
	var out bytes.Buffer
	if err := diff.Of(a, b, false).WriteHTML(&out, a, b); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The page loads nothing, and what stands in an archive never becomes markup.
func TestHTML(t *testing.T) {
	a, b := pairOfBuilds()
	if first, second := page(t, a, b), page(t, a, b); first != second {
		t.Error("other bytes the second time")
	}
	evil := "x/</script><script>alert(1)</script><img src=//evil>"
	b.Entries = append(b.Entries, manifest.Entry{Path: evil, Type: manifest.File, Size: 1, SHA256: strings.Repeat("e", 64)})
	b.Archive.Name = `"><img src=//evil>`
	text := page(t, a, b)
	if n := strings.Count(text, "<script"); n != 2 {
		t.Errorf("%d scripts, want the data and ours", n)
	}
	if strings.Contains(text, "<img") {
		t.Error("a name became markup")
	}
	if m := regexp.MustCompile(`(?i)(src|href)\s*=|@import|url\(`).FindString(regexp.MustCompile(`(?s)<script type.*?</script>`).ReplaceAllString(
		strings.ReplaceAll(text, "src=//evil", ""), "")); m != "" {
		t.Errorf("the page refers to something: %q", m)
	}
}
