// Package patches is what groundhog changes: in an archive, so that the
// initramfs in it brings the network up, starts dropbear and waits, and in a
// root tree, so that its own update-initramfs builds such an archive.
//
// A patch is one named, explained change. [Apply] runs all that were asked
// for on an image in memory; an error from any of them leaves nothing to
// write. Applied to an archive that already has it, a patch changes nothing.
//
// Every edit of a text that Debian wrote names an anchor that must occur
// exactly once; otherwise the error wraps [ErrAnchor] and says which script of
// which release surprised us.
package patches
