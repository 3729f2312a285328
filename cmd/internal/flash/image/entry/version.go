package entry

import (
	"cmp"
	"strings"
)

// compareVersions is the order of the UAPI Group's Version Format Specification, from the older to the newer.
func compareVersions(a, b string) int {
	for {
		a, b = strings.TrimLeftFunc(a, noVersion), strings.TrimLeftFunc(b, noVersion)
		if n := takeMark(&a, &b, '~'); n != 0 { // before the end of a text: 1~rc1 is older than 1
			return n
		}
		if a == "" || b == "" {
			return cmp.Compare(len(a), len(b))
		}
		for _, c := range []byte("-^.") {
			if n := takeMark(&a, &b, c); n != 0 {
				return n
			}
		}
		x, y := takeRun(&a, isDigit), takeRun(&b, isDigit)
		if x == "" && y == "" {
			if n := strings.Compare(takeRun(&a, isLetter), takeRun(&b, isLetter)); n != 0 {
				return n
			}
			continue
		}
		if n := falseFirst(x != "", y != ""); n != 0 { // letters are older than a number
			return n
		}
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if n := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); n != 0 {
			return n
		}
	}
}

// takeMark takes a mark off both; who has it alone is the older.
func takeMark(a, b *string, c byte) int {
	x, y := strings.HasPrefix(*a, string(c)), strings.HasPrefix(*b, string(c))
	if x && y {
		*a, *b = (*a)[1:], (*b)[1:]
	}
	return falseFirst(!x, !y)
}

// takeRun takes a run of characters off s.
func takeRun(s *string, is func(rune) bool) string {
	rest := strings.TrimLeftFunc(*s, is)
	run := (*s)[:len(*s)-len(rest)]
	*s = rest
	return run
}

func isDigit(r rune) bool   { return r >= '0' && r <= '9' }
func isLetter(r rune) bool  { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
func noVersion(r rune) bool { return !isDigit(r) && !isLetter(r) && !strings.ContainsRune("-.~^", r) }

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
