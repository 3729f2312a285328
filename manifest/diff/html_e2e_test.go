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
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser opens a page in Debian's chromium and collects what it complains of
// and what it asks the network for.
func browser(t *testing.T, html string) (context.Context, func() []string) {
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		t.Fatal(err)
	}
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
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

// eval is a number that the page computes.
func eval(t *testing.T, ctx context.Context, script string) int {
	t.Helper()
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int](script))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	rowCount  = `document.querySelectorAll("#rows tr").length`
	tileCount = `document.querySelectorAll("#map button").length`
)

func says(t *testing.T, ctx context.Context, selector, want string) {
	t.Helper()
	got, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS(selector)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, want) {
		t.Errorf("%s says %q, want %q", selector, got, want)
	}
}

// In a real browser the page shows its map and table, and both answer a click;
// nothing complains and nothing is loaded.
func TestHTMLInBrowser(t *testing.T) {
	a, b := archive(t, dir("conf"), file("conf/x", "one\n"), file("big", strings.Repeat("a", 9000))),
		archive(t, dir("conf"), file("conf/x", "two <b>\n"), file("big", strings.Repeat("a", 8000)), file("new", strings.Repeat("n", 5000)))
	old, now := of(t, a), of(t, b)
	c := diff.Of(old, now, false)
	if err := c.AddText(a, b); err != nil {
		t.Fatal(err)
	}
	var html strings.Builder
	if err := c.WriteHTML(&html, old, now); err != nil {
		t.Fatal(err)
	}
	ctx, complaints := browser(t, html.String())
	screenshot(t, ctx, "report.png")
	if n := eval(t, ctx, rowCount); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	says(t, ctx, "#rows tr td:nth-child(2)", "new") // the largest growth first
	do(t, ctx, click(`button[data-by="growth"]`))
	says(t, ctx, "#rows tr td:nth-child(2)", "big")
	do(t, ctx, click(`button[data-by="path"]`))
	says(t, ctx, "#rows tr:nth-child(2) td:nth-child(2)", "conf/x")

	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#filter"), "conf/"))
	if n := eval(t, ctx, rowCount); n != 1 {
		t.Errorf("filtered: %d rows, want 1", n)
	}
	if n := eval(t, ctx, `document.querySelector("details").open ? 1 : 0`); n != 0 {
		t.Error("the text stands open")
	}
	do(t, ctx, click("details summary"))
	if n := eval(t, ctx, `document.querySelector("details").open ? 1 : 0`); n != 1 {
		t.Error("the text did not open")
	}
	says(t, ctx, "details pre", "+two <b>")
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`{ const f = document.getElementById("filter"); f.value = ""; f.dispatchEvent(new Event("input")) }`))

	if n := eval(t, ctx, tileCount); n != 1 {
		t.Errorf("%d packages on the map, want 1", n)
	}
	if n := eval(t, ctx, `document.querySelector("#map button").getBoundingClientRect().width|0`); n < 500 {
		t.Errorf("the map's only tile is %d wide", n)
	}
	do(t, ctx, click("#map button"))
	if n := eval(t, ctx, tileCount); n != 2 {
		t.Errorf("%d directories on the map, want 2", n)
	}
	do(t, ctx, click(`#map button[title^="conf:"]`))
	if n := eval(t, ctx, rowCount); n != 1 {
		t.Errorf("in a directory: %d rows, want 1", n)
	}
	do(t, ctx, click("#up"))
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

// screenshot leaves a picture of the page where GROUNDHOG_SCREENSHOT names a
// directory.
func screenshot(t *testing.T, ctx context.Context, name string) {
	dir := os.Getenv("GROUNDHOG_SCREENSHOT")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
