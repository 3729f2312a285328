package diff

import "groundhog/manifest"

// difference is in what two entries differ; the zero value is in nothing. It
// is bits, because of most pairs nothing more is ever wanted.
type difference struct {
	fields fieldBits
	noise  noiseBits
}

type (
	fieldBits uint8
	noiseBits uint8
)

const (
	fieldType fieldBits = 1 << iota
	fieldContent
	fieldMode
	fieldOwner
	fieldTarget
	fieldDevice
	fieldCapabilities
)

const (
	noiseTime noiseBits = 1 << iota
	noiseLinks
	noiseSegment
	noiseHome
	noiseCache
	noiseKernel
)

// The names of the bits, in their order.
var (
	fieldNames = []string{FieldType, FieldContent, FieldMode, FieldOwner, FieldTarget, FieldDevice, FieldCapabilities}
	noiseNames = []string{NoiseTime, NoiseLinks, NoiseSegment, NoiseHome, NoiseCache, NoiseKernel}
)

// differenceOf says in what two entries differ, their paths and origins aside.
func (c *Changes) differenceOf(a, b *manifest.Entry) (d difference) {
	field := func(bit fieldBits, differs bool) {
		if differs {
			d.fields |= bit
		}
	}
	noise := func(bit noiseBits, differs bool) {
		if differs {
			d.noise |= bit
		}
	}
	same := a.Type == b.Type
	field(fieldType, !same)
	if same && a.SHA256 != b.SHA256 {
		switch {
		case a.Stable != "" && a.Stable == b.Stable:
			d.noise |= noiseHome
		case b.Path == "etc/ld.so.cache":
			d.noise |= noiseCache
		default:
			d.fields |= fieldContent
		}
	}
	field(fieldMode, a.Mode != b.Mode)
	field(fieldOwner, a.UID != b.UID || a.GID != b.GID)
	field(fieldTarget, same && a.Target != b.Target)
	field(fieldDevice, same && a.Device != b.Device)
	tells := c.Old.Capabilities && c.New.Capabilities || a.Type != manifest.File || b.Type != manifest.File // what is no file has none
	field(fieldCapabilities, tells && a.Capabilities != b.Capabilities)
	noise(noiseTime, a.Mtime != b.Mtime)
	noise(noiseLinks, a.LinkOf != b.LinkOf)
	noise(noiseSegment, a.Segment != b.Segment)
	return d
}

// foldNoise counts a difference that is nothing but noise, and reports whether counting
// is enough: with all set, such a difference is listed, too.
func (d difference) foldNoise(counts map[noiseBits]int, all bool) bool {
	if d.fields != 0 {
		return false
	}
	for bit := range noiseNames {
		if n := noiseBits(1 << bit); d.noise&n != 0 {
			counts[n]++
		}
	}
	return !all
}

// changeInWords is the difference in words.
func (d difference) changeInWords(a, b *manifest.Entry) Change {
	c := Change{Kind: Changed, Path: b.Path, Growth: ownSize(b) - ownSize(a), Old: a, New: b, Fields: []string{}}
	for bit, name := range fieldNames {
		if d.fields&(1<<bit) != 0 {
			c.Fields = append(c.Fields, name)
		}
	}
	for bit, name := range noiseNames {
		if d.noise&(1<<bit) != 0 {
			c.Noise = append(c.Noise, name)
		}
	}
	return c
}
