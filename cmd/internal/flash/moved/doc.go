// Package moved plans how a disk is made equal to an image out of what the disk holds already, wherever it lies.
//
// A build of a system image makes its filesystem anew: nearly all blocks of the build before are in it, at other places.
// So the disk's old blocks are known by short sums ([Table]), the chunks that differ are looked up in it ([New]), and the
// device gets a [Recipe] for each of them: these pieces are here, these lie there, these are zeros, these are sent.
//
// The disk is overwritten in place. Once a chunk has had its turn, the pieces that lay there are gone. A piece that a later chunk needs is
// therefore read into the device's memory first, as far as there is memory for pieces; the others are sent. How many that are depends on
// the order of the chunks: where blocks moved towards the disk's end it is best to begin with the last chunk, where they moved towards its
// beginning with the first. Both orders are tried.
//
// A wrong sum does no harm: each chunk that was made by a recipe is compared with its own full hash before it is written, and sent whole
// if it is another one.
package moved
