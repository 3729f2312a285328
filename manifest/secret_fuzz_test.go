package manifest_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"groundhog/manifest"
)

// FuzzSecret: whatever stands around a secret, it is found.
func FuzzSecret(f *testing.F) {
	secrets := []string{
		"-----BEGIN OPENSSH PRIVATE KEY-----",
		"root:$6$saltsalt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.:19000:0:99999:7:::",
		"AGE-SECRET-KEY-1QQPQQPQQPQQPQQPQQPQ", "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", "psk=abcdefgh",
	}
	for i := range secrets {
		f.Add(uint8(i), "", "")
		f.Add(uint8(i), "#!/bin/sh\n", "\nexit 0\n")
		f.Add(uint8(i), strings.Repeat("a:b:c\n", 1000), strings.Repeat("\n", 1000))
	}
	f.Fuzz(func(t *testing.T, which uint8, before, after string) {
		text := before + "\n" + secrets[int(which)%len(secrets)] + "\n" + after
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }) {
			return // no text: nothing of it is shown
		}
		if manifest.Secret("opt/x", []byte(text)) == "" {
			t.Fatalf("would be shown: %q", text)
		}
	})
}
