package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// gzipped is b as gzip -9n writes it: no name, no time.
func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid one
	z.Write(b)                                              // a buffer takes all
	z.Close()
	return out.Bytes()
}

// writeTarball writes tree as PREFIX/..., owned by root, all of one time.
func writeTarball(name, tree, prefix string, when time.Time) error {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	err := fs.WalkDir(os.DirFS(tree), ".", func(p string, d fs.DirEntry, err error) error { // in lexical order
		if err != nil {
			return err
		}
		h := &tar.Header{Name: path.Join(prefix, p), ModTime: when, Mode: 0o644, Typeflag: tar.TypeReg, Uname: "root", Gname: "root"}
		if d.IsDir() {
			h.Name, h.Mode, h.Typeflag = h.Name+"/", 0o755, tar.TypeDir
			return t.WriteHeader(h)
		}
		content, err := os.ReadFile(filepath.Join(tree, p))
		if err != nil {
			return err
		}
		if path.Dir(p) == "bin" {
			h.Mode = 0o755
		}
		h.Size = int64(len(content))
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err = t.Write(content)
		return err
	})
	if err == nil {
		err = t.Close()
	}
	if err != nil {
		return err
	}
	return os.WriteFile(name, gzipped(b.Bytes()), 0o644)
}

// writeSums writes what sha256sum -c reads.
func writeSums(name string, files []string) error {
	files = slices.Sorted(slices.Values(files))
	var out bytes.Buffer
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%x  %s\n", h.Sum(nil), filepath.Base(file))
	}
	return os.WriteFile(name, out.Bytes(), 0o644)
}
