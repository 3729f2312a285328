package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"groundhog/fixtures/judge"
)

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

// board is a machine with an eMMC, an SSD that is mounted, a card reader, and what is no disk.
func board() fstest.MapFS {
	return fstest.MapFS{
		"sys/block/mmcblk0/size":                     file("30535680\n"),
		"sys/block/mmcblk0/removable":                file("0\n"),
		"sys/block/mmcblk0/dev":                      file("179:0\n"),
		"sys/block/mmcblk0/device/name":              file("BJTD4R\n"),
		"sys/block/mmcblk0/device/serial":            file("0x01234567\n"),
		"sys/block/mmcblk0/device/type":              file("MMC\n"),
		"sys/block/mmcblk0/device/cid":               file("15010042\x1b4a544434\n"),
		"sys/block/mmcblk0boot0/size":                file("8192\n"),
		"sys/block/mmcblk0rpmb/size":                 file("8192\n"),
		"sys/block/loop0/size":                       file("8192\n"),
		"sys/block/sr0/size":                         file("8192\n"),
		"sys/block/zram0/size":                       file("8192\n"),
		"sys/block/sdb/size":                         file("0\n"),
		"sys/block/sda/size":                         file("2000409264\n"),
		"sys/block/sda/ro":                           file("0\n"),
		"sys/block/sda/queue/logical_block_size":     file("4096\n"),
		"sys/block/sda/device/model":                 file("Samsung SSD     \n"),
		"sys/block/sda/device/vpd_pg80":              file("\x00\x80\x00\x08S4EWNX0M"),
		"sys/block/sda/sda1/dev":                     file("8:1\n"),
		"sys/block/mmcblk1/size":                     file("1000\n"),
		"sys/block/mmcblk1/device/type":              file("SD\n"),
		"proc/self/mountinfo":                        file("22 1 8:1 / /srv rw - ext4 /dev/sda1 rw\n"),
		"proc/swaps":                                 file("Filename Type Size Used Priority\n"),
		"sys/block/vda/size":                         file("2048\n"),
		"sys/block/vda/serial":                       file("disk-1"),
		"sys/block/vda/vda2/holders/dm-0/uevent":     file(""),
		"sys/block/nvme0c0n1/size":                   file("4096\n"), // a path of an NVMe disk that has several
		"sys/block/nvme0c0n1/hidden":                 file("1\n"),
		"sys/block/nvme0n1/size":                     file("-4\n"),
		"sys/block/nvme1n1/size":                     file("99999999999999999999\n"),
		"sys/block/nvme2n1/size":                     file("4096\n"),
		"sys/block/nvme2n1/removable":                file("0\n"),
		"sys/block/nvme2n1/ro":                       file("1\n"),
		"sys/block/nvme2n1/queue/logical_block_size": file("7\n"),
	}
}

func gpt(block int) []byte {
	b := make([]byte, 4*block)
	copy(b[block:], "EFI PART")
	copy(b[block+56:], []byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b})
	return b
}

func mbr() []byte {
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint32(b[440:], 0xdeadbeef)
	b[510], b[511] = 0x55, 0xaa
	return b
}

// content is the beginnings of the board's disks.
func content(name string, n int64) ([]byte, error) {
	switch name {
	case "/dev/sda":
		return gpt(4096)[:n], nil
	case "/dev/mmcblk0":
		return mbr()[:n], nil
	case "/dev/vda":
		return nil, errors.New("input/output error")
	case "/dev/nvme2n1":
		return nil, fmt.Errorf("%w: not within 5s", ErrSilent)
	}
	return make([]byte, n), nil
}

func TestList(t *testing.T) {
	got := judge.Value(List(board(), content))(t)
	want := []Info{
		{Identity: Identity{Path: "/dev/mmcblk0", Size: 30535680 * 512, Model: "BJTD4R", Serial: "0x01234567", CID: "15010042?4a544434", PTUUID: "deadbeef"}, Block: 512},
		{Identity: Identity{Path: "/dev/mmcblk1", Size: 512000}, Block: 512, Removable: true},
		{Identity: Identity{Path: "/dev/nvme2n1", Size: 2 << 20}, Block: 512, ReadOnly: true, Silent: true, Trouble: "the disk does not answer: not within 5s"},
		{Identity: Identity{Path: "/dev/sda", Size: 2000409264 * 512, Model: "Samsung SSD", Serial: "S4EWNX0M", PTUUID: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"}, Block: 4096, InUse: "/dev/sda1 is mounted on /srv"},
		{Identity: Identity{Path: "/dev/vda", Size: 1 << 20, Serial: "disk-1"}, Block: 512, InUse: "/dev/vda2 is held by dm-0", Trouble: "input/output error"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// All disks are read at once, and what is read of one is no more than was asked for, nor less.
func TestListAtOnce(t *testing.T) {
	var begun sync.WaitGroup
	begun.Add(5)
	together := make(chan struct{})
	go func() { begun.Wait(); close(together) }()
	all := judge.Value(List(board(), func(name string, n int64) ([]byte, error) {
		begun.Done()
		select {
		case <-together:
		case <-time.After(time.Minute):
			t.Errorf("%s is read by itself", name)
		}
		return make([]byte, n/2), errors.New(strings.Repeat("x", 10*maxText))
	}))(t)
	for _, d := range all {
		if err := d.Check(); d.Trouble == "" || err != nil {
			t.Errorf("%+v, %v", d, err)
		}
	}
	for _, d := range judge.Value(List(board(), func(_ string, n int64) ([]byte, error) { return make([]byte, n-1), nil }))(t) {
		if d.Trouble != "unexpected EOF" {
			t.Errorf("half a beginning: %+v", d)
		}
	}
}

// What is at a disk's path and is not the disk is neither read nor chosen. A node that is missing is for whoever opens it.
func TestListInstead(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{}
	for i, name := range []string{"vda", "vdb", "vdc", "vdd", "vde"} {
		files["sys/block/"+name+"/size"] = "2048\n"
		files["sys/block/"+name+"/dev"] = fmt.Sprintf("254:%d\n", 16*i)
	}
	files["dev/vda"], files["dev/vdc/x"] = "an image that somebody has copied", ""
	judge.WriteTree(t, root, files)
	judge.Must(t, os.Symlink("null", filepath.Join(root, "dev/vdb")))
	judge.Must(t, os.Symlink(os.DevNull, filepath.Join(root, "dev/null")))
	want := map[string]string{"/dev/vda": "a file", "/dev/vdb": "a file", "/dev/vdc": "a directory"}
	if unix.Mknod(filepath.Join(root, "dev/vde"), unix.S_IFBLK|0o600, int(unix.Mkdev(254, 64))) == nil { // who may make one
		judge.Must(t, unix.Mknod(filepath.Join(root, "dev/other"), unix.S_IFBLK|0o600, int(unix.Mkdev(254, 16))))
		judge.Must(t, os.Symlink("other", filepath.Join(root, "dev/vdd")))
		want["/dev/vdd"] = "the device 254:16, not 254:48"
	}
	all := judge.Value(List(os.DirFS(root), func(name string, n int64) ([]byte, error) {
		if want[name] != "" {
			t.Errorf("%s is read", name)
		}
		return make([]byte, n), nil
	}))(t)
	for _, d := range all {
		_, err := Choose(all, d.Path, nil)
		if d.Instead != want[d.Path] || (want[d.Path] != "") != errors.Is(err, ErrInstead) {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if len(all) != 5 {
		t.Errorf("%+v", all)
	}
}

func TestListWithout(t *testing.T) {
	if _, err := List(fstest.MapFS{}, content); err == nil {
		t.Error("no sysfs: no error")
	}
}

// What a table's id is, blkid says.
func TestTable(t *testing.T) {
	blkid, sfdisk := judge.Tool(t, "blkid"), judge.Tool(t, "sfdisk")
	for _, label := range []string{"gpt", "dos"} {
		name := filepath.Join(t.TempDir(), "disk")
		judge.WriteFile(t, name, make([]byte, 4<<20))
		cmd := exec.Command(sfdisk, "-q", name)
		cmd.Stdin = strings.NewReader("label: " + label + "\n")
		judge.Run(t, cmd)
		out := judge.Output(t, exec.Command(blkid, "-p", "-s", "PTUUID", "-o", "value", name))
		got := tableOf(judge.ReadFile(t, name), 512)
		if want := strings.TrimSpace(string(out)); got != want || want == "" {
			t.Errorf("%s: %q; blkid says %q", label, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	a := Info{Identity: Identity{Path: "/dev/sda", Size: 1000, Serial: "A", PTUUID: "Ab-1"}}
	b := Info{Identity: Identity{Path: "/dev/sdb", Size: 1000, CID: "ff00"}}
	stick := Info{Identity: Identity{Path: "/dev/sdc", Size: 10}, Removable: true}
	plain := Info{Identity: Identity{Path: "/dev/vda", Size: 5, Model: "m", PTUUID: "1"}}
	used := Info{Identity: Identity{Path: "/dev/vdb", Size: 5}, InUse: "/dev/vdb1 is mounted on /"}
	silent := Info{Identity: Identity{Path: "/dev/sdd", Size: 1000, Serial: "D"}, Silent: true}
	locked := Info{Identity: Identity{Path: "/dev/sde", Size: 1000, Serial: "E"}, ReadOnly: true}
	moved := plain
	moved.Path = "/dev/vdc"
	other := a
	other.Serial = "B"
	for name, c := range map[string]struct {
		all      []Info
		want     string
		recorded *Identity
		path     string
		err      error
	}{
		"the only one":             {[]Info{a, stick}, "", nil, "/dev/sda", nil},
		"two":                      {[]Info{a, b, stick}, "", nil, "", ErrSeveral},
		"only a stick":             {[]Info{stick}, "", nil, "", ErrNone},
		"none":                     {nil, "", nil, "", ErrNone},
		"a stick by its path":      {[]Info{a, stick}, "/dev/sdc", nil, "/dev/sdc", nil},
		"serial":                   {[]Info{a, b}, "serial:A", nil, "/dev/sda", nil},
		"serial is exact":          {[]Info{a, b}, "serial:a", nil, "", ErrNone},
		"cid":                      {[]Info{a, b}, "cid:FF00", nil, "/dev/sdb", nil},
		"ptuuid":                   {[]Info{a, b}, "ptuuid:aB-1", nil, "/dev/sda", nil},
		"two by ptuuid":            {[]Info{a, other}, "ptuuid:ab-1", nil, "", ErrSeveral},
		"recorded":                 {[]Info{a, b}, "", &a.Identity, "/dev/sda", nil},
		"recorded, replaced":       {[]Info{other, b}, "", &a.Identity, "", ErrNone},
		"recorded, other size":     {[]Info{a}, "", &Identity{Path: a.Path, Serial: a.Serial, Size: 7}, "", ErrNone},
		"recorded, moved":          {[]Info{moved}, "", &plain.Identity, "/dev/vdc", nil},
		"recorded, a new table":    {[]Info{{Identity: Identity{Path: "/dev/vda", Size: 5, Model: "m", PTUUID: "2"}}}, "", &plain.Identity, "/dev/vda", nil},
		"recorded, both":           {[]Info{{Identity: Identity{Path: "/dev/vdc", Size: 5, Model: "m", PTUUID: "2"}}}, "", &plain.Identity, "", ErrNone},
		"want beats recorded":      {[]Info{a, b}, "/dev/sdb", &a.Identity, "/dev/sdb", nil},
		"silent":                   {[]Info{silent, stick}, "", nil, "", ErrSilent},
		"silent, by its name":      {[]Info{a, silent}, "serial:D", nil, "", ErrSilent},
		"silent, recorded":         {[]Info{a, silent}, "", &silent.Identity, "", ErrSilent},
		"another one is silent":    {[]Info{a, silent}, "", nil, "", ErrSeveral},
		"named beside a silent":    {[]Info{a, silent}, "/dev/sda", nil, "/dev/sda", nil},
		"recorded beside a silent": {[]Info{a, silent}, "", &a.Identity, "/dev/sda", nil},
		"read-only":                {[]Info{locked, stick}, "", nil, "", ErrLocked},
		"read-only, by its name":   {[]Info{a, locked}, "serial:E", nil, "", ErrLocked},
		"read-only, recorded":      {[]Info{a, locked}, "", &locked.Identity, "", ErrLocked},
		"another one is read-only": {[]Info{a, locked}, "", nil, "", ErrSeveral},
		"named beside a read-only": {[]Info{a, locked}, "/dev/sda", nil, "/dev/sda", nil},
		"in use":                   {[]Info{used}, "", nil, "", ErrInUse},
		"an empty serial is no id": {[]Info{b, stick}, "serial:", nil, "", errAny},
		"no kind":                  {[]Info{a}, "sda", nil, "", errAny},
		"another kind":             {[]Info{a}, "uuid:1", nil, "", errAny},
	} {
		got, err := Choose(c.all, c.want, c.recorded)
		if got.Path != c.path || (err == nil) != (c.err == nil) || c.err != errAny && !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got.Path, err, c.path, c.err)
		}
	}
	_, err := Choose([]Info{a, b, stick}, "", nil)
	for _, s := range []string{"/dev/sda", "serial:A", "/dev/sdb", "cid:ff00"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%v: does not list %s", err, s)
		}
	}
	if strings.Contains(err.Error(), stick.Path) {
		t.Errorf("%v: lists a disk that is not meant", err)
	}
}

var errAny = errors.New("any")

// Who names a disk by what it has not is told by what it can be named.
func TestChooseUnnamed(t *testing.T) {
	const want = `"model:x" names no disk: a path, or serial:, cid: or ptuuid: and its value does`
	if _, err := Choose(nil, "model:x", nil); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
