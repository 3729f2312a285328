package diff_test

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest"
	"groundhog/manifest/diff"
)

// page is the report of two builds.
func page(t testing.TB, a, b *manifest.Manifest) string {
	t.Helper()
	var out bytes.Buffer
	judge.Must(t, diff.Of(a, b, false).WriteHTML(&out, a, b))
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
	text := strings.ReplaceAll(page(t, a, b), "<wbr>", "")
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

// Every text of the pages has a contrast of at least 4.5 to what it stands on (WCAG 2.2, 1.4.3), in both schemes.
func TestContrast(t *testing.T) {
	css := judge.ReadFile(t, "page/page.css")
	colours := regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`)
	light, dark, ok := strings.Cut(string(css), "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("no dark scheme")
	}
	for name, scheme := range map[string]string{"light": light, "dark": dark} {
		luminance := map[string]float64{}
		for _, m := range colours.FindAllStringSubmatch(scheme, -1) {
			var r, g, b int
			judge.Value(fmt.Sscanf(m[2], "%02x%02x%02x", &r, &g, &b))(t)
			linear := func(v int) float64 {
				s := float64(v) / 255
				if s <= 0.04045 {
					return s / 12.92
				}
				return math.Pow((s+0.055)/1.055, 2.4)
			}
			luminance[m[1]] = 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
		}
		for _, pair := range []string{"text back", "text panel", "soft back", "soft panel", "more back", "more panel", "less back", "less panel", "alarm back",
			"back text", "ink same", "ink more-1", "ink more-2", "ink more-3", "ink less-1", "ink less-2", "ink less-3", "ink-strong more-4", "ink-strong less-4"} {
			var over, under string
			fmt.Sscan(pair, &over, &under)
			a, known := luminance[over]
			b, also := luminance[under]
			if c := (max(a, b) + 0.05) / (min(a, b) + 0.05); !known || !also || c < 4.5 {
				t.Errorf("%s: %s on %s: %.2f", name, over, under, c)
			}
		}
	}
}

// Without a script the page lists what changed of each package, the largest first.
func TestNoScript(t *testing.T) {
	text := strings.ReplaceAll(page(t, first(pairOfBuilds()), second(pairOfBuilds())), "<wbr>", "")
	_, text, ok := strings.Cut(text, "<noscript>")
	text, _, closed := strings.Cut(text, "</noscript>")
	if !ok || !closed {
		t.Fatal("nothing for a browser without scripts")
	}
	text = html.UnescapeString(text)
	at := -1
	for _, want := range []string{"<td>curl <span class=\"soft\">7.88.1-10+deb12u12 -> 7.88.1-10+deb12u14</span></td><td class=\"num\">3</td>", "<small>3.4 KiB → 4.6 KiB</small>",
		"<td>from no package", "<td>unattributed"} {
		i := strings.Index(text, want)
		if i <= at {
			t.Errorf("no %q, or out of order, in %s", want, text)
		}
		at = i
	}
}

func first(a, _ *manifest.Manifest) *manifest.Manifest  { return a }
func second(_, b *manifest.Manifest) *manifest.Manifest { return b }

// Over builds a package is one with what it became, twice over; what has come or gone has no size before or after.
func TestHistory(t *testing.T) {
	a, b := builds("")
	next := strings.NewReplacer("6.1.0-51-amd64", "6.1.0-52-amd64", "libssl3", "libssl4", "libssl.so.3", "libssl.so.4")
	var text bytes.Buffer
	judge.Must(t, manifest.Encode(&text, b))
	c := judge.Value(manifest.Decode(strings.NewReader(next.Replace(text.String())), manifest.Limits{}))(t)
	text.Reset()
	judge.Must(t, diff.WriteHistory(&text, []diff.Build{buildOf(t, "one", a), buildOf(t, "two", b), buildOf(t, "three", c)}))
	for _, want := range []string{`{"name":"linux-image-6.1.0-52-amd64","unpacked":[308000,310009,310009],"packed":[0,0,0],"versions":["1","2","2"]}`,
		`{"name":"libssl4","unpacked":[500,500,500]`, "3 builds: one → three"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text.String(), "libssl3") {
		t.Error("a package is there under its old name, too")
	}
}

func buildOf(t testing.TB, name string, m *manifest.Manifest) diff.Build {
	t.Helper()
	return judge.Value(diff.BuildOf(name, m))(t)
}

// Of many builds' packages a history has a bound.
func TestHistoryIsBounded(t *testing.T) {
	packages := func(from, n int) *manifest.Manifest {
		m := &manifest.Manifest{}
		for i := range n {
			m.Packages = append(m.Packages, manifest.Package{Name: fmt.Sprint("p", from+i), Version: "1"})
		}
		return m
	}
	var builds []diff.Build
	for i := range 60 {
		builds = append(builds, buildOf(t, fmt.Sprint(i), packages(8000*i, 8000)))
	}
	var page bytes.Buffer
	if err := diff.WriteHistory(&page, builds); err == nil || !strings.Contains(err.Error(), "more than 1048576 places") || page.Len() > 0 {
		t.Errorf("%d bytes of a page: %v", page.Len(), err)
	}
	long := packages(0, 1)
	long.Packages[0].Version = strings.Repeat("1", 5<<20)
	for what, m := range map[string]*manifest.Manifest{"packages": packages(0, 20001), "a version": long} {
		if _, err := diff.BuildOf("it", m); err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
