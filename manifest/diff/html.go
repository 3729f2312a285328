package diff

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"groundhog/initrd/show"
	"groundhog/manifest"
)

//go:embed page/report.html
var pageHTML string

//go:embed page/report.css
var pageCSS string

//go:embed page/report.js
var pageJS string

var pageTemplate = template.Must(template.New("report").Parse(pageHTML))

// WriteHTML writes the changes from a to b as one page for a browser, which
// needs nothing else: a map of all sizes by package and directory, and a table
// of what changed. Its policy forbids it to load or send anything.
func (c *Changes) WriteHTML(w io.Writer, a, b *manifest.Manifest) error {
	return pageTemplate.Execute(w, map[string]any{
		"Title":  show.Printable(fmt.Sprintf("%s → %s", cmp.Or(c.Old.Name, "old"), cmp.Or(c.New.Name, "new"))),
		"Policy": "default-src 'none'; style-src 'sha256-" + policyHash(pageCSS) + "'; script-src 'sha256-" + policyHash(pageJS) + "'",
		"CSS":    template.CSS(pageCSS),
		"JS":     template.JS(pageJS),
		"C":      c,
		"Trips":  c.printableTrips(),
		"Notes":  c.notes(),
		"Data":   pageData{Nodes: sizeMap(a, b), Rows: c.rows()},
	})
}

// printableTrips is what tripped, without what would turn a line around or break it.
func (c *Changes) printableTrips() []Trip {
	list := slices.Clone(c.Tripped)
	for i, t := range list {
		list[i] = Trip{show.Printable(t.Rule), show.Printable(t.Where), show.Printable(t.What)}
	}
	return list
}

// policyHash is how a content security policy names the one script it allows.
func policyHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// notes are the facts of a report, a line each.
func (c *Changes) notes() []string {
	var b strings.Builder
	t := &textReport{w: bufio.NewWriter(&b)}
	t.head(c)
	t.w.Flush()
	return slices.Collect(strings.Lines(b.String()))
}

// pageData is what the page's script works on.
type pageData struct {
	Nodes []node `json:"nodes"`
	Rows  []row  `json:"rows"`
}

// row is a change as the table shows it.
type row struct {
	Mark    string `json:"mark"`
	Path    string `json:"path"`
	From    string `json:"from,omitempty"`
	Package string `json:"package"`
	Details string `json:"details"`
	Growth  int64  `json:"growth"`
	Text    string `json:"text,omitempty"`
}

func (c *Changes) rows() []row {
	rows := []row{}
	for g, ch := range c.Each {
		rows = append(rows, row{ch.Mark(), show.Printable(ch.Path), show.Printable(ch.From), show.Printable(groupName(g.Origin, g.Name)),
			show.Printable(strings.Join(ch.parts(), ", ")), ch.Growth, ch.Text})
	}
	return rows
}

// groupName is a group without its versions.
func groupName(origin, name string) string {
	if manifest.OriginKind(origin) == manifest.FromPackage {
		return name
	}
	return (&Group{Origin: origin, Name: name}).Title()
}
