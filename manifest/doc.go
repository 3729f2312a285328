// Package manifest says what is in an initramfs or a root tree, and where each
// file came from.
//
// A [Manifest] is made by [Of] from an archive, or by [OfTree] from a root
// tree; [Manifest.Attribute] adds the Debian packages; [Encode] and [Decode]
// are its JSON form, whose JSON Schema is [SchemaJSON]. [Verify] holds an
// archive against one. The rooms beside it can be imported alone: diff compares
// two manifests, sbom writes one for other tools, sign makes and checks
// signatures as ssh-keygen does.
//
// # The JSON form, schema 4
//
//	schema           4; 3 where no file has capabilities, which is otherwise the same
//	tool             what made the manifest, "groundhog 0.1.0"
//	created          RFC 3339, only where SOURCE_DATE_EPOCH was set
//	source           "initramfs" or "root"
//	archive          name, sha256, size (bytes of the file), unpacked
//	inputs           what it was made from: role, name, sha256, size
//	architecture     Debian's name: "amd64"
//	release          Debian's code name: "bookworm"
//	system           id and version of the root tree's os-release: "debian", "12"
//	kernels          releases, as in /lib/modules
//	groundhog        of a patched archive: tool, build, board
//	dropbear         whether the archive has dropbear
//	host_keys        path, type, bits, fingerprint
//	authorized_keys  path, type, bits, fingerprint, comment
//	patches          name, summary, the paths that it put or changed
//	segments         offset, size, padding, unpacked (bytes), compression,
//	                 entries, sha256 (of the segment's bytes in the file)
//	packages         name, version, architecture, source, source_version,
//	                 files, bytes, depends (those of the others that it needs),
//	                 built_using (other sources: source, version, static)
//	entries          what the kernel ends up with, by path, each path once
//	shadowed         entries that a later copy of their path hides
//	ignored          entries that the kernel does not unpack
//	problems         what could not be read, a line each
//
// An entry has path, type (file, dir, symlink, char, block, fifo, socket,
// unknown), mode (octal, with setuid, setgid and sticky), uid, gid, size (bytes
// of a file's content), mtime (seconds since 1970), segment (index), and where
// they apply sha256 (of a file's content), stable_sha256 (of etc/passwd with the
// random name of root's home written root-XXXXXXXXXX: equal in two builds that
// differ in that name alone), target (of a symlink), device ("major:minor"),
// link_of (the first name of a hard-linked file), capabilities (what a file may do
// beyond its user, as getcap -n of libcap prints it), patch (the patch that put it
// there) and origin: kind (package, generated, groundhog,
// unknown), name and architecture of the package or the name of the maker, path
// (in the root tree, where it is another one) and modified (a package's
// configuration file that somebody changed).
//
// What is empty is left out, but for the fields of an entry that every entry
// has. Paths and targets are the archive's own, except that a backslash is
// doubled and a byte that is not UTF-8 is written \xNN: [EscapePath].
//
// Capabilities are read of the files of a directory, on Linux: an archive has none,
// nor has a .deb. Those that do not count everywhere have behind them the user who is
// root where they do, "[rootid=1000]", as a number of the user namespace in which
// they were read. What is damaged or not known is "unknown", with its bytes where the
// kernel hands them out, and has a line among the problems. Before schema 4, and up
// to groundhog 0.13.0, they were not read: [Manifest.TellsCapabilities].
//
// No key material is kept but fingerprints and, as of any file, the SHA-256 of
// the files that hold keys.
//
// # What is promised
//
// The same input gives the same bytes on any machine: no clock, no host name,
// no local path. Lists are written sorted and read in any order. [Decode]
// accepts this and older schemas and refuses newer ones by name, and it refuses
// unknown fields, duplicate fields and paths, fields in another case, invalid
// UTF-8, and input beyond its [Limits]. A change of a field is a new schema.
package manifest
