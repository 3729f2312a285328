package initrd

import "testing"

// Contents lie beside one another and never in one another, whatever their
// lengths, and appending to one leaves its neighbour alone.
func TestRoom(t *testing.T) {
	var r contentRoom
	var all [][]byte
	for _, n := range []int{1, firstBlock, firstBlock - 1, 3, 0, firstBlock / 8, 2 * firstBlock, lastBlock + 5, 7, hugePage, 1} {
		b := r.takeRoom(n)
		if len(b) != n || cap(b) != n {
			t.Fatalf("asked for %d bytes: length %d, capacity %d", n, len(b), cap(b))
		}
		for i := range b {
			b[i] = byte(len(all) + 1)
		}
		all = append(all, b)
	}
	for n, b := range all {
		_ = append(b, 0xff)
		for i, c := range b {
			if c != byte(n+1) {
				t.Fatalf("byte %d of content %d became %d", i, n, c)
			}
		}
	}
}
