// Package scripts holds the shell that runs in the initramfs.
//
// network is sourced by Debian's scripts/init-premount/dropbear, right before dropbear starts
// ([NetworkLine] before the line `run_dropbear &`). gate is a script of its own, the last of its
// stage ([Gate]); it sources hold, which runs wait as a child and blocks /init until that ends. All
// the others are sourced by these three, except continue and shell, which are commands.
//
// The shell is busybox ash (1.30 and later), dash or klibc's sh; the files say what they read and
// write. Settings are read from /scripts/groundhog/conf as text, one NAME=value a line, the last
// one of a name counting; values need no quotes. What is not valid there is replaced by a safe
// default and said on the console. Names and defaults:
//
//	GROUNDHOG_BUILD              hex id, written to /run/groundhog/build
//	GROUNDHOG_DEVICE             interface; any: DEVICE if it is the only one, else any; empty: DEVICE
//	GROUNDHOG_INTERFACE_TIMEOUT  20     seconds to wait for the interface
//	GROUNDHOG_PORT               22     where dropbear listens, for what is said on the console
//	GROUNDHOG_MAC                keep   or cmdline, or aa:bb:cc:dd:ee:ff
//	GROUNDHOG_EPOCH              0      Unix seconds, the least the clock may say
//	GROUNDHOG_WAIT               900    seconds to wait for somebody; 0 boots on at once
//	GROUNDHOG_DROPBEAR_TIMEOUT   300    seconds until dropbear must run
//	GROUNDHOG_LEASE_FRESH        90     seconds a touched lease is good for
//	GROUNDHOG_LEASE_GRACE        60     seconds to wait on after a lease or a login ended
//	GROUNDHOG_SAY                60     seconds between two lines on the console
//	GROUNDHOG_POLL               1      seconds between two looks, 0.1 to 59
package scripts

import (
	"embed"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// Lines in scripts/init-premount/dropbear: one that a patch inserts, and one that stood at its end up
// to version 0.3.
const (
	NetworkLine = ". /scripts/groundhog/network"
	// NFSLine stands before the line that has an NFS root's network configured, which comes earlier.
	NFSLine     = `[ "$BOOT" != nfs ] || ` + NetworkLine
	OldHoldLine = ". /scripts/groundhog/hold"
)

// Paths in the archive, without a leading slash.
const (
	Dir       = "scripts/groundhog" // sourced files and conf
	Conf      = Dir + "/conf"       // settings; not in [Files], it differs per target
	Gate      = "scripts/init-premount/groundhog"
	Early     = Dir + "/early"               // scripts of later stages, run before the wait; not in [Files] either
	ShellPath = "usr/bin/groundhog-shell"    // the login shell that [Shell] gives
	contPath  = "usr/bin/groundhog-continue" // ends the wait by hand
)

//go:embed groundhog
var scriptFS embed.FS

// A File is one file for the archive: its path there without a leading slash, its permission bits
// and its bytes.
type File struct {
	Path string
	Mode fs.FileMode
	Data []byte
}

// patchFiles is which files each patch brings: the one list of them. functions comes
// with both, because all others source it.
var patchFiles = map[string][]string{
	"interface": {"functions", "mac", "network"},
	"wait":      {"functions", "gate", "hold", "original", "reach", "wait", "watchdog", "work", "continue"},
}

// Of returns the files that a patch brings ("interface", "wait"). Files below
// [Dir] have mode 0644: mkinitramfs runs what is executable below scripts/
// (cache_run_scripts, with the argument prereqs).
func Of(patch string) []File {
	var files []File
	for _, name := range patchFiles[patch] {
		switch name {
		case "continue":
			files = append(files, scriptFile(name, contPath, 0o755))
		case "gate":
			files = append(files, scriptFile(name, Gate, 0o755))
		default:
			files = append(files, scriptFile(name, path.Join(Dir, name), 0o644))
		}
	}
	return files
}

// Files returns what every reflash archive gets, sorted by path.
func Files() []File {
	seen := map[string]File{}
	for patch := range patchFiles {
		for _, f := range Of(patch) {
			seen[f.Path] = f
		}
	}
	var files []File
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		files = append(files, seen[name])
	}
	return files
}

// Shell returns root's login shell for buster and bullseye, whose sessions have no sbin in PATH.
// It works only where etc/passwd names it as root's shell and etc/shells lists it: dropbear refuses
// a shell that getusershell(3) does not know, and without that file it knows only sh and csh.
func Shell() File { return scriptFile("shell", ShellPath, 0o755) }

func scriptFile(name, to string, mode fs.FileMode) File {
	data, err := scriptFS.ReadFile("groundhog/" + name)
	if err != nil {
		panic(err) // embedded at build time; TestFiles reads every one
	}
	return File{Path: to, Mode: mode, Data: data}
}
