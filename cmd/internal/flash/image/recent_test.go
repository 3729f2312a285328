package image

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/fixtures/judge"
)

// chunksOf is an image's chunks.
func chunksOf(b []byte) (all []chunk.Chunk) {
	for n := 0; n*chunk.Size < len(b); n++ {
		all = append(all, chunk.Of(int64(n), b[n*chunk.Size:min(len(b), (n+1)*chunk.Size)]))
	}
	return all
}

// decodedImage is an image whose chunks are known and not in memory, and whose file holds now.
func decodedImage(chunks []chunk.Chunk, now []byte) *Image {
	i := &Image{hashes: true, raw: bytes.NewReader(now), chunks: chunks, complete: true, recent: map[int64][]byte{}, hashing: hashState{passed: map[int64]bool{}, last: true}}
	i.cond = sync.NewCond(&i.mu)
	return i
}

// Who is too late to hash what was in memory reads it again, and takes no other bytes for it.
func TestHashLate(t *testing.T) {
	content := append(disk(3<<20), make([]byte, chunk.Size+100)...)
	content[len(content)-1] = 1
	whole := sha256.New()
	if err := decodedImage(chunksOf(content), content).hashChunks(whole); err != nil || !bytes.Equal(whole.Sum(nil), hashOf(content)) {
		t.Errorf("%x, %v", whole.Sum(nil), err)
	}
	other := bytes.Clone(content)
	other[2<<20]++
	if err := decodedImage(chunksOf(content), other).hashChunks(sha256.New()); !errors.Is(err, ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
	half := decodedImage(chunksOf(content), content)
	half.complete = false
	whole = sha256.New()
	if err := half.hashChunks(whole); err != nil || !bytes.Equal(whole.Sum(nil), hashOf(nil)) {
		t.Errorf("of an image that broke off something was hashed: %v", err)
	}
}

// A chunk's data is given away when it was hashed, and no sooner: whoever gets it may write to it. One that nobody wants is not waited for.
func TestDataIsHashedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := disk(2 << 20)
		i := decodedImage(nil, nil)
		i.complete, i.hashing.last = false, false
		for n, c := range chunksOf(content) {
			i.publishChunk(c, bytes.Clone(content[n*chunk.Size:][:c.Len]))
		}
		var got []byte
		go func() { got = i.takeData(t.Context(), 1) }()
		i.dropData(0)
		synctest.Wait()
		if got != nil || len(i.recent) != 2 {
			t.Errorf("%d bytes were given away, %d chunks are in memory", len(got), len(i.recent))
		}
		whole := sha256.New()
		go i.hashChunks(whole)
		synctest.Wait()
		if !bytes.Equal(got, content[chunk.Size:]) || len(i.recent) != 0 {
			t.Errorf("%d bytes, %d chunks are in memory", len(got), len(i.recent))
		}
		i.mu.Lock()
		i.complete, i.hashing.last = true, true
		i.cond.Broadcast()
		i.mu.Unlock()
		synctest.Wait()
		if !bytes.Equal(whole.Sum(nil), hashOf(content)) {
			t.Errorf("%x is another image's", whole.Sum(nil))
		}
	})
}

// All chunks are known as soon as they were read, by however many who ask; where the image is to have a sum that is waited for, and where it is to have none a raw one has none.
func TestKnown(t *testing.T) {
	content := disk(40 << 20)
	for name, packed := range map[string][]byte{"disk.img": content, "disk.img.zst": packWith(t, []string{"zstd", "-q"}, content)} {
		for _, sum := range []string{"", sumOf(packed)} {
			i := open(t, old(t, filepath.Join(t.TempDir(), name), packed), sum, nil)
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if got, err := whole(i); err != nil || !bytes.Equal(got, content) {
						t.Errorf("%s: %d bytes, %v", name, len(got), err)
					}
				})
				all.Go(func() {
					if chunks, err := i.Known(t.Context()); err != nil || len(chunks) != 40 || chunks[39] != chunk.Of(39, content[39<<20:]) {
						t.Errorf("%s: %d chunks, %v", name, len(chunks), err)
					}
				})
			}
			all.Wait()
			if sum != "" && i.Sum() != sum || sum == "" && (i.Sum() != "") != (i.Compression() != "raw") {
				t.Errorf("%s: %s", name, i.Sum())
			}
		}
		if _, err := open(t, old(t, filepath.Join(t.TempDir(), name), packed[:len(packed)-1]), "", nil).Known(t.Context()); name != "disk.img" && err == nil {
			t.Errorf("%s: one that was cut is known", name)
		}
	}
}

// A raw image is read as it is asked for, a few chunks ahead: what is read too early would have to be read again.
func TestReadOnDemand(t *testing.T) {
	i := open(t, old(t, filepath.Join(t.TempDir(), "disk.img"), disk(80<<20)), "", nil)
	for _, n := range []int64{0, 20, 3, 40} {
		judge.Value(i.Read(t.Context(), n))(t)
		i.mu.Lock()
		if most := int(i.demand) + mostInMemory; len(i.chunks) > most {
			t.Errorf("chunk %d was asked for, %d were read", n, len(i.chunks))
		}
		i.mu.Unlock()
	}
	if err := i.Load(t.Context()); err != nil || len(i.Index()) != 80 {
		t.Errorf("%d chunks, %v", len(i.Index()), err)
	}
}

// A raw image that has a checksum is read once to be held against it and to be known: what is sent later is held against its chunks' sums.
func TestCheckedAsItIsRead(t *testing.T) {
	content := disk(3<<20 + 512)
	damaged := bytes.Clone(content)
	damaged[2<<20]++
	for _, beside := range []bool{false, true} {
		name, sum := old(t, filepath.Join(t.TempDir(), "disk.img"), content), sumOf(content)
		if beside {
			old(t, name+".sha256", []byte(sum+"\n"))
			sum = ""
		}
		i := open(t, name, sum, nil)
		if chunks := i.Index(); len(chunks) != 4 || i.Sum() != sumOf(content) {
			t.Fatalf("beside %v: %d chunks, %s", beside, len(chunks), i.Sum())
		}
		if got, err := whole(i); err != nil || !bytes.Equal(got, content) {
			t.Errorf("beside %v: %d bytes, %v", beside, len(got), err)
		}
		i.raw = bytes.NewReader(append([]byte{content[0] + 1}, content[1:]...))
		if _, err := whole(i); !errors.Is(err, ErrChanged) {
			t.Errorf("beside %v: %v, want ErrChanged", beside, err)
		}
		i.Close()
		for _, b := range [][]byte{damaged, content[1:]} { // which looks like no image
			old(t, name, b)
			if _, err := Open(t.Context(), name, sum, nil); !errors.Is(err, ErrChecksum) {
				t.Errorf("beside %v: %v, want ErrChecksum", beside, err)
			}
		}
	}
}
