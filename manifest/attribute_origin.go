package manifest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"

	"groundhog/initrd/debian"
)

// originOf is the origin of e, whose own path or name gave the match f, if any.
func (a *attributor) originOf(e *Entry, f *packageFile) *Origin {
	by := generatorOf(a.source, e.Path)
	switch e.Type {
	case File:
		if f == nil {
			f = a.byContent[e.SHA256]
		}
	case Symlink:
		if by == "" { // the links of the merged /usr are in base-files' list, too
			f = a.matchLink(e)
		}
	default:
		return nil
	}
	switch {
	case f != nil:
		p := a.db.Packages[f.Package]
		o := &Origin{Kind: FromPackage, Name: p.Name, Architecture: p.Architecture, Modified: f.modified}
		if at := EscapePath(f.Path); debian.MergedUsr(at) != debian.MergedUsr(e.Path) {
			o.Path = at
		}
		return o
	case e.Patch != "":
		return &Origin{Kind: FromGroundhog, Name: e.Patch}
	case by == "groundhog":
		return &Origin{Kind: FromGroundhog, Name: by}
	case by != "":
		return &Origin{Kind: FromGenerator, Name: by}
	}
	return &Origin{Kind: FromUnknown}
}

// matchLink is a symlink of a package that leads where e leads: mkinitramfs makes
// absolute targets relative. A link that a package's scripts made by a tool that keeps a record of it is of
// that package, and stands for its file.
func (a *attributor) matchLink(e *Entry) *packageFile {
	name, err := UnescapePath(e.Path)
	if err != nil {
		return nil
	}
	names := a.otherNames(name)
	for _, n := range names {
		for _, o := range a.db.Owners(n) {
			target, err := fs.ReadLink(a.root, o.Path)
			if twin := a.twinOf(o, err); twin != "" {
				target, err = fs.ReadLink(a.root, twin)
			}
			if err == nil && leadsTo(name, EscapePath(target)) == leadsTo(name, e.Target) {
				return &packageFile{File: o}
			}
		}
	}
	for _, n := range names {
		for _, made := range a.db.MadeLinks(n) {
			if leadsTo(n, EscapePath("/"+made.To)) == leadsTo(n, e.Target) {
				return &packageFile{File: made.For}
			}
		}
	}
	return nil
}

// leadsTo is where a link at name leads, links on the way not followed.
func leadsTo(name, target string) string {
	if !path.IsAbs(target) {
		target = path.Join("/", path.Dir(debian.MergedUsr(name)), target)
	}
	return debian.MergedUsr(path.Clean(target)[1:])
}

// maxNeeds bounds how often it is asked whether a package is what another one needs: a few times for each one that a package names.
const maxNeeds = 1 << 22

// countPackages counts what each package accounts for. Further names of a
// hard-linked file are no files of their own.
func (a *attributor) countPackages(entries []Entry) ([]Package, error) {
	type id struct{ name, arch string }
	count := map[id]*Package{}
	for _, p := range a.db.Packages {
		count[id{p.Name, p.Architecture}] = &Package{Name: p.Name, Version: p.Version, Architecture: p.Architecture,
			Source: p.Source, SourceVersion: p.SourceVersion}
	}
	for i := range entries {
		e := &entries[i]
		if e.Origin == nil || e.Origin.Kind != FromPackage || e.LinkOf != "" {
			continue
		}
		p := count[id{e.Origin.Name, e.Origin.Architecture}]
		p.Files++
		p.Bytes += e.Size
	}
	type named struct{ name, version string }
	here := map[string][]named{} // the packages that go by a name, and the version that they have by it
	for _, p := range a.db.Packages {
		if a.source == Root || count[id{p.Name, p.Architecture}].Files > 0 {
			here[p.Name] = append(here[p.Name], named{p.Name, p.Version})
			for _, r := range p.Provides {
				here[r.Name] = append(here[r.Name], named{p.Name, r.Version})
			}
		}
	}
	var list []Package
	asked := 0
	for _, p := range a.db.Packages {
		one := count[id{p.Name, p.Architecture}]
		if one == nil || one.Files == 0 && a.source != Root {
			continue
		}
		delete(count, id{p.Name, p.Architecture}) // once
		for _, r := range p.Depends {
			for _, q := range here[r.Name] {
				if asked++; asked > maxNeeds {
					return nil, fmt.Errorf("packages need one another in more than %d ways", maxNeeds)
				}
				if r.Satisfied(q.version) {
					one.Depends = append(one.Depends, q.name)
				}
			}
		}
		slices.Sort(one.Depends)
		one.Depends = slices.DeleteFunc(slices.Compact(one.Depends), func(name string) bool { return name == p.Name })
		for _, b := range p.BuiltUsing {
			one.BuiltUsing = append(one.BuiltUsing, BuiltUsing(b))
		}
		slices.SortFunc(one.BuiltUsing, BuiltUsing.Compare)
		one.BuiltUsing = slices.Compact(one.BuiltUsing)
		list = append(list, *one)
	}
	return list, nil
}
