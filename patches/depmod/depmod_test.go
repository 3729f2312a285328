package depmod

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tinyelf"
)

const release = "6.1.0-1-amd64"

// asDepmod is what this machine's depmod makes of the files, and what it says.
func asDepmod(t *testing.T, files map[string][]byte) (made map[string][]byte, said string, err error) {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "lib/modules", release)
	judge.WriteTree(t, dir, files)
	out, err := exec.Command(judge.Tool(t, "depmod"), "-b", root, release).CombinedOutput()
	made = map[string][]byte{}
	for name := range maps.Keys(indexNames) {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			made[name] = b
		}
	}
	return made, string(out), err
}

var indexNames = map[string]bool{"modules.dep": true, "modules.dep.bin": true, "modules.alias": true, "modules.alias.bin": true, "modules.symbols": true,
	"modules.symbols.bin": true, "modules.softdep": true, "modules.weakdep": true, "modules.devname": true}

// sameIndexes wants what depmod made, byte for byte.
func sameIndexes(t *testing.T, files, theirs map[string][]byte) {
	t.Helper()
	ours, _, err := Indexes(files, LayoutOf(theirs["modules.dep.bin"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		b, made := theirs[name]
		if !made && name == "modules.weakdep" { // before kmod 33
			continue
		}
		if diff := cmp.Diff(string(b), string(ours[name])); diff != "" {
			t.Errorf("%s (-depmod +groundhog):\n%s", name, diff)
		}
	}
}

// someModules are files as a kernel's modules may be, and more: names with dots and dashes, one module twice, symbols that two have, that
// nobody has, that a module has of its own, needs over several steps, and a list of their order that knows some of them.
func someModules(rng *rand.Rand) map[string][]byte {
	word := func(n int) string {
		b := make([]byte, 1+rng.IntN(n))
		for i := range b {
			b[i] = "abcdefgh-_019"[rng.IntN(13)]
		}
		return string(b)
	}
	files := map[string][]byte{}
	var symbols, order []string
	for i := range 1 + rng.IntN(40) {
		m := tinyelf.Module{Info: "license=GPL\x00"}
		for range rng.IntN(4) {
			m.Imports = append(m.Imports, "nobody_has_"+word(3))
			if len(symbols) > 0 {
				m.Imports = append(m.Imports, symbols[rng.IntN(len(symbols))])
			}
		}
		for range rng.IntN(4) {
			symbols = append(symbols, word(6))
			m.Exports = append(m.Exports, fmt.Sprintf("s%d_%s", i, symbols[len(symbols)-1]))
			symbols[len(symbols)-1] = m.Exports[len(m.Exports)-1]
		}
		if rng.IntN(4) == 0 {
			m.Exports = append(m.Exports, "of_several")
		}
		for range rng.IntN(5) {
			m.Info += "alias=" + []string{"pci:v0000" + word(4) + "d*sv*", "usb:v[0-9a-" + word(2) + "]p" + word(3), "x-" + word(8), "bad]" + word(2), "bad[" + word(2),
				"char-major-10-" + fmt.Sprint(rng.IntN(300)), "block-major-7-*", "devname:" + word(5), "", word(1)}[rng.IntN(10)] + "\x00"
		}
		if rng.IntN(3) == 0 {
			m.Info += "softdep=pre: " + word(4) + "\x00weakdep=" + word(4) + "\x00"
		}
		dir := []string{"kernel/", "kernel/drivers/net/", "updates/", "updates/dkms/", "extra/", "kernel/build/", ""}[rng.IntN(7)]
		name := dir + "m" + word(2) + ".ko"
		if _, there := files[name]; !there && rng.IntN(9) == 0 {
			files[name] = []byte("no module\n")
			continue
		}
		_, twice := files[name]
		files[name] = m.Bytes()
		if !twice && rng.IntN(3) > 0 { // of a line that is there twice kmod 34 takes the first, the others the last
			order = append(order, name, "kernel/not-here.ko")
		}
	}
	if rng.IntN(4) > 0 {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		files["modules.order"] = []byte(strings.Join(order, "\n") + []string{"\n", "\n", "\n", ""}[rng.IntN(4)])
	}
	return oncePerName(files)
}

// oncePerName leaves one of the files that depmod takes for the same module and none of which is stronger: it takes the one that its
// directory has first.
func oncePerName(files map[string][]byte) map[string][]byte {
	seen := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		key := fmt.Sprint(moduleName(file), strings.HasPrefix(file, "updates/"))
		if strings.HasSuffix(file, ".ko") {
			if seen[key] {
				delete(files, file)
			}
			seen[key] = true
		}
	}
	return files
}

// Of many trees of modules the indexes are those of depmod.
func TestAsDepmod(t *testing.T) {
	circles := 0
	for seed := range uint64(judge.Times(40, 2000)) {
		files := someModules(rand.New(rand.NewPCG(seed, 0)))
		theirs, said, err := asDepmod(t, files)
		if err != nil {
			if _, _, ours := Indexes(files, ChildrenFirst); !errors.Is(ours, ErrCircle) || !strings.Contains(said, "Cycle detected") {
				t.Errorf("seed %d: %v, depmod says %q", seed, ours, said)
			}
			circles++
			continue
		}
		if sameIndexes(t, files, theirs); t.Failed() {
			t.Fatalf("seed %d: %s", seed, said)
		}
	}
	t.Logf("%d with a circle", circles)
}

// What depmod complains of is what is said of modules, and it is listed all the same.
func TestUnread(t *testing.T) {
	whole := tinyelf.Module{Info: "alias=x\x00", Exports: []string{"a"}}.Bytes()
	files := map[string][]byte{"kernel/whole.ko": whole, "kernel/garbage.ko": []byte("garbage\n"), "kernel/empty.ko": {}, "kernel/head.ko": whole[:64], "kernel/cut.ko": whole[:len(whole)-8],
		"updates/whole.ko": whole, "kernel/plain.ko.xz": whole, "kernel/half.ko.xz": nil, "kernel/half2.ko.zst": nil, "modules.order": nil, "modules.builtin": nil, "modules.builtin.modinfo": nil}
	for name, tool := range map[string]string{"kernel/half.ko.xz": "xz", "kernel/half2.ko.zst": "zstd"} {
		cmd := exec.Command(judge.Tool(t, tool), "-c")
		cmd.Stdin = bytes.NewReader(whole)
		b := judge.Output(t, cmd)
		files[name] = b[:len(b)/2]
	}
	theirs, said, err := asDepmod(t, files)
	if err != nil {
		t.Fatal(err)
	}
	sameIndexes(t, files, theirs)
	_, unread, err := Indexes(files, ChildrenFirst)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, u := range unread {
		ours[u.Path] = true
	}
	for name := range files {
		if complained := strings.Contains(said, "/"+name+":"); complained != ours[name] {
			t.Errorf("%s: depmod complains %t, groundhog %t", name, complained, ours[name])
		}
	}
	if t.Failed() || len(ours) < 4 {
		t.Logf("%v\n%s", unread, said)
	}
}

// Modules that need each other, and one that needs itself, are loaded by nobody: depmod refuses them, and so do we, by name.
func TestCircle(t *testing.T) {
	for want, files := range map[string]map[string][]byte{
		"a.ko, b.ko":       {"a.ko": tinyelf.Module{Exports: []string{"a"}, Imports: []string{"b"}}.Bytes(), "b.ko": tinyelf.Module{Exports: []string{"b"}, Imports: []string{"a"}}.Bytes()},
		"each other: a.ko": {"a.ko": tinyelf.Module{Exports: []string{"a"}, Imports: []string{"a"}}.Bytes(), "behind.ko": tinyelf.Module{Imports: []string{"a"}}.Bytes()},
	} {
		if _, _, err := Indexes(files, ChildrenFirst); !errors.Is(err, ErrCircle) || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "b.ko, a.ko") {
			t.Error(err)
		}
		if _, said, err := asDepmod(t, files); err == nil {
			t.Errorf("depmod took it: %s", said)
		}
	}
}

// No more than a kernel could have is indexed: each of these would cost gigabytes.
func TestTooMuch(t *testing.T) {
	chain := map[string][]byte{}
	for i := range 6000 {
		m := tinyelf.Module{Exports: []string{fmt.Sprintf("s%d", i)}, Imports: []string{fmt.Sprintf("s%d", i+1)}}
		chain[fmt.Sprintf("kernel/%d/m%d.ko", i, i)] = m.Bytes()
	}
	many := map[string][]byte{}
	for i := range maxModules + 1 {
		many[fmt.Sprintf("m%d.ko", i)] = nil
	}
	for name, files := range map[string]map[string][]byte{"each needs the next": chain, "many": many} {
		if _, _, err := Indexes(files, ChildrenFirst); !errors.Is(err, ErrTooMuch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	loud := tinyelf.Module{Info: strings.Repeat("alias=x\x00", 1<<17)}.Bytes()
	if made, _, err := Indexes(map[string][]byte{"loud.ko": loud}, ChildrenFirst); err != nil || len(made["modules.alias"]) > 100 {
		t.Errorf("%v, an index of %d bytes", err, len(made["modules.alias"]))
	}
	same := map[string][]byte{} // the same alias very often, and a symbol that all import as often
	for i := range 8 {
		m := tinyelf.Module{Info: strings.Repeat("alias=x\x00", 60000), Exports: []string{fmt.Sprint("s", i)}, Imports: slices.Repeat([]string{"s0"}, 60000)}
		same[fmt.Sprintf("m%d.ko", 9-i)] = m.Bytes()
	}
	delete(same, "m9.ko")
	if _, _, err := Indexes(same, ParentsFirst); err != nil {
		t.Error(err)
	}
	if _, _, err := Indexes(map[string][]byte{"a.ko": tinyelf.Module{Info: "alias=\xff\x00"}.Bytes()}, ChildrenFirst); err == nil {
		t.Error("an index holds ASCII only")
	}
}

// A tiny trie by hand (the format is that of kmod's libkmod-index.c), in both layouts.
func TestTrieBytes(t *testing.T) {
	root := &trie{}
	for i, key := range []string{"ab", "abc", "b"} {
		judge.Must(t, root.insert(key, "v", i))
	}
	const head = "\xb0\x07\xf4\x57\x00\x02\x00\x01"
	c := "\x00\x00\x00\x01\x00\x00\x00\x01v\x00"           // of abc, behind its parent
	ab := "b\x00cc%s\x00\x00\x00\x01\x00\x00\x00\x00v\x00" // prefix, children, value
	b := "\x00\x00\x00\x01\x00\x00\x00\x02v\x00"           // of b
	for layout, want := range map[Layout]string{
		ChildrenFirst: head + "\x20\x00\x00\x32" + c + fmt.Sprintf(ab, "\x40\x00\x00\x0c") + b + "ab\xe0\x00\x00\x16\x40\x00\x00\x28",
		ParentsFirst:  head + "\x20\x00\x00\x0c" + "ab\xe0\x00\x00\x16\x40\x00\x00\x32" + fmt.Sprintf(ab, "\x40\x00\x00\x28") + c + b,
	} {
		got, err := root.file(layout)
		if err != nil || string(got) != want {
			t.Errorf("layout %d: %v\n%q, want\n%q", layout, err, got, want)
		}
		if LayoutOf(got) != layout {
			t.Errorf("layout %d is taken for another", layout)
		}
	}
}

// Whatever a module's file is, its indexes are made or refused, both layouts say the same, and modules.dep has a line for each module.
func FuzzIndexes(f *testing.F) {
	f.Add(tinyelf.Module{Info: "alias=pci:v1\x00softdep=pre: b\x00", Exports: []string{"a"}, Imports: []string{"b"}}.Bytes(), []byte("b.ko\na.ko\n"))
	f.Add([]byte("no module"), []byte("a.ko"))
	other := tinyelf.Module{Exports: []string{"b", "__this_module"}}.Bytes()
	f.Fuzz(func(t *testing.T, file, order []byte) {
		files := map[string][]byte{"a.ko": file, "b.ko": other, "modules.order": order}
		first, _, err := Indexes(files, ChildrenFirst)
		second, _, again := Indexes(files, ParentsFirst)
		if (err == nil) != (again == nil) {
			t.Fatalf("%v, and then %v", err, again)
		}
		if err != nil {
			return
		}
		if n := strings.Count(string(first["modules.dep"]), "\n"); n != 2 {
			t.Errorf("modules.dep has %d lines:\n%s", n, first["modules.dep"])
		}
		for name, b := range first {
			if strings.HasSuffix(name, ".bin") {
				if len(b) != len(second[name]) {
					t.Errorf("%s: %d bytes, and %d", name, len(b), len(second[name]))
				}
			} else if string(b) != string(second[name]) {
				t.Errorf("%s is not the same twice", name)
			}
		}
	})
}
