// Package initrd reads, edits and writes Linux initramfs files without loss.
//
// An initramfs file ("archive") is a row of segments. Each segment is a run of
// cpio records in the "new ASCII" format (cpio(5), magic 070701 or 070702),
// plain or compressed, and ends at a record named TRAILER!!!; zeros may follow.
// The kernel unpacks the segments one after the other into one tree
// (Documentation/driver-api/early-userspace/buffer-format.rst), so the last
// copy of a path is the one that counts. Early segments carry CPU microcode,
// on some releases the kernel modules, and stay plain.
//
// What is kept: every byte of a segment that nobody edited; in an edited one
// every field of every record (inode, device, owner, mode, time, link count,
// checksum), hard links as hard links, and the order of the records.
//
// What is normalised in an edited segment, and only there: upper-case
// hexadecimal digits, zeros after the trailer up to a multiple of 512 bytes,
// and a fresh encoding in the compression it came in.
//
// What is refused, by name and offset: anything that is not a segment, an
// archive that ends before its trailer, names that are absolute or contain
// "..", whatever exceeds the [Limits], and what a tool would unpack but the
// kernel would not: plain cpio off a 4-byte boundary, xz with another check
// than CRC32 or none, gzip with header fields beside the name, and anything
// but zeros behind lz4.
package initrd
