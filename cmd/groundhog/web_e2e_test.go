//go:build e2e

package main

import (
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"groundhog/fixtures/judge"
)

// web is what a guest can reach: http, https with a certificate of its own, and
// a name server that knows one name, over TCP.
type web struct {
	text             string
	ca               string // PEM file
	http, https, dns int    // ports on the loopback
}

func (w *web) serve() map[string]int {
	return map[string]int{"10.0.2.100:80": w.http, "10.0.2.100:443": w.https, "10.0.2.100:53": w.dns}
}

func startWeb(t *testing.T) *web {
	t.Helper()
	w := &web{text: "hello from the build host", ca: filepath.Join(t.TempDir(), "ca.pem")}
	handler := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, w.text) })
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	w.http = plain.Listener.Addr().(*net.TCPAddr).Port
	secure := httptest.NewUnstartedServer(handler)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, w.ca)}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	w.https = secure.Listener.Addr().(*net.TCPAddr).Port
	l := judge.Value(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	w.dns = l.Addr().(*net.TCPAddr).Port
	go answerNames(l)
	return w
}

// certificate makes one for groundhog.test that signs itself, and leaves it in
// the file ca.
func certificate(t *testing.T, ca string) tls.Certificate {
	t.Helper()
	key := judge.Value(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "groundhog.test"},
		DNSNames: []string{"groundhog.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der := judge.Value(x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key))(t)
	judge.WriteFile(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// answerNames answers every question for an A record with 10.0.2.100, and all
// others with none (RFC 1035; over TCP each message has its length before it).
func answerNames(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				var n uint16
				if binary.Read(c, binary.BigEndian, &n) != nil {
					return
				}
				q := make([]byte, n)
				if _, err := io.ReadFull(c, q); err != nil || n < 17 {
					return
				}
				c.Write(answer(q))
			}
		}()
	}
}

func answer(q []byte) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	end = min(end+5, len(q))
	isA := q[end-4] == 0 && q[end-3] == 1
	a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if isA {
		a[7] = 1
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 2, 100)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)
}
