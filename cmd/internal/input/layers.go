package input

import (
	"errors"

	"github.com/spf13/pflag"

	"groundhog/manifest"
	"groundhog/patches/sysroot"
)

// Layers is --root and --deb in the order of the command line: later ones lie on top.
type Layers []Layer

// Layer is one --root or --deb.
type Layer struct {
	Path string
	Debs bool // a .deb file, or a directory of them
}

// Packages is the .deb files among them, those in directories, too, as far as these can be read.
func (ls Layers) Packages() (all []string) {
	for _, l := range ls {
		if !l.Debs {
			continue
		}
		all = append(all, l.Path)
		inside, _ := sysroot.DebFiles(l.Path)
		all = append(all, inside...)
	}
	return all
}

// Flag is one of the two flags; both append to one list.
func (ls *Layers) Flag(debs bool) pflag.Value { return layerFlag{ls, debs} }

type layerFlag struct {
	list *Layers
	debs bool
}

func (f layerFlag) String() string { return "" }
func (f layerFlag) Type() string   { return "path" }

// GetSlice is what this one of the two was given (pflag.SliceValue).
func (f layerFlag) GetSlice() (paths []string) {
	for _, l := range *f.list {
		if l.Debs == f.debs {
			paths = append(paths, l.Path)
		}
	}
	return paths
}

func (f layerFlag) Set(path string) error {
	if path == "" {
		return errors.New("empty")
	}
	*f.list = append(*f.list, Layer{path, f.debs})
	return nil
}

// openTree opens the root tree; nil where no layer was given.
func (ls Layers) openTree(maxSize int64) (*sysroot.Tree, error) {
	if len(ls) == 0 {
		return nil, nil
	}
	var all []sysroot.Layer
	for _, l := range ls {
		if l.Debs {
			all = append(all, sysroot.Debs(l.Path).Limit(maxSize))
		} else {
			all = append(all, sysroot.Dir(l.Path).Limit(maxSize))
		}
	}
	tree, err := sysroot.Open(all...)
	if err != nil {
		return nil, SizeHint(cutHint(err))
	}
	return tree, nil
}

// Opening is a root tree that is being opened.
type Opening struct {
	tree         *sysroot.Tree
	err          error
	opened, done chan struct{}
}

// OpenAhead opens the root tree while the archive is read, and looks up what the programs need: most of the patches' time
// goes into that.
func (ls Layers) OpenAhead(maxSize int64, programs ...string) *Opening {
	o := &Opening{opened: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(o.done)
		o.tree, o.err = ls.openTree(maxSize)
		close(o.opened)
		if o.tree != nil {
			sysroot.Closure(o.tree, programs...) // whoever needs it hears of an error
		}
	}()
	return o
}

// Tree waits for the root tree; nil where no layer was given.
func (o *Opening) Tree() (*sysroot.Tree, error) {
	<-o.opened
	return o.tree, o.err
}

// Close waits until nobody reads the root tree any more, and closes it.
func (o *Opening) Close() {
	if <-o.done; o.tree != nil {
		o.tree.Close()
	}
}

// Inputs is how a manifest names the .deb files among the layers; a directory has no hash.
func (ls Layers) Inputs() ([]manifest.Input, error) {
	var all []manifest.Input
	for _, l := range ls {
		if !l.Debs {
			continue
		}
		files, err := sysroot.DebFiles(l.Path)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			in, err := hashedInput("deb", name)
			if err != nil {
				return nil, err
			}
			all = append(all, in)
		}
	}
	return all, nil
}
