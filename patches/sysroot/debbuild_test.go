package sysroot

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"groundhog/fixtures/judge"
)

// tarball writes headers with their contents; the type follows from the header.
func tarball(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		text := h.Uname // borrowed for the content
		h.Uname = ""
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		h.ModTime = time.Unix(1700000000, 0)
		judge.Must(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := w.Write([]byte(text))
			judge.Must(t, err)
		}
	}
	judge.Must(t, w.Close())
	return b.Bytes()
}

func regular(name, text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Uname: text}
}

func directory(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }

func symlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}

func hardlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

// control is the least that dpkg takes for a package.
func control(t testing.TB, name string) []byte {
	return tarball(t, directory("./"), regular("./control", fmt.Sprintf(
		"Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: test\n", name)))
}

type member struct {
	name string
	data []byte
}

// archive is an ar archive as ar(5) has it.
func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	b := []byte(arMagic)
	for _, m := range members {
		b = append(b, arMember(m.name, "100644", m.data)...)
	}
	return b
}

// arMember is a member with its header and padding; mode is any text.
func arMember(name, mode string, data []byte) []byte {
	b := fmt.Appendf(nil, "%-16s%-12s%-6s%-6s%-8s%-10d`\n", name, "0", "0", "0", mode, len(data))
	b = append(b, data...)
	if len(data)%2 != 0 {
		b = append(b, '\n')
	}
	return b
}

// deb is a package with that content; ending says how data.tar is compressed.
func deb(t testing.TB, ending string, entries ...tar.Header) []byte {
	t.Helper()
	return archive(t,
		member{"debian-binary", []byte("2.0\n")},
		member{"control.tar", control(t, "p")},
		member{"data.tar" + ending, squeeze(t, ending, tarball(t, entries...))})
}

func squeeze(t testing.TB, ending string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch ending {
	case "":
		return b
	case ".gz":
		w := gzip.NewWriter(&out)
		_, err := w.Write(b)
		judge.Must(t, err)
		judge.Must(t, w.Close())
	case ".zst":
		w, err := zstd.NewWriter(&out)
		judge.Must(t, err)
		_, err = w.Write(b)
		judge.Must(t, err)
		judge.Must(t, w.Close())
	default:
		tool := map[string][]string{".xz": {"xz", "-c"}, ".lzma": {"xz", "--format=lzma", "-c"}, ".bz2": {"bzip2", "-c"}}[ending]
		cmd := exec.Command(judge.Tool(t, tool[0]), tool[1:]...)
		cmd.Stdin, cmd.Stdout = bytes.NewReader(b), &out
		judge.Must(t, cmd.Run())
	}
	return out.Bytes()
}

func writeDeb(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "test.deb")
	judge.Must(t, os.WriteFile(name, b, 0o644))
	return name
}
