package depmod

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// The head of an index in binary form: a magic number, the format's version, and where the root is; all numbers are big-endian.
const (
	indexMagic   = 0xB007F457
	indexVersion = 2<<16 | 1
	headSize     = 12
)

// What a node has, in the highest bits of the number that says where it lies.
const (
	hasPrefix   = 0x80000000
	hasValues   = 0x40000000
	hasChildren = 0x20000000
)

// A trie is a node of an index, and what is below it.
type trie struct {
	prefix   string // what all keys below have here
	values   []trieValue
	children []trieChild // by their characters
	size     uint32      // of it and all below it, in bytes
}

type trieValue struct {
	priority uint32
	text     string
}

type trieChild struct {
	char byte
	node *trie
}

// insert adds a value to a key's. In the index they are by their priorities, and of one priority the last is the first.
func (t *trie) insert(key, value string, priority int) error {
	for _, text := range []string{key, value} {
		for _, c := range []byte(text) {
			if c == 0 || c >= 0x80 {
				return fmt.Errorf("%q is no text of ASCII, and an index holds no other", text)
			}
		}
	}
	v := trieValue{uint32(priority), value}
	for {
		n := 0
		for n < len(t.prefix) && n < len(key) && t.prefix[n] == key[n] {
			n++
		}
		if n < len(t.prefix) { // it parts here
			below := *t
			below.prefix = t.prefix[n+1:]
			*t = trie{prefix: t.prefix[:n], children: []trieChild{{t.prefix[n], &below}}}
		}
		if key = key[n:]; key == "" {
			t.values = append(t.values, v)
			return nil
		}
		at, found := slices.BinarySearchFunc(t.children, key[0], func(c trieChild, char byte) int { return cmp.Compare(c.char, char) })
		if !found {
			t.children = slices.Insert(t.children, at, trieChild{key[0], &trie{prefix: key[1:], values: []trieValue{v}}})
			return nil
		}
		t, key = t.children[at].node, key[1:]
	}
}

// file is the index that has t for its root.
func (t *trie) file(layout Layout) ([]byte, error) {
	if t.finish(); t.size > maxIndex {
		return nil, fmt.Errorf("an index of %d bytes: %w", t.size, ErrTooMuch)
	}
	var b bytes.Buffer
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, indexMagic), indexVersion)
	b.Write(binary.BigEndian.AppendUint32(head, 0))
	root := t.write(&b, layout)
	binary.BigEndian.PutUint32(b.Bytes()[8:], root)
	return b.Bytes(), nil
}

// finish sorts the values and finds how large t is. Sizes beyond what an index may have are not added up.
func (t *trie) finish() {
	slices.Reverse(t.values)
	slices.SortStableFunc(t.values, func(a, b trieValue) int { return cmp.Compare(a.priority, b.priority) })
	t.size = t.own()
	for _, c := range t.children {
		c.node.finish()
		t.size = min(t.size+c.node.size, 2*maxIndex)
	}
}

// own is how large the node itself is.
func (t *trie) own() uint32 {
	n := 0
	if t.prefix != "" {
		n += len(t.prefix) + 1
	}
	if len(t.children) > 0 {
		n += 2 + 4*t.span()
	}
	if len(t.values) > 0 {
		n += 4
		for _, v := range t.values {
			n += 4 + len(v.text) + 1
		}
	}
	return uint32(min(n, 2*maxIndex))
}

// span is how many characters lie between the first child and the last.
func (t *trie) span() int { return int(t.children[len(t.children)-1].char-t.children[0].char) + 1 }

// has says what the node has.
func (t *trie) has() (bits uint32) {
	if t.prefix != "" {
		bits |= hasPrefix
	}
	if len(t.children) > 0 {
		bits |= hasChildren
	}
	if len(t.values) > 0 {
		bits |= hasValues
	}
	return bits
}

// write writes the node and those below it, and returns where it lies and what it has.
func (t *trie) write(b *bytes.Buffer, layout Layout) uint32 {
	var places []uint32
	if len(t.children) > 0 {
		places = make([]uint32, t.span())
	}
	if layout == ChildrenFirst {
		for _, c := range t.children {
			places[c.char-t.children[0].char] = c.node.write(b, layout)
		}
	}
	here := uint32(b.Len())
	if layout == ParentsFirst {
		at := here + t.own()
		for _, c := range t.children {
			places[c.char-t.children[0].char] = at | c.node.has()
			at += c.node.size
		}
	}
	if t.prefix != "" {
		b.WriteString(t.prefix + "\x00")
	}
	if len(t.children) > 0 {
		b.Write([]byte{t.children[0].char, t.children[len(t.children)-1].char})
		for _, place := range places {
			b.Write(binary.BigEndian.AppendUint32(nil, place))
		}
	}
	if len(t.values) > 0 {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(t.values))))
		for _, v := range t.values {
			b.Write(binary.BigEndian.AppendUint32(nil, v.priority))
			b.WriteString(v.text + "\x00")
		}
	}
	if layout == ParentsFirst {
		for _, c := range t.children {
			c.node.write(b, layout)
		}
	}
	return here | t.has()
}
