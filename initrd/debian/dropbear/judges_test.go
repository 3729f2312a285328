package dropbear

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"groundhog/fixtures/judge"
)

// publicLine is a key as an authorized_keys line without comment.
func publicLine(pub ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(pub)), "\n")
}

// readBack lets dropbearkey read a key and compares what it says of it.
func readBack(t *testing.T, k *HostKey) {
	t.Helper()
	out := run(t, "dropbearkey", "-y", "-f", tempFile(t, k.Marshal()))
	if !strings.Contains(out, "\n"+publicLine(k.Public())+" ") {
		t.Errorf("dropbearkey prints another public key than %s:\n%s", publicLine(k.Public()), out)
	}
	// 2020.81 and older print MD5 or SHA-1 fingerprints.
	if strings.Contains(out, "SHA256:") && !strings.Contains(out+"\n", "Fingerprint: "+k.Fingerprint()+"\n") {
		t.Errorf("dropbearkey prints another fingerprint than %s:\n%s", k.Fingerprint(), out)
	}
}

func TestDropbearkeyReadsGeneratedKeys(t *testing.T) {
	judge.Tools(t, "dropbearkey")
	for kind, count := range map[string]int{"ed25519": judge.Times(8, 30), "ecdsa": judge.Times(8, 30), "rsa": 2} {
		for range count {
			k := generate(t, kind)
			if k.Type() != kind {
				t.Errorf("a key of kind %s calls itself %s", kind, k.Type())
			}
			readBack(t, k)
		}
	}
}

func TestReadsDropbearkeysKeys(t *testing.T) {
	judge.Tools(t, "dropbearkey")
	for _, args := range []string{"ed25519", "ecdsa -s 256", "ecdsa -s 384", "ecdsa -s 521", "rsa -s 1024", "rsa -s 2048"} {
		for range judge.Times(1, 3) {
			file := filepath.Join(t.TempDir(), "key")
			run(t, "dropbearkey", append([]string{"-f", file, "-t"}, strings.Fields(args)...)...)
			b := judge.ReadFile(t, file)
			k, err := ParsePrivateKey(b)
			if err != nil {
				t.Fatalf("%s: %v", args, err)
			}
			if !bytes.Equal(k.Marshal(), b) {
				t.Errorf("%s: parsed and written again, the key differs", args)
			}
			readBack(t, k)
		}
	}
}

// largeKey writes an rsa key that takes seconds to make, so it was made once and is nobody's:
//
//	ssh-keygen -q -N '' -C 'bench 7' -t rsa -b BITS -f testdata/rsaBITS
func largeKey(t *testing.T, file, bits string) {
	t.Helper()
	judge.WriteFile(t, file, judge.ReadFile(t, filepath.Join("testdata", "rsa"+bits)))
}

// Every form OpenSSH writes becomes the very bytes dropbearconvert makes of it,
// and dropbearconvert takes them back to the same public key.
func TestConversionAgreesWithDropbearconvert(t *testing.T) {
	judge.Tools(t, "ssh-keygen", "dropbearkey", "dropbearconvert")
	for _, args := range []string{"ed25519", "ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521", "rsa -b 2048", "made 4096"} {
		t.Run(strings.ReplaceAll(args, " ", ""), func(t *testing.T) {
			dir := t.TempDir()
			file, theirs, back := filepath.Join(dir, "key"), filepath.Join(dir, "dropbear"), filepath.Join(dir, "back")
			if bits, ok := strings.CutPrefix(args, "made "); ok {
				largeKey(t, file, bits)
			} else {
				run(t, "ssh-keygen", append([]string{"-q", "-N", "", "-C", "bench 7", "-f", file, "-t"}, strings.Fields(args)...)...)
			}
			k := judge.Value(ParsePrivateKey(judge.ReadFile(t, file)))(t)
			readBack(t, k)
			run(t, "dropbearconvert", "openssh", "dropbear", file, theirs)
			if !bytes.Equal(k.Marshal(), judge.ReadFile(t, theirs)) {
				t.Error("dropbearconvert makes another file of it")
			}
			if got, want := k.Describe("bench 7"), run(t, "ssh-keygen", "-lf", file); got != want {
				t.Errorf("described as %q, by ssh-keygen as %q", got, want)
			}
			run(t, "dropbearconvert", "dropbear", "openssh", tempFile(t, k.Marshal()), back)
			if got := run(t, "ssh-keygen", "-y", "-f", back); !strings.HasPrefix(got+" ", publicLine(k.Public())+" ") {
				t.Errorf("there and back it is %q, not %q", got, publicLine(k.Public()))
			}
			pemForms(t, file, k)
			encryptedForms(t, file)
		})
	}
}

func pemForms(t *testing.T, file string, want *HostKey) {
	for _, form := range []string{"PEM", "PKCS8"} {
		run(t, "ssh-keygen", "-q", "-p", "-N", "", "-P", "", "-m", form, "-f", file)
		k, err := ParsePrivateKey(judge.ReadFile(t, file))
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if !bytes.Equal(k.Marshal(), want.Marshal()) {
			t.Errorf("%s gives another key", form)
		}
	}
}

func encryptedForms(t *testing.T, file string) {
	for _, form := range []string{"RFC4716", "PEM", "PKCS8"} {
		run(t, "ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-m", form, "-f", file)
		_, err := ParsePrivateKey(judge.ReadFile(t, file))
		if err == nil || !strings.Contains(err.Error(), "ssh-keygen -p -N ''") {
			t.Errorf("encrypted as %s: %v", form, err)
		}
		// The hint works.
		run(t, "ssh-keygen", "-q", "-p", "-P", "secret", "-N", "", "-f", file)
		if _, err := ParsePrivateKey(judge.ReadFile(t, file)); err != nil {
			t.Errorf("after the advice for %s: %v", form, err)
		}
	}
}

// What we refuse for its size dropbear cannot read either.
func TestTooLargeForDropbear(t *testing.T) {
	judge.Tools(t, "ssh-keygen", "dropbearconvert")
	file := filepath.Join(t.TempDir(), "key")
	largeKey(t, file, "5120")
	_, err := ParsePrivateKey(judge.ReadFile(t, file))
	if err == nil || !strings.Contains(err.Error(), "5120 bits") {
		t.Errorf("an rsa key of 5120 bits: %v", err)
	}
	if exec.Command("dropbearconvert", "openssh", "dropbear", file, file+".dropbear").Run() == nil {
		t.Error("dropbearconvert took it")
	}
}

func TestKnownHostsIsFound(t *testing.T) {
	judge.Tools(t, "ssh-keygen")
	keys := sample(t)
	for pattern, host := range map[string]string{
		"": "anything", "CM3-*": "cm3-17", "[Bench]:2222": "[bench]:2222", "[bench]:22": "bench", "fe80::1": "fe80::1",
	} {
		var hosts []string
		if pattern != "" {
			hosts = []string{"other", pattern}
		}
		b := judge.Value(KnownHosts(hosts, keys[2].Public(), keys[0].Public(), keys[1].Public(), keys[0].Public()))(t)
		out := run(t, "ssh-keygen", "-l", "-F", host, "-f", tempFile(t, b))
		var got []string
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") {
				f := strings.Fields(line)
				got = append(got, f[len(f)-1])
			}
		}
		want := []string{keys[0].Fingerprint(), keys[1].Fingerprint(), keys[2].Fingerprint()}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q looked up as %q: found %q, want %q", pattern, host, got, want)
		}
	}
}
