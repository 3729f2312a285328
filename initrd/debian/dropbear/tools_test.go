package dropbear

import (
	"crypto/rsa"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

// run returns a tool's standard output without its last line end.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	return strings.TrimSuffix(string(judge.Output(t, exec.Command(name, args...))), "\n")
}

func tempFile(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	judge.WriteFile(t, name, data)
	return name
}

func generate(t testing.TB, kind string) *HostKey {
	t.Helper()
	return judge.Value(GenerateHostKey(kind))(t)
}

// sample returns a host key of each kind, the rsa key small and so quick to check.
func sample(t testing.TB) []*HostKey {
	t.Helper()
	small := judge.Value(rsa.GenerateKey(nil, 1024))(t)
	k := judge.Value(fromPrivate(small))(t)
	return []*HostKey{generate(t, "ed25519"), generate(t, "ecdsa"), k}
}

func release(t testing.TB, name string) Version {
	t.Helper()
	return judge.Value(ForRelease(name))(t)
}
