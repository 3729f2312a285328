// Package disk finds a device's disks and says which one is meant. A disk is what its
// serial number, CID or partition table says it is; where it was found changes with
// the next boot.
package disk

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"groundhog/initrd/show"
)

// Info is one disk and how it is now. The JSON is what `groundhog-writer disks` prints.
type Info struct {
	Identity
	Block     int64  `json:"block"`            // logical block size in bytes
	Removable bool   `json:"removable"`        // a medium that can be taken out, or a card reader
	ReadOnly  bool   `json:"read_only"`        // by the kernel's word
	InUse     string `json:"in_use,omitzero"`  // by what; "" by nothing
	Trouble   string `json:"trouble,omitzero"` // why its beginning cannot be read
	Instead   string `json:"instead,omitzero"` // what is at its path, and is not its device node
	Silent    bool   `json:"silent,omitzero"`  // it does not answer: no reading of its beginning has ended in time
}

// maxDisks bounds a device's list of disks; maxText a sentence in it, in bytes.
const (
	maxDisks = 1024
	maxText  = 1024
)

// Parse reads a device's list of disks. What no disk can be is refused here, once.
func Parse(b []byte) ([]Info, error) {
	var all []Info
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("the device's list of disks: %w", err)
	}
	if len(all) > maxDisks {
		return nil, fmt.Errorf("the device's list of disks: %d of them", len(all))
	}
	for i := range all {
		if err := all[i].Check(); err != nil {
			return nil, fmt.Errorf("the device's list of disks: %w", err)
		}
	}
	return all, nil
}

// Check is Identity's, and of the rest.
func (d *Info) Check() error {
	if err := d.Identity.Check(); err != nil {
		return err
	}
	if d.Size == 0 || !isBlock(d.Block) || len(d.InUse) > maxText || len(d.Trouble) > maxText || len(d.Instead) > maxText {
		return fmt.Errorf("%s: a disk of %d bytes in blocks of %d", d.Path, d.Size, d.Block)
	}
	return nil
}

// isBlock says whether a logical block size is one that the kernel knows: a power of two, 512 to 65,536 bytes.
func isBlock(n int64) bool { return n >= 512 && n <= 65536 && n&(n-1) == 0 }

// skippedNames begin the names of what is no disk: memory, loops, what stands upon disks,
// optical and floppy drives (Documentation/admin-guide/devices.txt).
var skippedNames = []string{"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock", "drbd", "rbd", "bcache"}

// isDisk says by the kernel's name whether a block device is one. An eMMC's boot
// partitions and its RPMB are block devices of their own and never the system's.
func isDisk(name string) bool {
	for _, s := range skippedNames {
		if strings.HasPrefix(name, s) {
			return false
		}
	}
	return !strings.HasPrefix(name, "mmcblk") || !strings.Contains(name, "boot") && !strings.Contains(name, "rpmb") && !strings.Contains(name, "gp")
}

// List finds the disks in root's sys/block, proc and dev, sorted by path. read gives the first n bytes of a disk, for its partition
// table; it may be called for several disks at once, and its error wraps ErrSilent where it has waited for long enough. Sources: sysfs-block
// (Documentation/ABI/stable/sysfs-block; hidden is a path of an NVMe disk that has several, not a disk), proc_pid_mountinfo(5), proc_swaps(5).
func List(root fs.FS, read func(path string, n int64) ([]byte, error)) ([]Info, error) {
	entries, err := fs.ReadDir(root, "sys/block")
	if err != nil {
		return nil, fmt.Errorf("listing disks: %w", err)
	}
	used := findUses(root)
	var all []Info
	for _, e := range entries {
		sys := path.Join("sys/block", e.Name())
		sectors, err := strconv.ParseInt(readAttribute(root, sys+"/size"), 10, 64)
		if !isDisk(e.Name()) || readAttribute(root, sys+"/hidden") == "1" || err != nil || sectors <= 0 || sectors > MaxSize/512 {
			continue
		}
		d := Info{
			Identity: Identity{
				// "!" stands for a slash: cciss!c0d0.
				Path:   "/dev/" + strings.ReplaceAll(e.Name(), "!", "/"),
				Size:   sectors * 512,
				Model:  firstAttribute(root, sys+"/device/model", sys+"/device/name"),
				Serial: serialNumber(root, sys),
				CID:    readAttribute(root, sys+"/device/cid"),
			},
			Instead:   insteadOf(root, sys, e.Name()),
			Block:     512,
			Removable: readAttribute(root, sys+"/removable") == "1" || readAttribute(root, sys+"/device/type") == "SD",
			ReadOnly:  readAttribute(root, sys+"/ro") == "1",
			InUse:     used.useOf(root, sys, e.Name()),
		}
		if n, err := strconv.ParseInt(readAttribute(root, sys+"/queue/logical_block_size"), 10, 64); err == nil && isBlock(n) {
			d.Block = n
		}
		all = append(all, d)
	}
	readTables(all, read)
	sort.Slice(all, func(i, j int) bool { return all[i].Path < all[j].Path })
	return all, nil
}

// maxAttribute bounds what is read of a file in sysfs: a page.
const maxAttribute = 4096

// readAttribute is an attribute without the blanks around it, "" where there is none. What a disk says of
// itself is printed, so nothing but printable ASCII gets through.
func readAttribute(root fs.FS, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAttribute))
	if err != nil {
		return ""
	}
	return attributeWord(b)
}

// attributeWord is what a disk says of itself, bounded.
func attributeWord(b []byte) string {
	s := sysfsLine(string(b))
	return strings.TrimSpace(s[:min(len(s), maxWord)])
}

// sysfsLine is a text from sysfs for a message.
func sysfsLine(s string) string {
	return strings.TrimSpace(show.ASCII(strings.NewReplacer("\n", " ", "\t", " ", "\x00", " ").Replace(s)))
}

func firstAttribute(root fs.FS, names ...string) string {
	for _, n := range names {
		if s := readAttribute(root, n); s != "" {
			return s
		}
	}
	return ""
}

// serialNumber is a disk's serial number: virtio-blk's, NVMe's and MMC's is an attribute, a
// SCSI disk's is in its page 80h of vital product data (SPC-4, 7.8.16), behind four bytes.
func serialNumber(root fs.FS, sys string) string {
	if s := firstAttribute(root, sys+"/serial", sys+"/device/serial"); s != "" {
		return s
	}
	b, err := fs.ReadFile(root, sys+"/device/vpd_pg80")
	if err != nil || len(b) < 4 || len(b) > maxAttribute {
		return ""
	}
	return attributeWord(b[4:])
}

// insteadOf is what is at a disk's path and is not its device node: what would be read and written there is not the disk. Somebody who copied to
// /dev/sda when there was none has made a file of that name, which stays when the disk appears. "" is for the device node, and for nothing at all.
func insteadOf(root fs.FS, sys, name string) string {
	number := readAttribute(root, sys+"/dev")
	info, err := fs.Stat(root, "dev/"+strings.ReplaceAll(name, "!", "/"))
	if err != nil || number == "" {
		return ""
	}
	raw, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.IsDir():
		return "a directory"
	case info.Mode().Type() != fs.ModeDevice:
		return "a file"
	case !ok:
		return ""
	}
	if is := fmt.Sprintf("%d:%d", unix.Major(uint64(raw.Rdev)), unix.Minor(uint64(raw.Rdev))); is != number {
		return "the device " + is + ", not " + number
	}
	return ""
}

// readTables adds the tables' ids. The disks are read at the same time: several that do not answer cost no more than one.
func readTables(all []Info, read func(string, int64) ([]byte, error)) {
	var reading sync.WaitGroup
	for i := range all {
		d := &all[i]
		if d.Instead != "" {
			continue
		}
		reading.Go(func() {
			b, err := read(d.Path, 2*d.Block)
			if err == nil && int64(len(b)) != 2*d.Block {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				d.Trouble, d.Silent = err.Error(), errors.Is(err, ErrSilent)
				d.Trouble = d.Trouble[:min(len(d.Trouble), maxText)]
				return
			}
			d.PTUUID = tableOf(b, d.Block)
		})
	}
	reading.Wait()
}

// tableOf is a partition table's id, of a disk's first two blocks: a GPT's GUID (UEFI 2.10, 5.3.2), else an
// MBR's signature. A disk without a table has none.
func tableOf(b []byte, block int64) string {
	if header := b[block:]; string(header[:8]) == "EFI PART" {
		return guidText([16]byte(header[56:72]))
	}
	if b[510] == 0x55 && b[511] == 0xaa && [4]byte(b[440:444]) != [4]byte{} {
		return hex.EncodeToString([]byte{b[443], b[442], b[441], b[440]})
	}
	return ""
}

// guidText is a GUID in text: the first three fields are little endian (UEFI 2.10, appendix A).
func guidText(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", []byte{b[3], b[2], b[1], b[0]}, []byte{b[5], b[4]}, []byte{b[7], b[6]}, b[8:10], b[10:])
}
