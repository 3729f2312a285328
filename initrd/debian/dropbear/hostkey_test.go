package dropbear

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

func TestMarshalIsParsesInverse(t *testing.T) {
	for _, k := range sample(t) {
		b := k.Marshal()
		got, err := ParseHostKey(b)
		if err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		if !bytes.Equal(got.Marshal(), b) || !bytes.Equal(got.Public().Marshal(), k.Public().Marshal()) {
			t.Errorf("%v: parsed, it is another key", k)
		}
		b[len(b)-1] ^= 1
		if bytes.Equal(k.Marshal(), b) {
			t.Errorf("%v: the caller of Marshal can change the key", k)
		}
	}
}

func TestCutAnywhereFails(t *testing.T) {
	for _, k := range sample(t) {
		b := k.Marshal()
		for n := range b {
			for _, parse := range []func([]byte) (*HostKey, error){ParseHostKey, ParsePrivateKey} {
				if _, err := parse(b[:n]); err == nil {
					t.Errorf("%v: cut to %d of %d bytes it still parses", k, n, len(b))
				}
			}
		}
		if _, err := ParseHostKey(append(b, 0)); err == nil {
			t.Errorf("%v: a byte too many was accepted", k)
		}
	}
}

func TestFlippedBitFailsOrIsKept(t *testing.T) {
	for _, k := range sample(t) {
		b := k.Marshal()
		accepted := 0
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if got, err := ParseHostKey(b); err == nil {
				accepted++
				if !bytes.Equal(got.Marshal(), b) {
					t.Errorf("%v: bit %d flipped: accepted, but written otherwise", k, i)
				}
			}
			b[i/8] ^= 1 << (i % 8)
		}
		if accepted > 0 {
			t.Errorf("%v: %d of %d flipped bits gave a key", k, accepted, 8*len(b))
		}
	}
}

func TestOpenSSHFormCutOrForeign(t *testing.T) {
	_, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block := judge.Value(ssh.MarshalPrivateKey(priv, "comment"))(t)
	b := pem.EncodeToMemory(block)
	want := judge.Value(ParsePrivateKey(b))(t)
	for n := range b[:len(b)-1] {
		if _, err := ParsePrivateKey(b[:n]); err == nil {
			t.Errorf("cut to %d of %d bytes it still parses", n, len(b))
		}
	}
	// The seed of one key with the public half of another.
	copy(priv[32:], generate(t, "ed25519").Marshal()[51:])
	for _, f := range []func() (*HostKey, error){
		func() (*HostKey, error) { return fromPrivate(priv) },
		func() (*HostKey, error) { return ParseHostKey(append(want.Marshal()[:51], priv[32:]...)) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), "belong together") {
			t.Errorf("mixed halves: %v", err)
		}
	}
}

func TestRefusedKeys(t *testing.T) {
	opensshDSS := pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, dss(t).Marshal(), make([]byte, 600)})...)})
	long := append(generate(t, "ed25519").Marshal(), make([]byte, MaxHostKeySize)...)
	for in, want := range map[string]string{
		"":                                     "neither dropbear's, OpenSSH's nor PEM's",
		"\x00":                                 "cut off",
		"nonsense":                             "neither dropbear's, OpenSSH's nor PEM's",
		"\x00\x00\x00\x07ssh-dss":              "ssh-dss keys are not supported",
		"\x00\x00\x00\x03abc":                  "not dropbear's format",
		string(long):                           "dropbear reads at most 1700",
		strings.Repeat("x", maxPrivateFile):    "neither",
		strings.Repeat("x", maxPrivateFile+1):  "more than any ssh key",
		"PuTTY-User-Key-File-3: ssh-ed25519\n": "puttygen",
		"-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n": "ssh-dss",
		string(opensshDSS): "ssh-dss",
	} {
		_, err := ParsePrivateKey([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.30q: %v, want one line with %q", in, err, want)
		}
	}
	if _, err := GenerateHostKey("dss"); err == nil {
		t.Error("made a key of kind dss")
	}
}

func TestPrintingGivesNothingAway(t *testing.T) {
	for _, k := range sample(t) {
		blob := k.Marshal()
		private := blob[len(blob)-40 : len(blob)-8] // the end of q or d
		if k.Type() == "ed25519" {
			private = blob[19 : 19+32] // the seed
		}
		type outer struct {
			Key    any
			inside HostKey
			ptr    *HostKey
		}
		var shown strings.Builder
		for _, v := range []any{k, *k, outer{k, *k, k}, &outer{*k, *k, k}, []*HostKey{k}, map[string]HostKey{"k": *k}, fmt.Errorf("%w: %v", ErrNoUsableKey, k)} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
				fmt.Fprintf(&shown, verb+"\n", v)
			}
			j := judge.Value(json.Marshal(v))(t)
			shown.Write(j)
		}
		for i := range len(private) - 8 {
			part := private[i : i+9]
			for _, form := range []string{
				string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
				base64.StdEncoding.EncodeToString(part), strings.Trim(fmt.Sprint(part), "[]"),
				strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"),
			} {
				if strings.Contains(shown.String(), form) {
					t.Fatalf("%s: private bytes shown as %q", k.Type(), form)
				}
			}
		}
		if got, want := fmt.Sprintf("%v", k), k.Type()+" "+k.Fingerprint(); got != want {
			t.Errorf("printed as %q, want %q", got, want)
		}
	}
}

func TestZeroHostKey(t *testing.T) {
	var k HostKey
	if k.Marshal() != nil || k.Type() != "" || k.Fingerprint() != "" || k.Public() != nil || k.String() != "no key" || k.Describe("x") != "no key" {
		t.Errorf("the zero key claims to be something: %v", k)
	}
}

// parse ok => written again, the same bytes; whatever the form, no panic.
func FuzzHostKey(f *testing.F) {
	for _, k := range sample(f) {
		f.Add(k.Marshal())
	}
	_, priv, _ := ed25519.GenerateKey(nil)
	if block, err := ssh.MarshalPrivateKey(priv, ""); err == nil {
		f.Add(pem.EncodeToMemory(block))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseHostKey(b)
		if err == nil && !bytes.Equal(k.Marshal(), b) {
			t.Error("accepted, but written otherwise")
		}
		k, err = ParsePrivateKey(b)
		if err != nil {
			return
		}
		if again, err := ParseHostKey(k.Marshal()); err != nil || again.String() != k.String() {
			t.Errorf("%v: what ParsePrivateKey accepts ParseHostKey does not: %v", k, err)
		}
	})
}
