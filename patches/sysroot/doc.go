// Package sysroot is a target's root tree, as the build host sees it, as an
// fs.FS: directories and .deb files laid over one another.
//
// Contract:
//
//   - Names are fs.ValidPath names, but of any bytes: no leading slash, no "..", the root is ".".
//   - Symbolic links are followed inside the tree. An absolute one starts at the
//     tree's root, ".." stops there, and more than 40 of them are an error, as in
//     path_resolution(7). Nothing of the build host is ever reached.
//   - A later layer lies over an earlier one. Directories merge; anything else
//     hides what is below it.
//   - What a .deb holds lands where dpkg would put it: a directory of the package
//     over a symbolic link to a directory keeps the link. Packages are unpacked,
//     not installed: no maintainer script runs, so there are no alternatives, no
//     ld.so.cache and no modules.dep.
//   - Nothing is executed and nothing is written.
//
// On top of any such tree (an fs.FS with fs.ReadLinkFS will do, fstest.MapFS for
// one) the package finds what has to be copied together: a program's shared
// libraries (Closure), a kernel module's dependencies (OpenModules), and which
// system this is (Release, Arch).
//
// All input is untrusted. Refused: a .deb that is cut, damaged, holds "..", sparse
// files or more than a limit; ELF files whose headers lead outside the file.
// Memory follows the data that is there, not what a header claims, and the same
// input always gives the same output.
//
// A directory must not change while it is read; what was once looked up is
// remembered.
package sysroot
