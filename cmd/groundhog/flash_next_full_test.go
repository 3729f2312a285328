//go:build full

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"groundhog/fixtures/bench/fresh"
	"groundhog/fixtures/judge"
	"groundhog/fixtures/waiting"
)

// Where the partitions of a build lie, in MiB. mkfs.btrfs --rootdir asks for three times of what it is given.
const (
	buildESP, buildSwap, buildRoot = 1, 17, 34
	buildRootSize, buildDisk       = 383, 419
)

// A buildKind is a way to make a root partition anew.
type buildKind struct {
	name   string
	mount  string                                // the filesystem's type, where it is mounted and used between two builds; "" for one that is only read
	make   func(t *testing.T, root, part string) // part is a file of zeros
	shift  int                                   // the second build's root partition begins so many bytes further on
	atMost float64                               // of a full flash's bytes, what the next build may take
}

func mkfsOf(name string, args ...string) func(t *testing.T, root, part string) {
	return func(t *testing.T, root, part string) {
		var all []string
		for _, a := range args {
			all = append(all, strings.NewReplacer("ROOT", root, "PART", part).Replace(a))
		}
		command(t, judge.Tool(t, name), all...)
	}
}

func makeXFS(t *testing.T, root, part string) {
	proto := part + ".proto"
	judge.WriteFile(t, proto, "-\n0 0\n"+protoOf(t, root))
	mkfsOf("mkfs.xfs", "-q", "-p", proto, "-d", fmt.Sprintf("file,name=PART,size=%dm", buildRootSize))(t, root, part)
}

// protoOf is a directory as mkfs.xfs(8) takes it with -p.
func protoOf(t *testing.T, dir string) string {
	t.Helper()
	entries := judge.Value(os.ReadDir(dir))(t)
	b := new(strings.Builder)
	fmt.Fprint(b, "d--755 0 0\n")
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		fmt.Fprint(b, e.Name(), " ")
		switch info, err := e.Info(); {
		case err != nil:
			t.Fatal(err)
		case e.IsDir():
			fmt.Fprint(b, protoOf(t, name))
		case info.Mode()&fs.ModeSymlink != 0:
			to := judge.Value(os.Readlink(name))(t)
			fmt.Fprintf(b, "l--777 0 0 %s\n", to)
		default:
			fmt.Fprintf(b, "---%03o 0 0 %s\n", info.Mode().Perm(), name)
		}
	}
	fmt.Fprint(b, "$\n")
	return b.String()
}

func buildKinds(t *testing.T) []buildKind {
	ext4 := mkfsOf("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", "ROOT", "PART")
	all := []buildKind{
		{name: "ext4", mount: "ext4", make: ext4, atMost: 0.5},
		{name: "btrfs", mount: "btrfs", make: mkfsOf("mkfs.btrfs", "-q", "--rootdir", "ROOT", "PART"), atMost: 0.5},
		{name: "xfs", mount: "xfs", make: makeXFS, atMost: 0.5},
		{name: "erofs", make: mkfsOf("mkfs.erofs", "--quiet", "PART", "ROOT"), atMost: 0.5},
		{name: "erofs, compressed", make: mkfsOf("mkfs.erofs", "--quiet", "-zlz4", "PART", "ROOT"), atMost: 0.5},
		// Of what is shifted by less than 4 KiB, or packed without regard to blocks, little or nothing is found again: it takes no more than a full flash.
		{name: "ext4, blocks of 1 KiB", mount: "ext4", make: mkfsOf("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", "ROOT", "PART"), atMost: 1.05}, // as mke2fs has it below 512 MiB
		{name: "ext4, 512 bytes further on", make: ext4, shift: 512, atMost: 1.05},
		{name: "squashfs", make: mkfsOf("mksquashfs", "ROOT", "PART", "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "3"), atMost: 1.05},
	}
	if help, _ := exec.Command(judge.Tool(t, "mkfs.btrfs"), "--help").CombinedOutput(); bytes.Contains(help, []byte("--compress")) { // since 6.13
		all = append(all, buildKind{name: "btrfs, zstd", mount: "btrfs", make: mkfsOf("mkfs.btrfs", "-q", "--compress", "zstd", "--rootdir", "ROOT", "PART"), atMost: 1.05})
	}
	return all
}

// The next build of an image, each filesystem made anew by its own tools, beside an ESP and swap, over one that was booted and used
// in between: the disk is the image, to the byte, and of a filesystem that is not compressed itself little is sent.
func TestNextBuilds(t *testing.T) {
	t.Parallel()
	kinds := buildKinds(t)
	s := startSpare(t, waiting.Options{Disks: []waiting.Disk{{Serial: goodDisk, SizeMB: buildDisk}}})
	for i, suite := range []string{"bookworm", "trixie"} {
		dir := t.TempDir()
		before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
		someOf(t, target(t, suite, "amd64").Root, before)
		command(t, "cp", "-a", before, after)
		aDayLater(t, after)
		for _, k := range kinds {
			first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
			makeDisk(t, k, before, first, 0)
			makeDisk(t, k, after, second, k.shift)
			s.nextBuild(suite, k, first, second, i == 1)
		}
	}
}

// someOf copies what a small system has.
func someOf(t *testing.T, root, to string) {
	t.Helper()
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/share/doc", "usr/share/locale", "var/lib/dpkg"} {
		command(t, "mkdir", "-p", filepath.Join(to, filepath.Dir(dir)))
		command(t, "cp", "-a", filepath.Join(root, dir), filepath.Join(to, dir))
	}
}

// aDayLater upgrades programs, in which something in every block is another, removes a directory and adds files.
func aDayLater(t *testing.T, root string) {
	t.Helper()
	programs, err := filepath.Glob(filepath.Join(root, "usr/bin/c*"))
	if err != nil || len(programs) == 0 {
		t.Fatal(err, "no programs")
	}
	for _, name := range programs {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		b := []byte(string(judge.ReadFile(t, name)))
		for i := 0; i < len(b); i += 512 {
			b[i]++
		}
		judge.WriteFile(t, name, string(b))
	}
	command(t, "rm", "-r", filepath.Join(root, "usr/share/locale/de"))
	r := rand.NewChaCha8([32]byte{5})
	for i := range 10 {
		b := make([]byte, 100_000)
		r.Read(b[:50_000])
		judge.WriteFile(t, filepath.Join(root, fmt.Sprintf("usr/bin/added%d", i)), string(b))
	}
}

// makeDisk makes a disk of a root tree: a GPT, an ESP with a file in it, swap, and the root filesystem.
func makeDisk(t *testing.T, k buildKind, root, name string, shift int) {
	t.Helper()
	command(t, "truncate", "-s", fmt.Sprint(buildDisk, "M"), name)
	table := exec.Command(judge.Tool(t, "sfdisk"), "-q", name)
	table.Stdin = strings.NewReader(fmt.Sprintf("label: gpt\nstart=%dMiB,size=%dMiB,type=uefi\nstart=%dMiB,size=%dMiB,type=swap\nstart=%d,size=%d,type=linux\n",
		buildESP, buildSwap-buildESP, buildSwap, 16, buildRoot<<11+shift/512, buildRootSize<<11))
	judge.Run(t, table)
	part := name + ".part"
	fill := func(at, size int, mkfs func(t *testing.T, root, part string)) {
		command(t, "truncate", "-s", fmt.Sprint(size, "M"), part)
		mkfs(t, root, part)
		command(t, "dd", "if="+part, "of="+name, "bs=1M", "conv=notrunc,sparse", "oflag=seek_bytes", fmt.Sprint("seek=", at), "status=none")
		judge.Must(t, os.Remove(part))
	}
	fill(buildESP<<20, buildSwap-buildESP, mkfsOf("mformat", "-i", "PART", "::"))
	esp := fmt.Sprintf("%s@@%dM", name, buildESP)
	command(t, judge.Tool(t, "mcopy"), "-i", esp, filepath.Join(root, "usr/bin/dpkg"), "::/grubx64.efi")
	fill(buildSwap<<20, 16, mkfsOf("mkswap", "-q", "PART"))
	fill(buildRoot<<20+shift, buildRootSize, k.make)
}

// inUse is what a system does to the disk that it runs from, in a mount namespace of its own: files come, go, are changed and touched.
// With a name for it a copy is made before the filesystem is unmounted: what the disk is when the power goes.
const inUse = `set -e
disk=$1 type=$2 offset=$3 size=$4 at=$5 cut=$6
mkdir "$at"
mount -t $type -o loop,offset=$offset,sizelimit=$size "$disk" "$at"
cd "$at"
find usr/share/doc -type f | head -50 | xargs rm
find usr/sbin -type f | xargs touch
mkdir var/lib/copies
cp -a usr/bin/d* var/lib/copies
dd if=/dev/urandom of=written bs=1M count=6 status=none
sync -f .
for f in var/lib/dpkg/info/*.list; do echo /used >>$f; done
rm usr/bin/e*
mv usr/share/locale usr/share/moved
sync -f .
echo last >last
if [ "$cut" ]; then cp --sparse=always "$disk" "$cut"; fi
cd /
umount "$at"
if [ "$cut" ]; then mv "$cut" "$disk"; fi
`

// use uses a disk whose device is off: its filesystem, its swap and its ESP.
func (k buildKind) use(t *testing.T, disk, espFile string, cut bool) {
	t.Helper()
	before := sha256Of(t, disk)
	dir := filepath.Join(t.TempDir(), "mounted")
	copied := ""
	if cut {
		copied = disk + ".cut"
	}
	if k.mount != "" {
		out, err := exec.Command("unshare", "--mount", "sh", "-c", inUse, "use", disk, k.mount, fmt.Sprint(buildRoot<<20), fmt.Sprint(buildRootSize<<20), dir, copied).CombinedOutput()
		if bytes.Contains(out, []byte("unknown filesystem type")) {
			judge.Missing(t, "a kernel that mounts "+k.mount)
		}
		if err != nil {
			t.Fatalf("using a disk: %v: %s", err, out)
		}
	}
	command(t, "mcopy", "-i", fmt.Sprintf("%s@@%dM", disk, buildESP), espFile, "::/used")
	command(t, "dd", "if=/dev/urandom", "of="+disk, "bs=1M", "count=4", fmt.Sprint("seek=", buildSwap+1), "conv=notrunc", "status=none")
	if sha256Of(t, disk) == before {
		t.Fatal("the disk was not used")
	}
}

// nextBuild flashes a build, has it used, and flashes the next one.
func (s *spare) nextBuild(suite string, k buildKind, first, second string, cut bool) {
	what := suite + ", " + k.name
	sent := func(img string) int64 {
		code, out := s.flash(goodDisk, img, "--json")
		if v := verdictOf(s.t, out); code == 0 && v.Data.State == "verified" {
			if sha256Of(s.t, s.Disk(0)) != sha256Of(s.t, img) {
				s.t.Errorf("%s: verified, and the disk is not the image", what)
			}
			return v.Data.Sent
		}
		s.t.Fatalf("%s: exit %d, want a verified disk", what, code)
		return 0
	}
	again := func(f func()) {
		s.PowerOff()
		f()
		judge.Must(s.t, s.PowerOn(s.ctx))
		judge.Must(s.t, s.WaitLogin(s.ctx, s.login))
	}
	again(func() { command(s.t, "fallocate", "--punch-hole", "--length", fmt.Sprint(buildDisk<<20), s.Disk(0)) })
	full := sent(first)
	again(func() { k.use(s.t, s.Disk(0), s.login.KnownHosts, cut) })
	next := sent(second)
	size, packed, err := fresh.Blocks(first, second)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%s: %.1f MB new in blocks of 4 KiB, %.2f MB compressed; a full flash sends %.1f MB, the next build %.2f MB: %.2f of what is new, %.0f %% of a full flash",
		what, float64(size)/1e6, float64(packed)/1e6, float64(full)/1e6, float64(next)/1e6, float64(next)/float64(packed), 100*float64(next)/float64(full))
	if float64(next) > k.atMost*float64(full) {
		s.t.Errorf("%s: the next build sends %d bytes, a full flash %d: more than %.2f of it", what, next, full, k.atMost)
	}
	for _, name := range []string{first, second} {
		judge.Must(s.t, os.Remove(name))
	}
}
