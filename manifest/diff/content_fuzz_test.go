package diff_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"groundhog/manifest/diff"
)

// FuzzUnifiedDiff: of two texts the diff has every line that is in one of them only,
// no line that steers a terminal, and nothing of two that are the same.
func FuzzUnifiedDiff(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nx\nc\n")
	f.Add("", "\x1b")
	f.Add("a", "a\n")
	f.Add(strings.Repeat("x\ny\n", 50), strings.Repeat("y\nx\n", 50))
	f.Fuzz(func(t *testing.T, before, after string) {
		text := diff.UnifiedDiff("n", "n", []byte(before), []byte(after))
		if strings.ContainsFunc(text, steers) {
			t.Fatalf("%q", text)
		}
		if before == after && text != "" {
			t.Fatalf("a difference between a text and itself: %q", text)
		}
		if text == "" || !utf8.ValidString(before+after) || strings.ContainsFunc(before+after, func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
			return
		}
		count := map[string]int{}
		for line := range strings.Lines(after) {
			count[strings.TrimSuffix(line, "\n")]++
		}
		for line := range strings.Lines(before) {
			count[strings.TrimSuffix(line, "\n")]--
		}
		_, body, _ := strings.Cut(text, "\n@@") // the names of both sides come before
		for line := range strings.Lines("@@" + body) {
			switch line = strings.TrimSuffix(line, "\n"); line[0] {
			case '+':
				count[line[1:]]--
			case '-':
				count[line[1:]]++
			}
		}
		for line, n := range count {
			if n != 0 {
				t.Fatalf("%q is out by %d in\n%s", line, n, text)
			}
		}
	})
}
