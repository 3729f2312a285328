package sign_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/manifest/sign"

	"golang.org/x/crypto/ssh"
)

// keyFile makes a key with ssh-keygen and returns the private file's name and
// the public line.
func keyFile(t testing.TB, args ...string) (name, pub string) {
	name = filepath.Join(t.TempDir(), "key")
	args = append([]string{"-q", "-N", "", "-C", "ci@example", "-f", name}, args...)
	judge.Run(t, exec.Command(judge.Tool(t, "ssh-keygen"), args...))
	b := judge.ReadFile(t, name+".pub")
	return name, strings.TrimSpace(string(b))
}

func put(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(dir, name)
	judge.WriteFile(t, name, b)
	return name
}

// What we sign, ssh-keygen accepts; what it signs, we accept; and neither
// accepts either for another message.
func TestSignatureBothWays(t *testing.T) {
	keygen := judge.Tool(t, "ssh-keygen")
	message := []byte("{\n  \"schema\": 1\n}\n")
	for _, kind := range [][]string{{"-t", "ed25519"}, {"-t", "ecdsa", "-b", "256"}, {"-t", "ecdsa", "-b", "521"}, {"-t", "rsa", "-b", "3072"}} {
		t.Run(strings.Join(kind[1:], " "), func(t *testing.T) {
			name, pub := keyFile(t, kind...)
			dir := t.TempDir()
			signers := []byte("# who may sign\nci@example namespaces=\"git,groundhog\" " + pub + "\n")
			allowed := put(t, dir, "allowed", signers)
			b, _ := os.ReadFile(name)
			key := judge.Value(ssh.ParsePrivateKey(b))(t)
			ours := judge.Value(sign.Make(message, key))(t)
			sig := put(t, dir, "ours.sig", ours)
			accepts := func(in []byte) error {
				cmd := exec.Command(keygen, "-Y", "verify", "-f", allowed, "-I", "ci@example", "-n", "groundhog", "-s", sig)
				cmd.Stdin = bytes.NewReader(in)
				return cmd.Run()
			}
			if err := accepts(message); err != nil {
				t.Errorf("ssh-keygen refuses our signature: %v", err)
			}
			if err := accepts(message[1:]); err == nil {
				t.Error("ssh-keygen accepts our signature for another message")
			}
			for _, hash := range []string{"sha512", "sha256"} {
				cmd := exec.Command(keygen, "-Y", "sign", "-q", "-f", name, "-n", "groundhog", "-O", "hashalg="+hash)
				cmd.Stdin = bytes.NewReader(message)
				theirs := judge.Output(t, cmd)
				who, err := sign.Check(message, theirs, signers, "ci@example")
				if err != nil || who.Principals != "ci@example" {
					t.Errorf("ssh-keygen's %s signature: %v, %v", hash, who, err)
				}
				if _, err := sign.Check(message[1:], theirs, signers, ""); err == nil {
					t.Error("accepted for another message")
				}
				if hash == "sha512" && kind[1] == "ed25519" && !bytes.Equal(ours, theirs) {
					t.Error("our signature is not the one that ssh-keygen writes")
				}
			}
		})
	}
}

func testKey(t testing.TB) (ssh.Signer, string) {
	key := judge.Value(ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32))))(t)
	return key, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// No flipped byte and no cut leaves a signature good.
func TestSignatureDamaged(t *testing.T) {
	key, pub := testKey(t)
	message := []byte("{}\n")
	sig := judge.Value(sign.Make(message, key))(t)
	signers := []byte("me " + pub)
	good := bytes.LastIndexByte(bytes.TrimSpace(sig), '-') + 1 // behind it any line may follow
	for i := range good {
		if _, err := sign.Check(message, sig[:i], signers, ""); err == nil {
			t.Fatalf("cut at %d: accepted", i)
		}
		bad := bytes.Clone(sig)
		bad[i] ^= 1
		if who, err := sign.Check(message, bad, signers, ""); err == nil {
			t.Fatalf("byte %d flipped (%q for %q): accepted, %v", i, bad[i], sig[i], who)
		}
	}
}

// allowed_signers as ssh-keygen(1) has it; ssh-keygen is the judge of each line
// that both can read.
func TestAllowedSigners(t *testing.T) {
	keygen := judge.Tool(t, "ssh-keygen")
	key, pub := testKey(t)
	_, other := keyFile(t, "-t", "ed25519")
	message := []byte("{}\n")
	sig := judge.Value(sign.Make(message, key))(t)
	dir := t.TempDir()
	sigFile := put(t, dir, "sig", sig)
	for _, c := range []struct {
		name, file string
		ok, alone  bool // alone: we refuse what ssh-keygen accepts
	}{
		{"plain", "me " + pub, true, false},
		{"with a comment and a blank line", "# x\n\n" + "me " + pub + " a comment\n", true, false},
		{"several principals", "you,me " + pub, true, false},
		{"quoted principals", `"you,me" ` + pub, true, false},
		{"a pattern", "m? " + pub, true, false},
		{"all", "* " + pub, true, false},
		{"negated", "*,!me " + pub, false, false},
		{"somebody else", "you " + pub, false, false},
		{"another key", "me " + other, false, false},
		{"the second line", "me " + other + "\nme " + pub, true, false},
		{"namespace", `me namespaces="groundhog" ` + pub, true, false},
		{"namespaces", `me namespaces="git,ground*" ` + pub, true, false},
		{"other namespace", `me namespaces="git" ` + pub, false, false},
		{"other namespace, then ours", "me namespaces=\"git\" " + pub + "\nme " + pub, true, false},
		{"namespace without quotes", "me namespaces=groundhog " + pub, false, false},
		{"namespaces twice", `me namespaces="git",namespaces="groundhog" ` + pub, false, false},
		{"a quote that is not closed", `me namespaces="groundhog ` + pub, false, false},
		{"a comma behind options", `me namespaces="groundhog", ` + pub, false, false},
		{"a comma before options", `me ,namespaces="groundhog" ` + pub, true, false},
		{"two commas", `me namespaces="groundhog",,cert-authority ` + pub, false, false},
		{"principals with a quote inside", `y"ou,m"e ` + pub, false, false},
		{"principals quoted one by one", `"you","me" ` + pub, false, false},
		{"a blank in principals", `"y ou,me" ` + pub, true, false},
		{"an empty option", `me "" ` + pub, false, false},
		{"a tab", "me\t" + pub, true, false},
		{"a carriage return", "me " + pub + "\r", true, false},
		{"another type before the key", "me ecdsa-sha2-nistp256 " + strings.Fields(pub)[1], false, false},
		{"a pattern of one letter too many", "me? " + pub, false, false},
		{"a range, which is no pattern", "[m]e " + pub, false, false},
		{"negated alone", "!you " + pub, false, false},
		{"certificate authority", "me cert-authority " + pub, false, false},
		{"expired", `me valid-before="20200101" ` + pub, false, false},
		{"in time", `me valid-after="20200101" ` + pub, false, true},
		{"garbage", "me", false, false},
		{"garbage before", "me ssh-ed25519 !!\nme " + pub, true, false},
		{"empty", "", false, false},
	} {
		_, err := sign.Check(message, sig, []byte(c.file), "me")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (!errors.Is(err, sign.ErrNotAllowed) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", c.name, err)
		}
		cmd := exec.Command(keygen, "-Y", "verify", "-f", put(t, dir, "allowed", []byte(c.file+"\n")), "-I", "me", "-n", "groundhog", "-s", sigFile)
		cmd.Stdin = bytes.NewReader(message)
		if judge := cmd.Run() == nil; judge != (c.ok || c.alone) {
			t.Errorf("%s: ssh-keygen says %v", c.name, judge)
		}
	}
}

func FuzzCheck(f *testing.F) {
	key, pub := testKey(f)
	message := []byte("{}\n")
	sig := judge.Value(sign.Make(message, key))(f)
	f.Add(sig, []byte("me "+pub))
	f.Add(sig, []byte(`"a b" namespaces="x,groundhog",valid-after="1" `+pub))
	f.Fuzz(func(t *testing.T, sig, allowed []byte) {
		if who, err := sign.Check(message, sig, allowed, ""); err == nil && who.Fingerprint != ssh.FingerprintSHA256(key.PublicKey()) {
			t.Fatalf("somebody else's signature: %v", who)
		}
	})
}
