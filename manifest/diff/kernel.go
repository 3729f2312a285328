package diff

import (
	"fmt"
	"slices"
	"strings"

	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/manifest"
)

// KernelChange is a kernel that became another one, Debian's next ABI say: what lies under its release on the old side is
// compared with what lies under the new one. The counts are of modules.
type KernelChange struct {
	Old     string `json:"old"`
	New     string `json:"new"`
	Modules int    `json:"modules"` // on the new side
	Resized int    `json:"resized"`
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
}

// kernelLine is the change on a line: "6.1.0-50-amd64 -> 6.1.0-51-amd64: 1028 modules, 37 changed in size, 2 new".
func (k *KernelChange) kernelLine() string {
	s := fmt.Sprintf("%s -> %s: %s, %d changed in size", k.Old, k.New, show.Count(k.Modules, "module"), k.Resized)
	if k.Added > 0 {
		s += fmt.Sprintf(", %d new", k.Added)
	}
	if k.Removed > 0 {
		s += fmt.Sprintf(", %d gone", k.Removed)
	}
	return s
}

// pairKernels finds which kernel became which: of those on one side only, the one of each flavour, and then the last
// one that is left if there is just one on either side.
func pairKernels(a, b []string) []KernelChange {
	pairs := []KernelChange{}
	gone, come := withoutThose(a, b), withoutThose(b, a)
	pair := func(same func(x, y string) bool) {
		for _, old := range slices.Clone(gone) {
			like := func(k string) bool { return same(old, k) }
			of := func(list []string) []string {
				return slices.DeleteFunc(slices.Clone(list), func(k string) bool { return !like(k) })
			}
			if now := of(come); len(now) == 1 && len(of(gone)) == 1 {
				pairs = append(pairs, KernelChange{Old: old, New: now[0]})
				gone, come = withoutThose(gone, []string{old}), withoutThose(come, now)
			}
		}
	}
	pair(func(x, y string) bool { return kernelFlavour(x) == kernelFlavour(y) })
	pair(func(string, string) bool { return true })
	return pairs
}

// withoutThose is a without what is in b.
func withoutThose(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(k string) bool { return slices.Contains(b, k) })
}

// kernelFlavour is a kernel's release without the numbers in front: "cloud-amd64" of 6.1.0-50-cloud-amd64.
func kernelFlavour(release string) string {
	parts := strings.Split(release, "-")
	for len(parts) > 0 && parts[0] != "" && parts[0][0] >= '0' && parts[0][0] <= '9' {
		parts = parts[1:]
	}
	return strings.Join(parts, "-")
}

// underKernel is a path in which the old release of a kernel that changed is written as the new one: as a directory's name, or at
// the end of a name (vmlinuz-6.1.0-50-amd64). The number is the kernel's in c.Kernels; -1 where the path names none of them.
func (c *Changes) underKernel(name string) (string, int) {
	for i := range c.Kernels {
		k := &c.Kernels[i]
		parts, found := strings.Split(name, "/"), false
		for j, part := range parts {
			for _, release := range []string{k.Old, k.New} {
				if head, ok := strings.CutSuffix(part, release); ok && (head == "" || strings.HasSuffix(head, "-")) {
					parts[j], found = head+k.New, true
					break
				}
			}
		}
		if found {
			return strings.Join(parts, "/"), i
		}
	}
	return name, -1
}

// kernelPath is a key for what lies under a kernel that changed.
func (c *Changes) kernelPath(e *manifest.Entry) string {
	if name, i := c.underKernel(e.Path); i >= 0 {
		return string(e.Type) + " " + debian.MergedUsr(name)
	}
	return ""
}

// kernelModule is a key for its modules, in whatever directory they lie.
func (c *Changes) kernelModule(e *manifest.Entry) string {
	if _, i := c.underKernel(e.Path); i >= 0 && moduleOf(e) != "" {
		return fmt.Sprint(i, " ", moduleOf(e))
	}
	return ""
}

// ofKernel compares two entries that lie under a kernel that changed: a target that differs in its release alone is no difference.
func (c *Changes) ofKernel(old, now *manifest.Entry) difference {
	d := c.differenceOf(old, now)
	d.noise |= noiseKernel
	was, _ := c.underKernel(old.Target)
	if is, _ := c.underKernel(now.Target); was == is {
		d.fields &^= fieldTarget
	}
	return d
}

// countModules notes what became of the modules of kernels that changed.
func (c *Changes) countModules(b []manifest.Entry, changes []Change) {
	if len(c.Kernels) == 0 {
		return
	}
	for i := range b {
		if k := c.kernelOf(&b[i]); k != nil {
			k.Modules++
		}
	}
	for i := range changes {
		switch ch := &changes[i]; {
		case ch.New == nil:
			if k := c.kernelOf(ch.Old); k != nil {
				k.Removed++
			}
		case ch.Old == nil:
			if k := c.kernelOf(ch.New); k != nil {
				k.Added++
			}
		case ch.Old.Size != ch.New.Size:
			if k := c.kernelOf(ch.New); k != nil {
				k.Resized++
			}
		}
	}
}

// kernelOf is the kernel that changed whose module e is, nil of all else.
func (c *Changes) kernelOf(e *manifest.Entry) *KernelChange {
	if moduleOf(e) == "" {
		return nil
	}
	if _, i := c.underKernel(e.Path); i >= 0 {
		return &c.Kernels[i]
	}
	return nil
}
