package dropbear

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

// security makes a security key's public half; no device is needed for that.
func security(t testing.TB, kind string) ssh.PublicKey {
	t.Helper()
	var blob []byte
	if kind == ssh.KeyAlgoSKED25519 {
		blob = ssh.Marshal(struct {
			Type string
			Key  []byte
			App  string
		}{kind, generate(t, "ed25519").Marshal()[51:], "ssh:"})
	} else {
		var w struct {
			Type, Curve string
			Point       []byte
		}
		judge.Must(t, ssh.Unmarshal(generate(t, "ecdsa").Public().Marshal(), &w))
		blob = append(ssh.Marshal(struct {
			Type, Curve string
			Point       []byte
		}{kind, w.Curve, w.Point}), ssh.Marshal(struct{ App string }{"ssh:"})...)
	}
	return public(t, blob)
}

func public(t testing.TB, blob []byte) ssh.PublicKey {
	t.Helper()
	return judge.Value(parsePublicKey(blob))(t)
}

// dss makes something that has the shape of an ssh-dss key.
func dss(t testing.TB) ssh.PublicKey {
	one := big.NewInt(1)
	p, q := new(big.Int).Lsh(one, 1023), new(big.Int).Lsh(one, 159)
	return public(t, ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{ssh.InsecureKeyAlgoDSA, p.Add(p, one), q.Add(q, one), big.NewInt(2), big.NewInt(4)}))
}

func certificate(t testing.TB) ssh.PublicKey {
	t.Helper()
	_, signer := newUser(t)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity}
	judge.Must(t, cert.SignCert(rand.Reader, signer))
	return cert
}

func newUser(t testing.TB) (string, ssh.Signer) {
	t.Helper()
	key := judge.Value(rsa.GenerateKey(nil, 1024))(t)
	s := judge.Value(ssh.NewSignerFromKey(key))(t)
	return publicLine(s.PublicKey()), s
}

func TestKindsPerVersion(t *testing.T) {
	kinds := map[string]ssh.PublicKey{
		"ed25519": generate(t, "ed25519").Public(), "ecdsa": generate(t, "ecdsa").Public(),
		"sk-ed25519": security(t, ssh.KeyAlgoSKED25519), "sk-ecdsa": security(t, ssh.KeyAlgoSKECDSA256),
		"dss": dss(t), "cert": certificate(t),
	}
	for name, want := range map[string]string{
		"buster": "ecdsa dss", "bullseye": "ed25519 ecdsa dss",
		"bookworm": "ed25519 ecdsa dss sk-ed25519 sk-ecdsa", "trixie": "ed25519 ecdsa sk-ed25519 sk-ecdsa",
	} {
		v := release(t, name)
		for kind, pub := range kinds {
			_, problems, err := CheckAuthorizedKeys([]byte(publicLine(pub)), v)
			good := strings.Contains(" "+want+" ", " "+kind+" ")
			if good && (err != nil || problems != nil) {
				t.Errorf("%v: %s: %v, %v", v, kind, problems, err)
			}
			if reason := fmt.Sprintf("%v has no %s keys", v, pub.Type()); !good &&
				(!errors.Is(err, ErrNoUsableKey) || !strings.HasSuffix(err.Error(), reason) || len(problems) != 1) {
				t.Errorf("%v: %s: %v, %v; want %q", v, kind, problems, err, reason)
			}
		}
	}
}

func TestEveryLineIsAccountedFor(t *testing.T) {
	a, signer := newUser(t)
	file := "# bench keys\n\n" + a + " alice at home\r\n" + "  \t# indented\n" +
		"no-pty,command=\"a b\" " + a + "\n" + "nonsense here\n" + "restrict " + a + " carol\n" + a[:40] + "\n" + a + " "
	usable, problems, err := CheckAuthorizedKeys([]byte(file), release(t, "bullseye"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range usable {
		got = append(got, fmt.Sprintf("%d|%s|%s", k.Line, k.Options, k.Comment))
	}
	if want := `3||alice at home, 5|no-pty,command="a b"|, 9||`; strings.Join(got, ", ") != want {
		t.Errorf("usable: %s\nwant:   %s", strings.Join(got, ", "), want)
	}
	for i, want := range []string{"line 6: no key where", "line 7: dropbear 2020.81 (bullseye) passes over a line with the option \"restrict\"", "line 8: "} {
		if i >= len(problems) || !strings.HasPrefix(problems[i], want) {
			t.Errorf("problem %d of %q does not begin with %q", i, problems, want)
		}
	}
	if k := usable[0]; k.Text != a+" alice at home" || k.Type() != "ssh-rsa" || k.Fingerprint() != Fingerprint(signer.PublicKey()) ||
		k.String() != "1024 "+k.Fingerprint()+" alice at home (RSA)" {
		t.Errorf("first key: %v, %q", k, k.Text)
	}
	keys, problems, err := ParseAuthorizedKeys([]byte(file))
	if len(keys) != 4 || len(problems) != 2 || err != nil {
		t.Errorf("without a version: %d keys, %q, %v; want 4 keys and 2 problems", len(keys), problems, err)
	}
}

func TestNobodyGetsIn(t *testing.T) {
	ed := publicLine(generate(t, "ed25519").Public())
	for file, want := range map[string]string{
		"":                                  "the file is empty",
		"\n# nobody yet\n":                  "only comments and blank lines",
		"hello\n":                           "line 1: ",
		ed + "\n" + ed:                      "dropbear 2018.76 (buster) has no ssh-ed25519 keys",
		"\ufeff" + ed:                       "byte order mark",
		"---- BEGIN SSH2 PUBLIC KEY ----\n": "ssh-keygen -i",
	} {
		usable, _, err := CheckAuthorizedKeys([]byte(file), release(t, "buster"))
		if !errors.Is(err, ErrNoUsableKey) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || usable != nil {
			t.Errorf("%.20q: %v, want %q", file, err, want)
		}
	}
}

func TestPrivateKeyIsRefusedUnseen(t *testing.T) {
	line, _ := newUser(t)
	body := "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"
	for _, file := range []string{
		line + "\n-----BEGIN OPENSSH PRIVATE KEY-----\r\n" + body, "# -----BEGIN RSA PRIVATE KEY-----\n" + body,
		"PuTTY-User-Key-File-3: " + body, string(generate(t, "ed25519").Marshal()),
	} {
		for _, v := range dropbearVersions {
			usable, problems, err := CheckAuthorizedKeys([]byte(file), v)
			if !errors.Is(err, ErrPrivateKey) || usable != nil || problems != nil || strings.Contains(err.Error(), body) {
				t.Errorf("%.30q: %v, %v, %v", file, usable, problems, err)
			}
		}
	}
	// Without its first line nothing is recognised, and still nothing repeated.
	_, problems, err := CheckAuthorizedKeys([]byte(body+"\n"+body+" "+body+"\n"), dropbearVersions[0])
	if s := fmt.Sprint(problems, err); strings.Contains(s, body) || len(problems) != 2 {
		t.Error(s)
	}
}

// Every line is a key, a problem, or a comment; usable keys are whole lines of
// the input; problems and errors stay on one line.
func FuzzAuthorizedKeys(f *testing.F) {
	line, _ := newUser(f)
	for _, s := range []string{line, "no-pty " + line + " c", `restrict,command="a \" b",permitopen="h:*" ` + line, "# c\n\r\n\t" + line, line[:50]} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, lineProblems, _ := ParseAuthorizedKeys(b)
		for _, v := range dropbearVersions {
			usable, problems, err := CheckAuthorizedKeys(b, v)
			if errors.Is(err, ErrPrivateKey) {
				continue
			}
			if (len(usable) == 0) != errors.Is(err, ErrNoUsableKey) {
				t.Errorf("%d keys, and the error %v", len(usable), err)
			}
			if len(usable)+len(problems) != len(keys)+len(lineProblems) {
				t.Errorf("%d keys and %d problems, of %d and %d", len(usable), len(problems), len(keys), len(lineProblems))
			}
			for _, k := range usable {
				if !strings.Contains(string(b), k.Text) || !strings.Contains(k.Text, k.Type()+" ") || k.Line < 1 {
					t.Errorf("key of line %d is not in the file: %q", k.Line, k.Text)
				}
			}
			if s := strings.Join(problems, "") + fmt.Sprint(err); strings.ContainsAny(s, "\r\n") {
				t.Errorf("more than a line: %q", s)
			}
		}
	})
}

// What dropbear takes for a key is told as one, however it is written: behind a line that is too long, with other characters in it.
func TestHiddenKeys(t *testing.T) {
	a, signer := newUser(t)
	for name, file := range map[string]string{
		"behind a long comment": "#" + strings.Repeat("c", maxLine) + a,
		"behind a long line":    strings.Repeat("c", 2*(maxLine+1)) + a + "\n",
		"a stray character":     strings.Replace(a, "AAAA", "AA!AA", 1),
		"a tab":                 strings.Replace(a, "AAAA", "AA\tAA", 1),
		"an equals sign":        strings.Replace(a, "AAAA", "AA=AA", 1),
		"no ASCII":              strings.Replace(a, "AAAA", "AA\xe9AA", 1),
	} {
		keys, _, err := ParseAuthorizedKeys([]byte(file))
		if err != nil || len(keys) != 1 || keys[0].Fingerprint() != Fingerprint(signer.PublicKey()) {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
}

// Of a line that dropbear takes for several, because it is too long, the same is said once.
func TestLongLineIsToldOnce(t *testing.T) {
	a, _ := newUser(t)
	text := []byte("#" + strings.Repeat("c", 50<<10) + "\n" + a + "\n" + strings.Repeat("c", 50<<10) + "\n")
	_, read, err := ParseAuthorizedKeys(text)
	judge.Must(t, err)
	v := judge.Value(ForRelease("bookworm"))(t)
	_, checked, err := CheckAuthorizedKeys(text, v)
	judge.Must(t, err)
	for how, problems := range map[string][]string{"read": read, "checked": checked} {
		said := map[string]int{}
		for _, p := range problems {
			said[p]++
		}
		for _, line := range []string{"line 1", "line 3"} {
			if n := said[line+": dropbear gives up a line of more than 4199 bytes"]; n != 1 {
				t.Errorf("%s: said %d times of %s: %q", how, n, line, problems)
			}
		}
		if len(problems) != 4 { // and that what is left of each is no key
			t.Errorf("%s: %q", how, problems)
		}
	}
}
