package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// mkarchive OUT DESC writes an archive, byte by byte as cpio(5) has it and
// without our own writer, so that it can hold what no tool would write. DESC has
// a line each:
//
//	segment none|gzip|zstd      begins a segment, on a 4-byte boundary
//	dir MODE NAME
//	file MODE NAME [TEXT]       TEXT may be @FILE
//	hard INO LINKS NAME [TEXT]  one name of a hard-linked file
//	link TARGET NAME            a symlink
//	node MODE MAJOR MINOR NAME  any type, MODE with its type bits
//	nest N NAME                 N directories, each in the one before
//	owner UID GID               of what follows
//	mtime SECONDS               of what follows
//
// Numbers of modes are octal; a word in double quotes is a Go string.
func mkarchive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mkarchive OUT DESC")
	}
	b := builder{file: func(name string) string { return ts.ReadFile(name) }}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		if err := b.line(line); err != nil {
			ts.Fatalf("%s: %q: %v", args[1], line, err)
		}
	}
	ts.Check(b.end())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.out.Bytes(), 0o644))
}

type builder struct {
	out, run   bytes.Buffer
	method     string
	uid, gid   uint64
	mtime, ino uint64
	file       func(name string) string
}

func (b *builder) line(line string) error {
	w, err := words(line)
	if err != nil || len(w) == 0 {
		return err
	}
	n := func(i, base int) uint64 {
		if i >= len(w) {
			err = fmt.Errorf("too few words")
			return 0
		}
		v, perr := strconv.ParseUint(w[i], base, 32)
		if perr != nil {
			err = perr
		}
		return v
	}
	w = append(w, "") // the TEXT that may be missing
	b.ino++
	switch w[0] {
	case "segment":
		err = b.end()
		b.method = w[1]
	case "owner":
		b.uid, b.gid = n(1, 10), n(2, 10)
	case "mtime":
		b.mtime = n(1, 10)
	case "dir":
		b.record(b.ino, 0o040000|n(1, 8), 2, w[2], "", 0, 0)
	case "file":
		b.record(b.ino, 0o100000|n(1, 8), 1, w[2], b.text(w[3]), 0, 0)
	case "hard":
		b.record(n(1, 10), 0o100755, n(2, 10), w[3], b.text(w[4]), 0, 0)
	case "link":
		b.record(b.ino, 0o120777, 1, w[2], w[1], 0, 0)
	case "node":
		b.record(b.ino, n(1, 8), 1, w[4], "", n(2, 10), n(3, 10))
	case "nest":
		for name, i := w[2], n(1, 10); i > 0; i-- {
			b.record(b.ino, 0o040755, 2, name, "", 0, 0)
			name += "/" + w[2][strings.LastIndexByte(w[2], '/')+1:]
		}
	default:
		err = fmt.Errorf("no such word")
	}
	return err
}

func (b *builder) text(word string) string {
	if name, ok := strings.CutPrefix(word, "@"); ok {
		return b.file(name)
	}
	return word
}

func (b *builder) record(ino, mode, nlink uint64, name, data string, major, minor uint64) {
	fmt.Fprintf(&b.run, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00", ino, mode, b.uid, b.gid,
		nlink, b.mtime, len(data), 3, 1, major, minor, len(name)+1, 0, name)
	b.run.Write(make([]byte, -b.run.Len()&3))
	b.run.WriteString(data)
	b.run.Write(make([]byte, -b.run.Len()&3))
}

// end closes the segment, compressed by the compression's own tool.
func (b *builder) end() error {
	if b.run.Len() == 0 {
		return nil
	}
	uid, gid, mtime := b.uid, b.gid, b.mtime
	b.uid, b.gid, b.mtime = 0, 0, 0
	b.record(0, 0, 1, "TRAILER!!!", "", 0, 0)
	b.uid, b.gid, b.mtime = uid, gid, mtime
	b.run.Write(make([]byte, -b.run.Len()&511))
	b.out.Write(make([]byte, -b.out.Len()&3))
	plain := bytes.Clone(b.run.Bytes())
	b.run.Reset()
	if b.method == "" || b.method == "none" {
		b.out.Write(plain)
		return nil
	}
	cmd := exec.Command(b.method, "-c")
	cmd.Stdin, cmd.Stdout = bytes.NewReader(plain), &b.out
	return cmd.Run()
}

// words splits a line at blanks; in double quotes a Go string is one word.
func words(line string) ([]string, error) {
	var all []string
	for {
		line = strings.TrimLeft(line, " \t\n")
		if line == "" || line[0] == '#' {
			return all, nil
		}
		word := line
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, err
			}
			line = line[len(quoted):]
			word, err = strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
		} else {
			if i := strings.IndexAny(line, " \t\n"); i >= 0 {
				word = line[:i]
			}
			line = line[len(word):]
		}
		all = append(all, word)
	}
}

func TestWords(t *testing.T) {
	got, err := words("file 0644 \"a b\\n\" x # rest\n")
	if want := []string{"file", "0644", "a b\n", "x"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}
