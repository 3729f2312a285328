//go:build e2e

package diff_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"groundhog/fixtures/judge"
	"groundhog/manifest/diff"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser opens a page in Debian's chromium and collects what it complains of
// and what it asks the network for.
func browser(t *testing.T, html string) (context.Context, func() []string) {
	file := filepath.Join(t.TempDir(), "report.html")
	judge.WriteFile(t, file, html)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(judge.Tool(t, "chromium")), chromedp.NoSandbox,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1280, 1200))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	complaints := make(chan string, 1000)
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithListener(func(ev any) {
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			complaints <- ev.Entry.Text
		case *runtime.EventExceptionThrown:
			complaints <- ev.ExceptionDetails.Text
		case *runtime.EventConsoleAPICalled:
			complaints <- fmt.Sprint("console: ", ev.Type)
		case *network.EventRequestWillBeSent:
			if ev.Request.URL != "file://"+file {
				complaints <- "request: " + ev.Request.URL
			}
		}
	}))
	t.Cleanup(stop)
	do(t, ctx) // starts it
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	do(t, ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
		return err
	}), chromedp.Navigate("file://"+file), chromedp.WaitVisible(chromedp.CSS("#rows tr")))
	return ctx, func() []string {
		var all []string
		for {
			select {
			case s := <-complaints:
				all = append(all, s)
			default:
				return all
			}
		}
	}
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	judge.Must(t, chromedp.Do(ctx, steps...))
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

// eval is a number that the page computes.
func eval(t *testing.T, ctx context.Context, script string) int {
	t.Helper()
	return judge.Value(chromedp.Run(ctx, chromedp.Evaluate[int](script)))(t)
}

const (
	rowCount  = `document.querySelectorAll("#rows tr.entry").length`
	tileCount = `document.querySelectorAll("#map button").length`
)

// wrong is what a page's own script finds wrong, a line each.
func wrong(t *testing.T, ctx context.Context, what, script string) {
	t.Helper()
	found := judge.Value(chromedp.Run(ctx, chromedp.Evaluate[[]string](script)))(t)
	if len(found) > 0 {
		t.Errorf("%s: %d: %q", what, len(found), found[:min(len(found), 5)])
	}
}

// press is a key, for whoever has the focus.
func press(key string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(key) }

// show gives the page a width and a scheme of colours.
func show(t *testing.T, ctx context.Context, width int64, scheme string) {
	t.Helper()
	do(t, ctx, chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}), chromedp.Evaluate[chromedp.Void](`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))`, chromedp.EvalAwaitPromise))
}

func says(t *testing.T, ctx context.Context, selector, want string) {
	t.Helper()
	got := judge.Value(chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS(selector))))(t)
	if !strings.Contains(got, want) {
		t.Errorf("%s says %q, want %q", selector, got, want)
	}
}

// In a real browser the page shows its map and table, and both answer a click;
// nothing complains and nothing is loaded.
func TestHTMLInBrowser(t *testing.T) {
	rest := strings.Repeat("# and so on\n", 40)
	a, b := archive(t, dir("conf"), file("conf/x", "one\n"+rest), file("big", strings.Repeat("a", 9000))),
		archive(t, dir("conf"), file("conf/x", "two <b>\n"+rest), file("big", strings.Repeat("a", 8000)), file("new", strings.Repeat("n", 5000)))
	old, now := of(t, a), of(t, b)
	c := diff.Of(old, now, false)
	judge.Must(t, c.AddText(a, b))
	var html strings.Builder
	judge.Must(t, c.WriteHTML(&html, old, now))
	ctx, complaints := browser(t, html.String())
	screenshot(t, ctx, "report.png")
	if n := eval(t, ctx, rowCount); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	says(t, ctx, "#rows tr.entry .name", "new") // what grew or shrank most
	do(t, ctx, click(`button[data-by="unpacked"]`), click(`button[data-by="unpacked"]`))
	says(t, ctx, "#rows tr.entry .name", "big")
	do(t, ctx, click(`button[data-by="name"]`))
	says(t, ctx, "#rows tr.entry:nth-child(3) .name", "conf/x")

	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#filter"), "conf/"))
	if n := eval(t, ctx, rowCount); n != 1 {
		t.Errorf("filtered: %d rows, want 1", n)
	}
	do(t, ctx, click("details summary"))
	if n := eval(t, ctx, `document.querySelector("details").open ? 1 : 0`); n != 1 {
		t.Error("the text did not open")
	}
	do(t, ctx, chromedp.WaitVisible(chromedp.CSS("details pre")))
	says(t, ctx, "details pre", "+two <b>")
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`{ const f = document.getElementById("filter"); f.value = ""; f.dispatchEvent(new Event("input")) }`))

	if n := eval(t, ctx, tileCount); n != 3 {
		t.Errorf("%d files on the map, want 3", n)
	}
	if n := eval(t, ctx, `document.querySelectorAll("#map i").length`); n != 0 {
		t.Errorf("%d pictures inside of files", n)
	}
	if n := eval(t, ctx, `document.querySelector("#map button").getBoundingClientRect().width|0`); n < 500 {
		t.Errorf("the map's largest tile is %d wide", n)
	}
	do(t, ctx, click(`#map button[data-path="conf/x"]`))
	if n := eval(t, ctx, rowCount); n != 1 {
		t.Errorf("of one file: %d rows, want 1", n)
	}
	do(t, ctx, press(kb.Escape), press(kb.Escape))
	if n := eval(t, ctx, rowCount); n != 3 {
		t.Errorf("back at all: %d rows, want 3", n)
	}
	if all := complaints(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
	// And we would hear it, and its policy keeps the page from loading anything.
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`{ console.error("heard"); new Image().src = "http://127.0.0.1:9/x" }`))
	var heard string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && strings.Count(heard, "\n") < 2; {
		eval(t, ctx, "0") // a round trip to the browser
		heard += strings.Join(append(complaints(), ""), "\n")
	}
	if !strings.Contains(heard, "console: error") || !strings.Contains(heard, "Content Security Policy") {
		t.Errorf("an error and a forbidden request went unheard: %q", heard)
	}
}

// pale is texts that stand on something with a contrast of less than 4.5 (WCAG 2.2, 1.4.3), as the browser has drawn them.
const pale = `(() => {
  const rgb = c => c.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const under = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && !e.closest("script,noscript") && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).flatMap(e => {
    const s = getComputedStyle(e), a = light(rgb(e.namespaceURI.endsWith("svg") ? s.fill : s.color)), b = light(under(e));
    const c = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return c < 4.5 ? [c.toFixed(2) + " " + e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)] : [];
  });
})()`

// clipped is labels of tiles that do not fit, or that repeat what all of their package have in common.
const clipped = `[...document.querySelectorAll("#map button > *")].filter(e => e.scrollWidth > e.parentElement.clientWidth || e.textContent.includes("usr/lib/modules"))
  .map(e => e.textContent)`

// wide is what makes the page wider than the window.
const wide = `document.documentElement.scrollWidth > innerWidth ? [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("pre"))
  .map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)) : []`

// colours is the computed background, or fill, of each of some elements, as the page has drawn them.
const colours = `s => [...new Set([...document.querySelectorAll(s)].map(e => getComputedStyle(e)[e.namespaceURI.endsWith("svg") ? "fill" : "backgroundColor"]))]`

// unexplained is colours of the page's picture that its legend has not.
func unexplained(picture string) string {
	return `(of => { const known = of("#legend span"); return of(` + "`" + picture + "`" + `).filter(c => !known.includes(c)); })(` + colours + `)`
}

// The page's head is painted before its data are read: what changed in all is to be seen at once, however much it is.
func TestFirstPaint(t *testing.T) {
	a, b := large(10_000, 1), large(10_000, 2)
	for i := range b.Entries {
		e := &b.Entries[i]
		e.Size, e.SHA256 = e.Size+int64(i%7)-2, fmt.Sprintf("%064x", i)
	}
	var html strings.Builder
	judge.Must(t, diff.Of(a, b, false).WriteHTML(&html, a, b))
	ctx, _ := browser(t, html.String())
	const when = `new Promise(done => new PerformanceObserver(list => {
		for (const p of list.getEntriesByName("first-contentful-paint")) done(JSON.stringify([p.startTime, performance.getEntriesByType("navigation")[0].domInteractive].map(Math.round)));
	}).observe({ type: "paint", buffered: true }))` // it may be told later than all is drawn
	judge.Until(t, "the head painted before all was drawn", func() bool { // now and then the browser is done with all first
		do(t, ctx, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("#rows tr")))
		text := judge.Value(chromedp.Run(ctx, chromedp.Evaluate[string](when, chromedp.EvalAwaitPromise)))(t)
		var paint, drawn int
		judge.Value(fmt.Sscanf(text, "[%d,%d]", &paint, &drawn))(t)
		load, _ := os.ReadFile("/proc/loadavg")
		t.Logf("first paint after %d ms, all drawn after %d ms, load %s", paint, drawn, load)
		return paint < drawn
	})
}

// Of 20,000 changes the page shows few at once and all in the end, to a keyboard, at any width, in both schemes.
func TestLargePageInBrowser(t *testing.T) {
	a, b := large(20_000, 1), large(20_000, 2)
	for i := range b.Entries {
		e := &b.Entries[i]
		e.Size, e.SHA256 = e.Size+int64(i%7)-2, fmt.Sprintf("%064x", i)
	}
	c := diff.Of(a, b, false)
	var html strings.Builder
	judge.Must(t, c.WriteHTML(&html, a, b))
	ctx, complaints := browser(t, html.String())
	if n := eval(t, ctx, `document.querySelectorAll("*").length`); n > 8000 {
		t.Errorf("%d elements at first: the browser is slow to show them", n)
	}
	wrong(t, ctx, "texts on the map", clipped)
	wrong(t, ctx, "colours on the map", unexplained("#map button, #map i"))
	screenshot(t, ctx, "large.png")

	// All are reached: each page of the table has others.
	do(t, ctx, click("#open"))
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int](`{
		const seen = new Set(); let next;
		do { for (const e of document.querySelectorAll("#rows tr.entry .name > span")) seen.add(e.title); next = document.querySelector("[data-key=next]"); next.click(); } while (!next.disabled);
		seen.size }`))
	if err != nil || n != 20_000 {
		t.Errorf("%d of 20,000 changes can be reached (%v)", n, err)
	}
	do(t, ctx, click("#open"))

	// The focus stays: on the head that sorts, on the package that opens, from tile to tile and back.
	focused := func(want string) {
		t.Helper()
		if ok := eval(t, ctx, `document.activeElement && document.activeElement.matches('`+want+`') ? 1 : 0`); ok != 1 {
			t.Errorf("the focus is not on %s", want)
		}
	}
	do(t, ctx, chromedp.Focus(chromedp.CSS(`button[data-by="name"]`)), press(kb.Enter))
	focused(`button[data-by="name"]`)
	if n := eval(t, ctx, `document.querySelectorAll('thead [aria-sort="ascending"]').length`); n != 1 {
		t.Errorf("%d columns say that they are sorted", n)
	}
	do(t, ctx, chromedp.Focus(chromedp.CSS(`#rows button`)), press(kb.Enter))
	focused(`#rows button[aria-expanded="true"]`)
	do(t, ctx, chromedp.Focus(chromedp.CSS("#map button")), press(kb.ArrowRight))
	focused(`#map button[tabindex="0"]:not(:first-child)`)
	do(t, ctx, press(kb.Enter))
	focused("#map button")
	wrong(t, ctx, "texts inside a package", clipped)
	says(t, ctx, "#crumbs", "usr/lib/modules/6.1.0-56-amd64/kernel/drivers/")
	do(t, ctx, press(kb.Escape))
	focused("#map button")
	if n := eval(t, ctx, `document.querySelectorAll('#map button[tabindex="0"]').length`); n != 1 {
		t.Errorf("Tab stops at %d tiles", n)
	}

	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1400, 420} {
			show(t, ctx, width, scheme)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": pale"), pale)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": too wide"), wide)
		}
	}
	if n := eval(t, ctx, `{ const [a, b] = document.querySelector("#rows tr").children; b.getBoundingClientRect().top >= a.getBoundingClientRect().bottom - 1 ? 1 : 0 }`); n != 1 {
		t.Error("at 420 pixels the cells of a row stand side by side")
	}
	if all := complaints(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
}

// A package that is most of the map shows what is in it.
func TestLargePackageInBrowser(t *testing.T) {
	a, b := large(400, 1), large(400, 2)
	for i := range b.Entries {
		e := &b.Entries[i]
		e.Size, e.Origin.Name = 1_000_000+int64(i), "package0"
		e.Path = strings.Replace(e.Path, "/drivers/", fmt.Sprintf("/drivers/k%d/", i%4), 1)
		a.Entries[i].Origin.Name, a.Entries[i].Path, a.Entries[i].Size = "package0", e.Path, e.Size
	}
	b.Entries[1].Size *= 3
	b.Entries[0].Origin.Name = "package1"
	a.Entries[0].Origin.Name = "package1"
	var html strings.Builder
	judge.Must(t, diff.Of(a, b, false).WriteHTML(&html, a, b))
	ctx, complaints := browser(t, html.String())
	if n := eval(t, ctx, `document.querySelectorAll("#map button i").length`); n < 4 {
		t.Errorf("%d pictures in the package", n)
	}
	wrong(t, ctx, "colours on the map", unexplained("#map button, #map i"))
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1400, 420} {
			show(t, ctx, width, scheme)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": pale"), pale)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": too wide"), wide)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": texts on the map"), clipped)
		}
	}
	if all := complaints(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
}

// The page of many builds: a package's bars on a click, nothing pale, nothing too wide.
func TestHistoryInBrowser(t *testing.T) {
	var builds []diff.Build
	for i := range 12 {
		m := large(2000, i)
		for j := range m.Entries {
			if j/200 == i%10 {
				m.Entries[j].Size += 1000
			}
		}
		builds = append(builds, buildOf(t, fmt.Sprintf("build-%03d", i), m))
	}
	var html strings.Builder
	judge.Must(t, diff.WriteHistory(&html, builds))
	ctx, complaints := browser(t, html.String())
	screenshot(t, ctx, "history.png")
	if n := eval(t, ctx, `document.querySelectorAll("#chart rect").length`); n != 12 {
		t.Errorf("%d bars, want 12", n)
	}
	wrong(t, ctx, "colours of bars", unexplained("rect"))
	do(t, ctx, click("#rows button"))
	says(t, ctx, "#chart-name", "package")
	if n := eval(t, ctx, `document.activeElement.matches('#rows button[aria-pressed="true"]') ? 1 : 0`); n != 1 {
		t.Error("the focus did not stay")
	}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1400, 420} {
			show(t, ctx, width, scheme)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": pale"), pale)
			wrong(t, ctx, fmt.Sprint(scheme, " ", width, ": too wide"), wide)
		}
	}
	if all := complaints(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
}

// screenshot leaves a picture of the page where GROUNDHOG_SCREENSHOT names a
// directory.
func screenshot(t *testing.T, ctx context.Context, name string) {
	dir := os.Getenv("GROUNDHOG_SCREENSHOT")
	if dir == "" {
		return
	}
	png := judge.Value(chromedp.Run(ctx, chromedp.FullScreenshot(100)))(t)
	judge.Must(t, os.WriteFile(filepath.Join(dir, name), png, 0o644))
}
