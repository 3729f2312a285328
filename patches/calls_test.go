package patches

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/fixtures/tinyelf"
	"groundhog/initrd"
	"groundhog/patches/scripts"
	"groundhog/patches/sysroot"
)

// nameless is a target whose busybox is under its own name only.
func nameless(dropbear bool) *tiny.Target {
	tgt := tiny.New("bookworm", dropbear)
	for _, name := range tiny.Applets {
		if path.Base(name) != "busybox" {
			delete(tgt.Archive, name)
		}
	}
	box := *tgt.Root["usr/bin/busybox"]
	tgt.Archive["usr/bin/busybox"] = &box
	return tgt
}

// A busybox without names gets those that it has.
func TestNamelessBusybox(t *testing.T) {
	for _, dropbear := range []bool{true, false} {
		tgt := nameless(dropbear)
		img, r := patch(t, tgt, nil)
		if !strings.Contains(r.Patches[0].Summary, "made for its busybox") || !r.Patches[0].Changed {
			t.Errorf("%+v", r.Patches[0])
		}
		for name, want := range map[string]string{"usr/bin/stat": "busybox", "usr/sbin/ip": "../bin/busybox"} {
			if e := img.Lookup(name); e == nil || !e.IsLink() || string(e.Data) != want {
				t.Errorf("%s: %v", name, e)
			}
		}
		if again, err := apply(img, tgt.Root, defaults(tgt)); err != nil || again.Changed() {
			t.Errorf("again: %v, %+v", err, again)
		}
	}
}

// What is called and cannot be had is an error that names script, command and way out.
func TestGaps(t *testing.T) {
	without := func(applet string) []byte {
		var list []string
		for _, name := range tiny.Applets {
			if b := path.Base(name); b != applet && b != "busybox" {
				list = append(list, b)
			}
		}
		return tiny.Busybox(list...)
	}
	broken := func(needed string) *fstest.MapFile {
		return tiny.Program(tinyelf.File{Interp: "/lib64/ld-linux-x86-64.so.2", Needed: []string{needed}}.Bytes())
	}
	for name, c := range map[string]struct {
		change func(tgt *tiny.Target)
		want   []string
	}{
		"an applet that busybox has not": {func(tgt *tiny.Target) {
			for _, name := range tiny.Applets {
				tgt.Archive[name] = &fstest.MapFile{Data: without("stat"), Mode: 0o755, Sys: "busybox"}
			}
		}, []string{"scripts/groundhog/wait calls", "scripts/groundhog/work calls stat", "not in the archive", "busybox", "update-initramfs"}},
		"a busybox that no table can be read of": {func(tgt *tiny.Target) {
			tgt.Archive["usr/bin/busybox"] = tiny.Program(tinyelf.File{Interp: "/lib64/ld-linux-x86-64.so.2"}.Bytes())
			delete(tgt.Archive, "usr/sbin/ip")
		}, []string{"scripts/groundhog/mac calls ip"}},
		"what Debian's function calls": {func(tgt *tiny.Target) {
			tgt.Archive["scripts/functions"] = tiny.Text("configure_networking() {\n\tipconfig -d x\n}\n")
		}, []string{"scripts/init-premount/dropbear calls ipconfig", "install klibc-utils"}},
		"no program": {func(tgt *tiny.Target) {
			tgt.Archive["usr/sbin/ip"] = tiny.Text("x")
		}, []string{"calls ip"}},
		"a command without its library": {func(tgt *tiny.Target) {
			tgt.Archive["usr/bin/stat"] = broken("libnowhere.so.1")
		}, []string{"usr/bin/stat", "libnowhere.so.1", "in the archive"}},
		"dropbear without its library": {func(tgt *tiny.Target) {
			delete(tgt.Archive, tiny.Libs+"libz.so.1.2.13")
		}, []string{"usr/sbin/dropbear", "libz.so.1"}},
		"curl that was there": {func(tgt *tiny.Target) {
			tgt.Archive["usr/bin/curl"] = broken("libcurl.so.4")
		}, []string{"usr/bin/curl", "libcurl.so.4"}},
		"the interpreter of /init": {func(tgt *tiny.Target) {
			tgt.Archive["init"] = tiny.Program([]byte("#!/bin/bash\n"))
		}, []string{"init", "bin/bash"}},
		"root's shell": {func(tgt *tiny.Target) {
			tgt.Archive["etc/passwd"] = tiny.Text("root:*:0:0::/" + tiny.Home + ":/bin/zsh\n")
			tgt.Archive["etc/shells"] = tiny.Text("/bin/zsh\n")
		}, []string{"bin/zsh"}},
	} {
		t.Run(name, func(t *testing.T) {
			tgt := tiny.New("bookworm", true)
			c.change(tgt)
			err := refused(t, tgt, func(o *Options) { o.Curl = false })
			if !errors.Is(err, errGap) {
				t.Error("not a gap")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no %q in %v", w, err)
				}
			}
		})
	}
}

// Without busybox the root tree's is taken.
func TestNoBusybox(t *testing.T) {
	tgt := tiny.New("bookworm", true)
	for _, name := range tiny.Applets {
		delete(tgt.Archive, name)
	}
	tgt.Archive["usr/bin/sh"] = tgt.Root["usr/bin/dash"]
	img, r := patch(t, tgt, nil)
	if !strings.Contains(r.Patches[0].Summary, "busybox taken from the root tree") || img.Lookup("usr/bin/stat") == nil {
		t.Errorf("%+v", r.Patches[0])
	}
	o := defaults(tgt)
	o.Curl = false
	if _, err := apply(read(t, tgt), nil, o); !errors.Is(err, errGap) || !strings.Contains(err.Error(), "install busybox") {
		t.Error(err)
	}
}

// The busybox that is installed judges: in an archive where it had no names, everything that our scripts call runs.
func TestNamesInChroot(t *testing.T) {
	box := judge.Tool(t, "busybox")
	host := os.DirFS("/")
	tgt := nameless(true)
	real := judge.Value(sysroot.Resolve(host, strings.TrimPrefix(box, "/")))(t)
	libs := judge.Value(sysroot.Closure(host, real))(t)
	tgt.Archive["usr/bin/busybox"] = tiny.Program(readHost(t, box))
	for _, lib := range libs {
		at := lib.Name
		if !strings.HasPrefix(at, "usr/") {
			at = "usr/" + at
		}
		tgt.Archive[at] = tiny.Program(readHost(t, "/"+lib.Path))
	}
	// What is made up of tinyelf would not find its own libc beside a real one.
	for name, f := range maps.All(tgt.Archive) {
		if strings.HasPrefix(name, tiny.Libs+"libz") {
			tgt.Archive[name] = &fstest.MapFile{Mode: f.Mode, Data: f.Data}
		}
	}
	img, _ := patch(t, tgt, func(o *Options) { o.Curl = false })
	root := t.TempDir()
	writeImage(t, img, root)
	judge.Must(t, os.MkdirAll(filepath.Join(root, "run"), 0o755))
	calls := judge.Value(ownCalls())(t)
	script := "set -e\nexport PATH=/sbin:/usr/sbin:/bin:/usr/bin\n"
	for _, c := range calls {
		script += "command -v " + c.command + "\n"
	}
	script += "sleep 0; date +%s; stat -c %Y /init; echo a | sed s/a/b/; mkdir -p /run/x; ln -s y /run/x/z; readlink /run/x/z; rm /run/x/z\n" +
		". /" + scripts.Dir + "/functions\ngroundhog_setting GROUNDHOG_DEVICE none; echo \"device $groundhog_value\"\n" +
		"groundhog-continue\n[ -e /run/groundhog/continue ]\n"
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		judge.Missing(t, "the right to change the root directory")
	}
	if err != nil || !bytes.Contains(out, []byte("device any\n")) || !bytes.Contains(out, []byte("booting on")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// writeImage makes the archive's files below dir.
func writeImage(t *testing.T, img *initrd.Image, dir string) {
	t.Helper()
	for name, e := range img.Tree() {
		at := filepath.Join(dir, name)
		switch {
		case e.IsDir():
			judge.Must(t, os.MkdirAll(at, 0o755))
		case e.IsLink():
			judge.Must(t, os.Symlink(string(e.Data), at))
		case e.IsFile():
			judge.Must(t, os.WriteFile(at, img.Content(e), fs.FileMode(e.Perm())))
		}
	}
}

// An archive read as a file system is one.
func TestArchiveFS(t *testing.T) {
	img := read(t, tiny.New("bookworm", true))
	if err := fstest.TestFS(archiveFS{img}, "init", "conf/arch.conf", "usr/bin/busybox"); err != nil {
		t.Error(err)
	}
}
