package initrd

import (
	"strings"
	"unsafe"
)

// Blocks grow from the first length to the last: a small archive must not cost 32 MiB.
const firstBlock, lastBlock = 256 << 10, 32 << 20

// contentRoom is memory for contents. What an archive holds stays together as long as anybody needs any of it; a few large
// blocks cost the system less than a page fault for each 4 KiB of thousands of small ones.
type contentRoom struct {
	free []byte
	next int // length of the next block
}

// takeRoom returns n bytes, which hold anything.
func (r *contentRoom) takeRoom(n int) []byte {
	if n > len(r.free) {
		r.next = min(max(2*r.next, firstBlock), lastBlock)
		if n > r.next/8 { // what is left would be wasted
			return allocHuge(n)
		}
		r.free = allocHuge(r.next)
	}
	b := r.free[:n:n]
	r.free = r.free[n:]
	return b
}

// hugePage is what x86-64's and, with pages of 4 KiB, arm64's page tables map at once.
const hugePage = 2 << 20

// allocHuge allocates n bytes, of which the kernel may map 2 MiB at a time: madvise(2), MADV_HUGEPAGE. It is a hint; where it is
// not taken nothing is lost but time. They hold anything: to clear memory that was used before would be to write to all of it.
func allocHuge(n int) []byte {
	if n < hugePage {
		return make([]byte, n)
	}
	var uncleared strings.Builder
	uncleared.Grow(n)
	uncleared.WriteByte(0)
	b := unsafe.Slice(unsafe.StringData(uncleared.String()), n)
	at := uintptr(unsafe.Pointer(&b[0]))
	if skip := int(-at & (hugePage - 1)); n-skip >= hugePage {
		mapLarge(b[skip : skip+(n-skip)&^(hugePage-1)])
	}
	return b
}
