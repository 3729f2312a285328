package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"groundhog/fixtures/bootable"
	"groundhog/fixtures/judge"
	"groundhog/initrd"
)

// workplace is a directory that has a target (see writeTarget), a patched archive reflash.img with what lies beside it,
// and no ssh configuration but an empty one.
func workplace(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	judge.Must(t, writeTarget(dir, "bookworm", true, initrd.Zstd))
	for name, data := range map[string]string{"text": "no archive, no manifest\n", "disk.img": strings.Repeat("\x00", 1<<20)} {
		judge.Must(t, os.WriteFile(name, []byte(data), 0o644))
	}
	code, _, said := here("patch", "initrd.img", "--root", "root", "--authorized-keys", "id.pub", "-o", "reflash.img")
	if code != exitDone {
		t.Fatal(said)
	}
}

// here runs the program in this process.
func here(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// An exit code means the same in every verb. Who adds a verb adds a line to each part of the table.
func TestExitCodes(t *testing.T) {
	workplace(t)
	nobody := []string{"--ssh-config", "none", "root@127.0.0.1:1"} // where nobody listens
	at := func(verb string, rest ...string) []string { return append(append([]string{verb}, nobody...), rest...) }
	table := map[int]map[string][]string{
		exitDone: {
			"patch":    {"patch", "initrd.img", "--root", "root", "-o", "again.img"},
			"hooks":    {"hooks", "root", "--revert"},
			"inspect":  {"inspect", "reflash.img"},
			"manifest": {"manifest", "reflash.img"},
			"diff":     {"diff", "reflash.img", "reflash.img"},
			"verify":   {"verify", "reflash.img"},
			"reflash":  at("reflash", "reflash.img", "disk.img", "--force", "--plan"),
			"index":    {"index", "--level", "1", "--force", "--store", "store", "disk.img"},
			"version":  {"version"},
			"schema":   {"schema"},
			"help":     {"help", "push"},
		},
		exitNo: {
			"patch":  {"patch", "initrd.img", "--root", "root", "--release", "sid"},
			"hooks":  {"hooks", "root", "--release", "sid"},
			"diff":   {"diff", "initrd.img", "reflash.img"},
			"verify": {"verify", "initrd.img", "--manifest", "initrd.json"},
			"index":  {"index", "text"},
			// of a verb that reaches devices: it was refused before any was asked
			"flash":   at("flash", "text"),
			"reflash": at("reflash", "reflash.img", "text"),
		},
		exitTrouble: {
			"patch":    {"patch", "nothing.img"},
			"hooks":    {"hooks", "nowhere"},
			"inspect":  {"inspect", "text"},
			"manifest": {"manifest", "text"},
			"diff":     {"diff", "text", "reflash.img"},
			"verify":   {"verify", "text", "--manifest", "text"},
			"push":     at("push", "reflash.img", "--via", "pigeon"),
			"flash":    at("flash", "disk.img", "--via", "pigeon"),
			"reflash":  at("reflash", "reflash.img", "disk.img", "--push-via", "pigeon"),
			"index":    {"index", "nothing.img"},
			"schema":   {"schema", "nothing"},
			"help":     {"help", "nothing"},
			// what cannot be read is the same in verbs that reach devices
			"push to no fingerprint":   at("push", "reflash.img", "--host-key", "SHA256:nonsense"),
			"restore of none":          at("restore", "--host-key", "-"),
			"push of nothing":          at("push", "nothing.img"),
			"push of text":             at("push", "text"),
			"push of a pipe of it":     at("push", "-"),
			"push of half an archive":  at("push", "cut.img"),
			"push with no manifest":    at("push", "reflash.img", "--allowed-signers", "id.pub"),
			"flash of a directory":     at("flash", "root"),
			"reflash of half of one":   at("reflash", "cut.img", "disk.img", "--force"),
			"inspect, twice":           {"inspect", "reflash.img", "--list", "--cat", "etc"},
			"flash of nothing":         at("flash", "nothing.img"),
			"reflash of nothing":       at("reflash", "nothing.img", "disk.img"),
			"reflash with nothing":     at("reflash", "reflash.img", "nothing.img"),
			"reflash of a pipe, twice": at("reflash", "-", "-", "--force"),
			"reflash of no hosts":      {"reflash", "--hosts", "nothing.txt", "reflash.img", "disk.img"},
		},
		exitUnreachable: {
			"push":    at("push", "reflash.img"),
			"restore": at("restore"),
			"flash":   at("flash", "--force", "disk.img"),
			"reflash": at("reflash", "--force", "reflash.img", "disk.img"),
		},
	}
	if data, err := os.ReadFile("reflash.img"); err != nil || os.WriteFile("cut.img", data[:len(data)/2], 0o600) != nil {
		t.Fatal(err)
	}
	renameManifest(t, "reflash.img", "initrd.img", "initrd.json") // of another archive, by this one's name
	for want, verbs := range table {
		for verb, args := range verbs {
			t.Run(verb, func(t *testing.T) {
				code, out, said := here(args...)
				if code != want {
					t.Errorf("groundhog %q: exit %d, want %d\n%s%s", args, code, want, out, said)
				}
			})
		}
	}
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		if table[exitDone][verb.Name()] == nil && table[exitUnreachable][verb.Name()] == nil {
			t.Error("not in the table")
		}
	})
}

// Of a file that says whom to trust, or how: what cannot be read is trouble, what somebody else could have written is refused, and what was read and cannot
// be done, too; the same whichever file it is, and whichever verb reads it.
func TestExitOfFiles(t *testing.T) {
	workplace(t)
	made := map[string]string{"broken": "Foo bar\n", "forbids": "Host *\n PubkeyAuthentication no\n", "strangers": "# anybody could have written this\n", "lost": "Host *\n IdentityFile ${GROUNDHOG_NOT_SET}\n"}
	for name, text := range made {
		judge.WriteFile(t, name, text)
	}
	judge.Must(t, os.Chmod("strangers", 0o666))
	judge.Run(t, exec.Command(judge.Tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", "signer"))
	if code, _, said := here("manifest", "reflash.img.manifest.json", "--sign-key", "signer"); code != exitDone {
		t.Fatal(said)
	}
	nobody := "root@127.0.0.1:1"
	for _, verb := range [][]string{{"push", nobody, "reflash.img"}, {"restore", nobody}, {"flash", nobody, "disk.img", "--force"}, {"reflash", nobody, "reflash.img", "disk.img", "--force"}, {"verify", "reflash.img"}} {
		for _, c := range []struct {
			args []string
			want int
			only string // the verbs that have the flag; "": those that reach devices
		}{
			{[]string{"--ssh-config", "nothing"}, exitTrouble, ""},
			{[]string{"--ssh-config", "root"}, exitTrouble, ""},
			{[]string{"--ssh-config", "broken"}, exitTrouble, ""},
			{[]string{"--ssh-config", "lost"}, exitTrouble, ""},
			{[]string{"--ssh-config", "forbids"}, exitNo, ""},
			{[]string{"--ssh-config", "strangers"}, exitNo, ""},
			{[]string{"--ssh-config", "none", "--known-hosts", "nothing"}, exitTrouble, ""},
			{[]string{"--ssh-config", "none", "--known-hosts", "root"}, exitTrouble, ""},
			{[]string{"--ssh-config", "none", "--known-hosts", "strangers"}, exitNo, ""},
			{[]string{"--ssh-config", "none", "--identity", "nothing"}, exitTrouble, ""},
			{[]string{"--allowed-signers", "nothing"}, exitTrouble, "push reflash verify"},
			{[]string{"--allowed-signers", "root"}, exitTrouble, "push reflash verify"},
			{[]string{"--allowed-signers", "strangers"}, exitNo, "push reflash verify"},
		} {
			if c.only == "" && verb[0] == "verify" || c.only != "" && !slices.Contains(strings.Fields(c.only), verb[0]) {
				continue
			}
			args := slices.Concat(verb, c.args)
			if code, out, said := here(args...); code != c.want {
				t.Errorf("groundhog %q: exit %d, want %d\n%s%s", args, code, c.want, out, said)
			}
		}
	}
}

// everyVerb runs a test for each verb that --help lists.
func everyVerb(t *testing.T, test func(t *testing.T, verb *cobra.Command)) {
	t.Helper()
	for _, verb := range rootCmd().Commands() {
		if verb.IsAvailableCommand() && verb.Name() != "completion" {
			t.Run(verb.Name(), func(t *testing.T) { test(t, verb) })
		}
	}
}

// A wrong command line is 2 in every verb, with what to do about it and nothing on standard output.
func TestMisused(t *testing.T) {
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		for _, args := range [][]string{{verb.Name(), "--nosuch"}, {verb.Name(), "-Z"}, {verb.Name(), "--quiet=maybe"}} {
			code, out, said := here(args...)
			if code != exitTrouble || out != "" || !strings.HasPrefix(said, "groundhog: ") || !strings.Contains(said, "see groundhog "+verb.Name()+" --help") {
				t.Errorf("groundhog %q: exit %d\n%s%s", args, code, out, said)
			}
		}
		code, out, said := here(verb.Name(), "a", "b", "c", "--nosuch")
		if code != exitTrouble || out != "" {
			t.Errorf("exit %d\n%s%s", code, out, said)
		}
	})
	for _, c := range []struct {
		args []string
		hint string
	}{
		{[]string{"pusch"}, "did you mean patch or push?"},
		{[]string{"insp"}, "did you mean inspect?"},
		{[]string{"frobnicate"}, "groundhog --help lists them"},
		{[]string{"help", "pusch"}, "did you mean patch or push?"},
		{[]string{"help", "nosuch"}, "groundhog --help lists them"},
		{[]string{"help", ""}, "not one of the verbs\n  groundhog --help lists them"},
		{[]string{"help", "push", "restore"}, "groundhog restore is a verb of its own, and groundhog restore --help shows it"},
		{[]string{"help", "push", "nosuch"}, `push has no part "nosuch"`},
		{[]string{"help", "completion", "bsh"}, "did you mean bash"},
		{[]string{"pusch", "--help"}, "did you mean patch or push?"},
		{[]string{"-q", "nosuch", "-h"}, "\"nosuch\" is not one of the verbs\n  groundhog --help lists them"},
		{[]string{"-q", "--verbose"}, "--quiet and --verbose exclude one another\n  usage: groundhog"},
		{[]string{"push", "--dryrun"}, "did you mean --dry-run?"},
		{[]string{"patch", "--authorised-keys", "x"}, "did you mean --authorized-keys?"},
		{[]string{"--frobnicate"}, "usage: groundhog"},
		{[]string{"inspect", "-q", "-v", "reflash.img"}, "--quiet and --verbose exclude one another"},
		{[]string{"restore", "--verbose", "--quiet", "root@127.0.0.1:1"}, "--quiet and --verbose exclude one another"},
		{[]string{"completion", "tcsh"}, `"tcsh": no script for this shell, but for bash, zsh, fish, powershell`},
		{[]string{"completion"}, "SHELL is missing, one of bash, zsh, fish, powershell"},
	} {
		code, out, said := here(c.args...)
		if code != exitTrouble || out != "" || !strings.Contains(said, c.hint) {
			t.Errorf("groundhog %q: exit %d, want %q\n%s%s", c.args, code, c.hint, out, said)
		}
	}
}

// The flags of the verbs that reach devices are shown by what they are for, each once.
func TestFlagGroups(t *testing.T) {
	for _, verb := range []string{"push", "flash", "reflash", "restore"} {
		code, help, _ := here(verb, "--help")
		if code != exitDone {
			t.Fatalf("%s: exit %d", verb, code)
		}
		_, rest, _ := strings.Cut(help, "\nFlags:\n")
		rest, _, _ = strings.Cut(rest, "\n\n")
		if rest != "  -h, --help   help for "+verb {
			t.Errorf("%s: flags of no group:\n%s", verb, rest)
		}
		for _, flag := range []string{"--identity FILE", "--json ", "--parallel N"} {
			if strings.Count(help, flag) != 1 {
				t.Errorf("%s: %s is there %d times:\n%s", verb, flag, strings.Count(help, flag), help)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	judge.Must(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	judge.WriteFile(t, filepath.Join(home, ".ssh/config"), "Host bench-1 bench-2 *\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"patch", "--board", ""}, "generic\ncm3\ncm4\n:4\n"},
		{[]string{"patch", "--compression", ""}, "keep\nnone\ngzip\nzstd\nxz\nlz4\n:4\n"},
		{[]string{"diff", "--format", ""}, "html\njson\nmarkdown\ntext\n:4\n"},
		{[]string{"manifest", "--format", ""}, "cyclonedx\njson\nspdx\n:4\n"},
		{[]string{"flash", "--via", ""}, "writer\ncurl\n:4\n"},
		{[]string{"push", "--via", ""}, "replace\noneshot\nkexec\n:4\n"},
		{[]string{"reflash", "--push-via", ""}, "replace\noneshot\nkexec\n:4\n"},
		{[]string{"reflash", "--boot", ""}, "firmware\nkexec\n:4\n"},
		{[]string{"patch", "--root", ""}, ":16\n"}, // directories
		{[]string{"push", ""}, "bench-1\nbench-2\n:0\n"},
		{[]string{"push", "root@bench-1", "root@"}, "root@bench-2\n:0\n"},
		{[]string{"restore", "bench-2", "b"}, "bench-1\n:4\n"},
		{[]string{"push", "--ssh-config", "none", ""}, ":0\n"},
		{[]string{"help", "ref"}, "reflash\tPush, reboot, flash, reboot, and see the new system come up\n:4\n"},
	} {
		_, got, _ := here(append([]string{"__complete"}, c.args...)...)
		if !strings.HasPrefix(got, c.want) && !strings.Contains(got, "\n"+c.want) {
			t.Errorf("%q: got\n%swant\n%s", c.args, got, c.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, script, _ := here("completion", shell); code != exitDone || !strings.Contains(script, "groundhog") {
			t.Errorf("%s: exit %d, %d bytes", shell, code, len(script))
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := here("version", "--json")
	var v versionJSON
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitDone {
		t.Fatalf("exit %d, %v", code, err)
	}
	if v.Version != Version || v.Protocol == 0 || v.Manifest == 0 || !strings.HasPrefix(v.Go, "go1.") {
		t.Errorf("%+v", v)
	}
	if code, out, _ := here("version"); code != exitDone || !strings.HasPrefix(out, "groundhog "+Version+"\n") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// An image that cannot be had is trouble, whether it is a file or a URL, and whichever verb is to read it; where another try may help that is said.
func TestExitOfImages(t *testing.T) {
	workplace(t)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for path, code := range map[string]int{"nowhere.img": exitTrouble, server.URL + "/x": exitTrouble, "http:///x": exitTrouble, "http://127.0.0.1:99999/x": exitTrouble, "http://[::1": exitTrouble,
		"https://" + strings.TrimPrefix(server.URL, "http://"): exitTrouble, "http://127.0.0.1:1/x": exitUnreachable} {
		for _, args := range [][]string{{"flash", "root@127.0.0.1:1", path}, {"reflash", "root@127.0.0.1:1", "reflash.img", path}} {
			if got, _, said := here(append(args, "--ssh-config", "none")...); got != code {
				t.Errorf("%q: exit %d, want %d: %s", args, got, code, said)
			}
		}
		if got, _, said := here("index", "--store", "store", path); got != exitTrouble {
			t.Errorf("index %s: exit %d: %s", path, got, said)
		}
	}
}

// An answer that could not be written is trouble in every verb, and said, and so is that nothing but the report of what was done is lost; what the
// verbs that reach devices have to say is then said on standard error.
func TestAnswerLost(t *testing.T) {
	workplace(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		judge.Missing(t, "/dev/full")
	}
	defer full.Close()
	at := func(rest ...string) []string {
		return append([]string{"--ssh-config", "none", "root@127.0.0.1:1"}, rest...) // where nobody listens
	}
	table := map[string][][]string{
		"patch":    {{"initrd.img", "--root", "root", "-o", "again.img"}, {"initrd.img", "--root", "root", "--dry-run"}, {"initrd.img", "--root", "root", "-o", "-"}, {"initrd.img", "--root", "root", "-o", "again.img", "--json"}},
		"hooks":    {{"hooked", "--authorized-keys", "id.pub", "--dry-run"}, {"hooked", "--authorized-keys", "id.pub"}, {"hooked", "--revert"}},
		"inspect":  {{"reflash.img"}, {"reflash.img", "--list"}, {"reflash.img", "--json"}, {"reflash.img", "--cat", "conf/initramfs.conf"}, {"reflash.img", "--extract", "tree"}},
		"manifest": {{"reflash.img"}, {"root"}, {"--schema"}},
		"diff":     {{"initrd.img", "reflash.img"}, {"reflash.img", "reflash.img"}, {"initrd.img", "reflash.img", "--html", "-"}},
		"verify":   {{"reflash.img"}, {"reflash.img", "--json"}},
		"push":     {at("reflash.img", "--json")},
		"restore":  {at("--json")},
		"flash":    {at("disk.img", "--force", "--json")},
		"reflash":  {at("reflash.img", "disk.img", "--force", "--plan"), at("reflash.img", "disk.img", "--force", "--plan", "--json")},
		"index":    {{"--level", "1", "--force", "disk.img"}, {"--list"}, {"--list", "--json"}},
		"schema":   {{}, {"event"}, {"--json"}},
		"version":  {{}, {"--json"}},
		"help":     {{}, {"push"}},
	}
	hooksRoot(t, "hooked")
	does := func(args []string) bool {
		return !slices.Contains(args, "--dry-run") && slices.ContainsFunc([]string{"again.img", "hooked", "--extract", "--level"}, func(s string) bool { return slices.Contains(args, s) })
	}
	everyVerb(t, func(t *testing.T, verb *cobra.Command) {
		if table[verb.Name()] == nil {
			t.Error("not in the table")
		}
		for _, args := range table[verb.Name()] {
			var said bytes.Buffer
			args = append([]string{verb.Name()}, args...)
			code := run(args, strings.NewReader(""), full, &said)
			once := "groundhog: writing to standard output: no space left on device\n"
			if does(args) {
				once = strings.TrimSpace(once) + ": all is done, and the report of it alone is lost\n"
			}
			verdict, found := strings.CutSuffix(said.String(), once)
			if code != exitTrouble || !found || verdict != "" && (strings.Count(verdict, "\n") != 1 || !strings.Contains(verdict, "connection refused")) {
				t.Errorf("groundhog %q: exit %d\n%s", args, code, said.String())
			}
		}
	})
	var said bytes.Buffer
	if code := run(append([]string{"push"}, at("reflash.img")...), strings.NewReader(""), full, &said); code != exitUnreachable || !strings.Contains(said.String(), "connection refused") {
		t.Errorf("what was to be said of a device: exit %d\n%s", code, said.String())
	}
}

// An image whose server drops the connection is packed all the same, and the loss is told on standard error.
func TestIndexFromDroppingServer(t *testing.T) {
	img := bootable.Partitioned(3 << 20)
	for _, quiet := range []bool{false, true} {
		asked := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v1"`)
			if asked {
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(img))
				return
			}
			asked = true
			w.Header().Set("Accept-Ranges", "bytes")
			w.Header().Set("Content-Length", fmt.Sprint(len(img)))
			w.Write(img[:2<<20])
		}))
		defer server.Close()
		code, _, said := here("index", server.URL+"/disk.img", "--level", "1", "--store", t.TempDir(), fmt.Sprintf("--quiet=%v", quiet))
		want := server.URL + "/disk.img: unexpected EOF, after 2.0 MiB of 3.0 MiB; going on from there\n"
		if quiet {
			want = ""
		}
		if code != exitDone || said != want {
			t.Errorf("exit %d: %q", code, said)
		}
	}
}

// Who asks for no words gets none of what was done well.
func TestIndexQuiet(t *testing.T) {
	workplace(t)
	for want, args := range map[string][]string{"": {"-q"}, `"packed"`: {"-q", "--json"}, "packed ": nil} {
		code, out, said := here(append([]string{"index", "disk.img", "--force", "--level", "1", "--store", t.TempDir()}, args...)...)
		if code != exitDone || said != "" || !strings.Contains(out, want) || want == "" && out != "" {
			t.Errorf("%q: exit %d: %q, %q", args, code, out, said)
		}
	}
}

// What the help of manifest shows as examples can be run one after the other.
func TestManifestExamples(t *testing.T) {
	workplace(t)
	judge.WriteTree(t, "root/var/lib/dpkg", map[string]string{"status": "Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n", "info/curl.list": "/usr/bin/curl\n"})
	if code, _, said := here("patch", "initrd.img", "--root", "root", "--authorized-keys", "id.pub", "-o", "reflash.img"); code != exitDone {
		t.Fatal(said)
	}
	judge.Must(t, os.Symlink("initrd.img", "initrd.img-6.1.0-56-amd64"))
	judge.Must(t, os.Symlink("root", "rootfs"))
	judge.Must(t, os.Mkdir(".ssh", 0o700))
	judge.Run(t, exec.Command(judge.Tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", ".ssh/id_ed25519"))
	n := 0
	for line := range strings.Lines(manifestCmd().Example) {
		line, ok := strings.CutPrefix(line, "  groundhog ")
		if !ok {
			continue
		}
		n++
		line, _, _ = strings.Cut(line, " > ")
		if code, _, said := here(strings.Fields(strings.ReplaceAll(line, "~/", "./"))...); code != exitDone {
			t.Errorf("groundhog %s: exit %d: %s", line, code, said)
		}
	}
	if n < 4 {
		t.Errorf("%d examples", n)
	}
}
