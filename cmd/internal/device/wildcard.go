package device

// matchWildcard matches s against a pattern of ssh_config(5), "PATTERNS": * is any text, ? any one byte.
func matchWildcard(pattern, s string) bool {
	star, from := -1, 0 // the last * of the pattern, and where in s what follows it was last tried
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
