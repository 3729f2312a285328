package scripts

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"groundhog/fixtures/judge"
)

func TestFiles(t *testing.T) {
	files := append(Files(), Shell())
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
		if below := strings.HasPrefix(f.Path, Dir+"/"); below == (f.Mode == 0o755) {
			t.Errorf("%s has mode %o", f.Path, f.Mode)
		}
		if f.Mode == 0o755 && !bytes.HasPrefix(f.Data, []byte("#!/bin/sh\n")) {
			t.Errorf("%s is a command without a first line that says so", f.Path)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %q", names)
	}
	entries, err := scriptFS.ReadDir("groundhog")
	if err != nil || len(entries) != len(files) {
		t.Errorf("%d files embedded, %d given out (%v)", len(entries), len(files), err)
	}
}

func TestShellcheck(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		judge.Missing(t, "shellcheck")
	}
	entries := judge.Value(os.ReadDir("groundhog"))(t)
	args := []string{"-x", "-P", "SCRIPTDIR"}
	for _, e := range entries {
		args = append(args, "groundhog/"+e.Name())
	}
	if out, err := exec.Command("shellcheck", args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const sourceBoth = `. "$groundhog_root/scripts/groundhog/network"; . "$groundhog_root/scripts/groundhog/hold"; echo "alive $1"`

// Whatever is missing or in the way, the script that sources ours lives on, its arguments and its
// variables are its own, and so does dropbear's start after it.
func TestNeverEndsTheCaller(t *testing.T) { neverEndsTheCaller(t, false) }

func neverEndsTheCaller(t *testing.T, all bool) {
	broken := map[string]func(m *machine){
		"nothing":     func(m *machine) {},
		"no files":    func(m *machine) { m.remove(Dir + "/functions") },
		"no conf":     func(m *machine) { m.remove(Conf) },
		"conf is dir": func(m *machine) { m.remove(Conf); m.write(Conf+"/x", "") },
		"run is file": func(m *machine) { m.remove("run"); m.write("run", "") },
		"no proc":     func(m *machine) { m.remove("proc") },
		"no sys":      func(m *machine) { m.remove("sys") },
		"no tools":    func(m *machine) { m.must(os.Remove(m.bin + "/ip")); m.must(os.Remove(m.bin + "/date")) },
		"console":     func(m *machine) { m.must(os.Symlink("/nonexistent/x", m.root+"/dev/console")) },
		"full":        func(m *machine) { m.must(os.Symlink("/dev/full", m.root+"/dev/console")) },
	}
	for n, name := range slices.Sorted(maps.Keys(broken)) {
		breaks := broken[name]
		t.Run(name, func(t *testing.T) {
			inTurn(t, n, all, func(t *testing.T, m *machine) {
				m.conf("GROUNDHOG_WAIT=0", "GROUNDHOG_INTERFACE_TIMEOUT=0", "GROUNDHOG_MAC=02:00:00:00:00:02", "GROUNDHOG_EPOCH=1800000000", "GROUNDHOG_DEVICE=eth0")
				m.nic("eth0", "1")
				m.write("run/groundhog/continue", "") // without conf the wait has 15 minutes
				breaks(m)
				if got := m.run("set -- one; " + sourceBoth); !strings.Contains(got, "alive one") {
					t.Errorf("the caller ended:\n%s", got)
				}
			})
		})
	}
}

// Sourcing leaves no name behind but DEVICE and those that say whose they are.
func TestNamesAreOurs(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.conf("GROUNDHOG_WAIT=0", "GROUNDHOG_MAC=02:00:00:00:00:02")
		m.nic("eth0", "1")
		got := m.run(`set >before; `+sourceBoth+` >/dev/null; set >after; echo "<$IFS>"; echo *`, "DEVICE=eth0")
		if !strings.Contains(got, "< \t\n>\n") || strings.Contains(got, "*") {
			t.Errorf("IFS or globbing changed: %q", got)
		}
		name := regexp.MustCompile(`(?m)^(\w+)=`)
		before := m.read("before")
		for _, found := range name.FindAllStringSubmatch(m.read("after"), -1) {
			n := found[1]
			if strings.HasPrefix(n, "groundhog_") || n == "_" || strings.Contains(before, n+"=") {
				continue
			}
			t.Errorf("leaves %s behind", n)
		}
	})
}

// Values of conf that are no numbers are named and replaced; those that are hostile never run.
func TestConfGarbage(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		m.nic("eth0", "1")
		for _, bad := range []string{"", "-1", "010", "0x10", "1.5", "ten", "$(reboot)", "`reboot`", "9;reboot", "a[$(reboot)]", "999999999999", "1 2", "'", `"`, "1'"} {
			m.conf("GROUNDHOG_INTERFACE_TIMEOUT="+bad, "GROUNDHOG_EPOCH='"+bad+"'", "GROUNDHOG_DEVICE=eth0", "GROUNDHOG_WAIT=0")
			got := m.run(sourceBoth)
			for _, want := range []string{"GROUNDHOG_INTERFACE_TIMEOUT is not a whole number; taking 20", "GROUNDHOG_EPOCH is not a whole number; taking 0", "alive"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q: no %q in:\n%s", bad, want, got)
				}
			}
		}
	})
}

// Random text in every file that is read: the caller lives, nothing runs, and resolv.conf holds
// nothing but addresses and a domain.
func TestRandomInput(t *testing.T) {
	lawful := regexp.MustCompile(`^(search [A-Za-z0-9][A-Za-z0-9.-]*\n)?(nameserver \d{1,3}(\.\d{1,3}){3}\n)*$`)
	bits := []string{"GROUNDHOG_MAC=", "GROUNDHOG_DEVICE=", "GROUNDHOG_EPOCH=", "cmdline", "smsc95xx.macaddr=", "groundhog.mac=", "IPV4DNS0=", "IPV4DNS1=", "DNSDOMAIN=", "IPV4ADDR=", "10.0.2.3", "0.0.0.0", "lab.example", "'", `"`, "\n", " ", "*", "$(reboot)", "`reboot`", ";reboot\n", "\\", "é", "\x01", "eth0", "../../etc", "02:00:00:00:00:02"}
	each(t, func(t *testing.T, m *machine) {
		random := rand.New(rand.NewPCG(1, 2))
		text := func() string {
			var b strings.Builder
			for range random.IntN(30) {
				b.WriteString(bits[random.IntN(len(bits))])
			}
			return b.String()
		}
		m.nic("eth0", "1")
		for i := range judge.Times(12, 40) {
			m.write(Conf, text()+"\nGROUNDHOG_WAIT=0\nGROUNDHOG_INTERFACE_TIMEOUT=0\n")
			m.write("proc/cmdline", text())
			m.write("run/net-eth0.conf", text())
			m.remove("etc/resolv.conf")
			got := m.run(sourceBoth+`; . "$groundhog_root/scripts/groundhog/reach"; groundhog_resolv`, "IP="+strings.ReplaceAll(text(), "\x00", ""))
			if !strings.Contains(got, "alive") {
				t.Fatalf("round %d: the caller ended:\n%s", i, got)
			}
			if resolv := m.read("etc/resolv.conf"); !lawful.MatchString(resolv) {
				t.Errorf("round %d: resolv.conf: %q", i, resolv)
			}
		}
	})
}

// groundhog-continue refuses once a write has begun.
func TestContinue(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		command := "sh " + m.root + "/" + contPath
		m.run(command)
		if !m.has("run/groundhog/continue") {
			t.Error("no continue")
		}
		m.remove("run/groundhog/continue")
		m.write("run/groundhog/writing", "")
		r := m.start(command)
		r.ends(1)
		if !strings.Contains(r.said(), "refused: a write has begun") || m.has("run/groundhog/continue") {
			t.Errorf("not refused:\n%s", r.said())
		}
		m.remove("run/groundhog")
		m.write("run/groundhog", "")
		m.start(command).ends(1)
	})
}

// The login shell gives commands and logins a PATH with sbin in it.
func TestShell(t *testing.T) {
	each(t, func(t *testing.T, m *machine) {
		command := "sh " + m.root + "/" + ShellPath
		want := "/usr/sbin:/usr/bin:/sbin:/bin a b\n"
		if got := m.run(command+` -c 'echo "$PATH $1 $2"' x a b`, "PATH=/usr/bin:/bin"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := m.run(fmt.Sprintf("echo 'echo login' | %s", command)); got != "login\n" {
			t.Errorf("login: %q", got)
		}
	})
}
