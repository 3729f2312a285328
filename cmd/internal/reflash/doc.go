// Package reflash is what is done on devices, and what is said of it: an archive is pushed and taken off again, a waiting
// device's disk is made equal to an image, and both in one go with the reboots between them, on many devices at once.
//
// Its functions take plain options and tell a [Teller] what happens; how that is shown, and where the options come
// from, is for others. A run ends with a [Verdict], said once.
package reflash
