// Package moved plans how a disk is made equal to an image out of what the disk holds already, wherever it lies.
//
// A build of a system image makes its filesystem anew: nearly all blocks of the build before are in it, at other places.
// So the disk's old blocks are known by short sums ([Table]), the chunks that differ are looked up in it ([New]), and the
// device gets a [Recipe] for each of them: these pieces are here, these lie there, these are zeros, these are sent.
//
// The disk is overwritten where it stands. A piece that lies in a chunk whose turn came before is gone, so it is kept in
// the device's memory first, within a budget; what does not fit is sent. The chunks' order decides how much that is: blocks
// that moved towards the end want the last chunk first, those that moved towards the beginning the first. Both orders are tried.
//
// Nothing rests on the sums: each chunk that comes of a recipe is held against its own full hash before it is written,
// and one that does not fit is sent whole.
package moved
