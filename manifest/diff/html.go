package diff

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

//go:embed page
var pageFiles embed.FS

func pageFile(name string) string {
	b, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is in the program
	}
	return string(b)
}

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{"bytes": show.Bytes, "growth": show.Growth, "count": show.Count,
	"trend": trendWord, "breakable": breakableParts}).ParseFS(pageFiles, "page/*.html"))

// trendWord is the page's word, and so its colour, for a growth.
func trendWord(n int64) string {
	switch {
	case n > 0:
		return "more"
	case n < 0:
		return "less"
	}
	return ""
}

// writePage writes a page that needs nothing else: style and script stand in it, and its policy forbids it to load or send
// anything, and to run anything but that script.
func writePage(w io.Writer, name, title string, fields map[string]any) error {
	css, js := pageFile("page.css"), pageFile("common.js")+pageFile(name+".js")
	fields["Title"] = show.Printable(title)
	fields["Policy"] = "default-src 'none'; style-src 'sha256-" + policyHash(css) + "'; script-src 'sha256-" + policyHash(js) + "'"
	fields["CSS"], fields["JS"] = template.CSS(css), template.JS(js)
	return pageTemplates.ExecuteTemplate(w, name+".html", fields)
}

// policyHash is how a content security policy names the one script it allows.
func policyHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// WriteHTML writes the changes from a to b as one page for a browser, which needs nothing else: a map of all sizes by package,
// directory and file, and a table of what changed by package. Without a script it lists totals.
func (c *Changes) WriteHTML(w io.Writer, a, b *manifest.Manifest) error {
	s := sizesOf(c, a, b)
	rows := s.tableRows()
	return writePage(w, "report", fmt.Sprintf("%s → %s", cmp.Or(c.Old.Name, "old"), cmp.Or(c.New.Name, "new")), map[string]any{
		"C":      c,
		"Cards":  c.figureCards(a, b),
		"Broken": c.brokenRules(),
		"Head":   c.headLines(),
		"Totals": s.packageTotals(),
		"Data":   pageData{Packed: len(a.Segments) > 0 && len(b.Segments) > 0, Packages: s.list, Nodes: s.mapTiles(), Rows: rows},
	})
}

// pageData is what the page's script works on.
type pageData struct {
	Packed   bool          `json:"packed"` // whether shares of a file are known
	Packages []pagePackage `json:"packages"`
	Nodes    []mapNode     `json:"nodes"`
	Rows     []tableRow    `json:"rows"`
}

// tableRow is a change as the table shows it.
type tableRow struct {
	mark                           string
	pkg                            int
	path, from, details, own, text string
	bytesOf
}

// MarshalJSON writes a row as a list: there are tens of thousands of them.
func (r tableRow) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{r.mark, r.pkg, r.path, r.from, r.details, r.own, r.Old, r.New, r.OldPacked, r.NewPacked, r.text})
}

func (s *packageSizes) tableRows() []tableRow {
	rows := []tableRow{}
	for g, ch := range s.c.Each {
		r := tableRow{mark: ch.Mark(), pkg: s.packageNumber(groupKey{g.Origin, g.Name, g.Architecture}), path: show.Printable(ch.Path), from: show.Printable(ch.cameFrom()),
			details: show.Printable(strings.Join(ch.detailParts(), ", ")), own: show.Printable(cmp.Or(patchOf(ch.New), patchOf(ch.Old))), text: ch.Text}
		if under, _ := s.c.underKernel(ch.Path); ch.Kind == Removed && under != ch.Path {
			r.path, r.from = show.Printable(under), r.path // beside the modules of the kernel that there is now
		}
		if ch.Old != nil {
			r.Old, r.OldPacked = ownSize(ch.Old), s.packed(ch.Old)
		}
		if ch.New != nil {
			r.New, r.NewPacked = ownSize(ch.New), s.newPack(ch.New)
		}
		rows = append(rows, r)
	}
	return rows
}

// figureCard is one figure of the whole.
type figureCard struct {
	Name, Old, New, Growth, Trend, Note string
}

// figureCards are the sizes of the whole: of the file, which a boot loader reads, and of its content, in memory. They stand side by side
// because one can grow while the other shrinks.
func (c *Changes) figureCards(a, b *manifest.Manifest) []figureCard {
	var cards []figureCard
	add := func(name string, old, now int64, note string) {
		cards = append(cards, figureCard{name, show.Bytes(old), show.Bytes(now), growthText(old, now), trendWord(now - old), note})
	}
	if c.Old.Size > 0 && c.New.Size > 0 {
		add("the file, compressed", c.Old.Size, c.New.Size, packedNote(a, b))
	}
	note := ""
	if c.Total.Own != 0 {
		note = c.OwnLine()
	}
	add("its content, unpacked", c.Old.Content, c.New.Content, show.Printable(note))
	return cards
}

// packedNote says how far the content is compressed on either side, because a file may grow while its content shrinks.
func packedNote(a, b *manifest.Manifest) string {
	ratio := func(m *manifest.Manifest) string {
		return fmt.Sprintf("%.1f to 1", float64(m.Archive.Unpacked)/float64(m.Archive.Size))
	}
	if old, now := ratio(a), ratio(b); old != now {
		return "packed " + now + ", before " + old
	}
	return "packed " + ratio(b) + ", as before"
}

// packageTotal is a package's line where no script runs.
type packageTotal struct {
	pagePackage
	Files          int
	Growth, Packed int64
}

// mostTotals is how many packages are listed where no script runs.
const mostTotals = 500

// packageTotals is the packages that changed, largest first.
func (s *packageSizes) packageTotals() []packageTotal {
	files := map[int]int{}
	for i := range s.c.Packages {
		g := &s.c.Packages[i]
		files[s.packageNumber(groupKey{g.Origin, g.Name, g.Architecture})] += g.Files
	}
	var list []packageTotal
	for i, p := range s.list {
		if n, changed := files[i]; changed {
			list = append(list, packageTotal{p, n, p.New - p.Old, p.NewPacked - p.OldPacked})
		}
	}
	slices.SortStableFunc(list, func(x, y packageTotal) int { return cmp.Compare(sizeOf(y.Growth), sizeOf(x.Growth)) })
	return list[:min(len(list), mostTotals)]
}

// brokenRule is a rule that tripped, and where: the first places, and the others.
type brokenRule struct {
	Rule        string
	First, Rest []Trip
}

func (c *Changes) brokenRules() []brokenRule {
	var list []brokenRule
	for _, t := range c.Tripped {
		i := slices.IndexFunc(list, func(b brokenRule) bool { return b.Rule == t.Rule })
		if i < 0 {
			i = len(list)
			list = append(list, brokenRule{Rule: t.Rule})
		}
		if b := &list[i]; len(b.First) < briefTrips {
			b.First = append(b.First, t)
		} else {
			b.Rest = append(b.Rest, t)
		}
	}
	return list
}

// breakableParts is a text without what would turn a line around or break it, in parts between which a line may be broken: it is
// not within a word of a path.
func breakableParts(text string) []string {
	var parts []string
	from := 0
	text = show.Printable(text)
	for i := 1; i < len(text); i++ {
		if strings.IndexByte("/_+:-", text[i-1]) >= 0 && strings.IndexByte("/_+:->", text[i]) < 0 {
			parts = append(parts, text[from:i])
			from = i
		}
	}
	return append(parts, text[from:])
}

// groupName is a group without its versions.
func groupName(origin, name string) string {
	if manifest.OriginKind(origin) == manifest.FromPackage {
		return name
	}
	return (&Group{Origin: origin, Name: name}).Title()
}
