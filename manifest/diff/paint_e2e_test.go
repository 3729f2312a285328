//go:build e2e

package diff_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"groundhog/manifest/diff"

	"github.com/chromedp/chromedp"
)

func TestPaintScratch(t *testing.T) {
	for _, n := range []int{10_000, 20_000} {
		a, b := large(n, 1), large(n, 2)
		for i := range b.Entries {
			e := &b.Entries[i]
			e.Size, e.SHA256 = e.Size+int64(i%7)-2, fmt.Sprintf("%064x", i)
		}
		c := diff.Of(a, b, false)
		var html strings.Builder
		if err := c.WriteHTML(&html, a, b); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(fmt.Sprintf("/work/tmp/reports/p%d.html", n), []byte(html.String()), 0o644)
		ctx, _ := browser(t, html.String())
		for range 6 {
			do(t, ctx, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("#rows tr")))
			s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify({paint:performance.getEntriesByType("paint").map(p=>[p.name,p.startTime|0]),nav:(n=>[n.responseEnd|0,n.domInteractive|0,n.domContentLoadedEventEnd|0])(performance.getEntriesByType("navigation")[0])})`))
			load, _ := os.ReadFile("/proc/loadavg")
			t.Log(n, len(html.String()), s, err, string(load))
		}
	}
}
