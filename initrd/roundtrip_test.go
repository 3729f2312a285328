package initrd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/fixtures/judge"
)

// oddities is one record of everything that a header can say.
func oddities() []Entry {
	other := hardlink(7, 2, "etc/other", "the same inode on another device")
	other.Dev = Device{8, 1}
	twin := other
	twin.Name = "etc/twin"
	crc := file("crc", "summed up")
	crc.Sum = true
	crcLink := symlink("crc-link", "crc")
	crcLink.Sum = true
	padded := file("padded", "a name filled up with NULs")
	padded.namePad = 25
	owned := file("owned", "")
	owned.UID, owned.GID, owned.Mtime = math.MaxUint32, math.MaxUint32-1, math.MaxUint32
	setuid := file("setuid", "x")
	setuid.Mode = TypeFile | 0o6755
	sticky := dir("tmp")
	sticky.Mode = TypeDir | 0o1777
	return []Entry{dir("."), dir("etc"), crc, crcLink, padded, owned, setuid, sticky,
		{Name: "console", Mode: TypeChar | 0o600, Nlink: 1, Rdev: Device{5, 1}},
		{Name: "disk", Mode: TypeBlock | 0o660, GID: 6, Nlink: 1, Rdev: Device{259, 1 << 20}},
		{Name: "fifo", Mode: TypePipe | 0o600, Nlink: 1}, {Name: "socket", Mode: TypeSocket | 0o700, Nlink: 1},
		symlink("up", "../.."), symlink("abs", "/etc"), file("empty", ""),
		file("large", strings.Repeat("0123456789abcdef", readAtOnce/16+100)+"tail"),
		hardlink(7, 2, "etc/one", ""), hardlink(7, 2, "two", "content on the last name"), other, twin,
		hardlink(0, 1, "inode-0", "0")}
}

// archives is everything that must come through unchanged: the fixtures, GNU
// cpio's own output, and records that no tool here writes. Of each two compressions,
// one behind the other, one in some is there.
func archives(t *testing.T, one int) map[string][]byte {
	all := fixtures(t)
	maps.Copy(all, gnu(t))
	odd := run(oddities()...)
	small := run(dir("."), file("x", "later"))
	pairs := 0
	for _, c := range compressions {
		packed := pack(t, c, odd)
		all["odd-"+string(c)] = packed
		all["padded-"+string(c)] = append(bytes.Clone(packed), make([]byte, 511)...)
		all["early-"+string(c)] = join(run(dir("kernel"), file("kernel/microcode", "µ")), packed)
		all["runs-"+string(c)] = pack(t, c, join(odd, small, make([]byte, 4096), small))
		for _, behind := range compressions {
			if pairs++; pairs%one != 0 {
				continue
			}
			zeroed := zeros(append(bytes.Clone(packed), 0, 0, 0, 0), 4)
			all["append-"+string(c)+"-"+string(behind)] = join(zeroed, pack(t, behind, small))
			if c != Lz4 && behind != None {
				all["tight-"+string(c)+"-"+string(behind)] = join(packed, pack(t, behind, small))
			}
		}
	}
	all["tight-lz4-lz4"] = join(all["odd-lz4"], pack(t, Lz4, small))
	all["lower"] = bytes.Replace(odd, []byte("FFFFFFFF"), []byte("ffffFFFF"), -1)
	all["no-block"] = zeros(append(bytes.TrimRight(small, "\x00"), 0), 4)
	all["trailer-only"] = run()
	return all
}

// gnu is a directory with a bit of everything as GNU cpio packs it.
func gnu(t *testing.T) map[string][]byte {
	judge.Tools(t, "cpio")
	root := t.TempDir()
	for _, d := range []string{"usr/bin", "usr/sbin", "etc"} {
		judge.Must(t, os.MkdirAll(filepath.Join(root, d), 0o755))
	}
	at := func(name string) string { return filepath.Join(root, name) }
	big := bytes.Repeat([]byte("a file larger than one read\n"), 30000)
	for _, err := range []error{
		os.WriteFile(at("usr/bin/a"), big, 0o755), os.Link(at("usr/bin/a"), at("usr/sbin/b")),
		os.Link(at("usr/bin/a"), at("c")), os.Symlink("usr/bin", at("bin")), os.WriteFile(at("etc/empty"), nil, 0o600),
		os.Chmod(at("usr/bin/a"), 0o755|os.ModeSetuid), os.Chmod(at("etc"), 0o755|os.ModeSticky),
		syscall.Mkfifo(at("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 { // as anybody else the fixtures stand for device nodes
		judge.Must(t, syscall.Mknod(at("etc/console"), syscall.S_IFCHR|0o600, 5<<8|1))
	}
	plain := ".\nbin\nc\netc\n" + "etc/empty\npipe\nusr\nusr/bin\nusr/bin/a\nusr/sbin\nusr/sbin/b\n"
	if os.Getuid() == 0 {
		plain += "etc/console\n"
	}
	all := map[string][]byte{}
	dotted := "./" + strings.ReplaceAll(strings.TrimSpace(plain), "\n", "\n./") + "\n"
	for name, args := range map[string][]string{"newc": {"newc"}, "crc": {"crc"}, "repro": {"newc", "--reproducible"}} {
		args = append([]string{"--quiet", "-o", "-H"}, args...)
		all["gnu-"+name] = pipe(t, root, []byte(plain), "cpio", args...)
		all["gnu-dot-"+name] = pipe(t, root, []byte(dotted), "cpio", args...)
	}
	return all
}

// The first property: what nobody edited leaves as it came.
func TestUnedited(t *testing.T) { unedited(t, archives(t, fewPairs)) }

// fewPairs is how many pairs of compressions stand for one that a unit test tries. It has no divisor in common with how many
// compressions there are: each is tried as the first and as the second.
const fewPairs = 5

func unedited(t *testing.T, archives map[string][]byte) {
	for name, b := range archives {
		t.Run(name, func(t *testing.T) {
			img := read(t, b)
			if !bytes.Equal(write(t, img), b) {
				t.Fatal("an unedited archive changed")
			}
			at := int64(0)
			for i, s := range img.Segments {
				if s.Offset != at {
					t.Errorf("segment %d at %d, want %d", i, s.Offset, at)
				}
				at += s.Size + s.Padding
			}
			if at != img.Size() || at != int64(len(b)) {
				t.Errorf("segments end at %d, the file at %d", at, len(b))
			}
		})
	}
}

// The second: encoded again, every record says what it said.
func TestEncodedAgain(t *testing.T) { encodedAgain(t, archives(t, fewPairs)) }

func encodedAgain(t *testing.T, archives map[string][]byte) {
	for name, b := range archives {
		t.Run(name, func(t *testing.T) {
			img := read(t, b)
			want, records := tree(img), entries(img)
			out := recode(t, img)
			again := read(t, out)
			// cmp, which tells two apart better, takes a hundred times longer to say that they are equal
			if got := entries(again); !reflect.DeepEqual(records, got) {
				t.Fatalf("records (-want +got):\n%s", cmp.Diff(records, got, cmp.AllowUnexported(Entry{})))
			}
			if got := tree(again); !reflect.DeepEqual(want, got) {
				t.Fatalf("tree (-want +got):\n%s", cmp.Diff(want, got))
			}
			if !bytes.Equal(recode(t, read(t, b)), out) {
				t.Error("two runs, two outputs")
			}
			if strings.HasPrefix(name, "gnu-") && !bytes.Equal(out, b) {
				t.Error("GNU cpio's bytes are not ours")
			}
		})
	}
}

// entries is all records in order, without what ties them to their image.
func entries(img *Image) [][]Entry {
	var all [][]Entry
	for _, s := range img.Segments {
		var some []Entry
		for _, e := range s.Entries {
			some = append(some, bare(*e))
		}
		all = append(all, some)
	}
	return all
}

// bare is e alone, a long content as its hash.
func bare(e Entry) Entry {
	e.seg, e.link = nil, nil
	if len(e.Data) > 128 {
		sum := sha256.Sum256(e.Data)
		e.Data = fmt.Appendf(nil, "%d bytes, %x", len(e.Data), sum)
	} else if len(e.Data) == 0 {
		e.Data = nil
	}
	return e
}

// Nothing of a record is lost or made up on the way in.
func TestFields(t *testing.T) {
	var want []Entry
	for _, e := range oddities() {
		want = append(want, bare(e))
	}
	got := entries(read(t, run(oddities()...)))[0]
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Entry{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
