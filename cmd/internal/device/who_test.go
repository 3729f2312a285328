package device

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"groundhog/cmd/internal/hint"
	"groundhog/fixtures/judge"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	judge.WriteTree(t, root, files)
	return root
}

func TestWho(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	card := func(name, kind, assign, mac string) map[string]string {
		d := "sys/class/net/" + name + "/"
		return map[string]string{d + "type": kind + "\n", d + "addr_assign_type": assign + "\n", d + "address": mac + "\n"}
	}
	files := func(all ...map[string]string) map[string]string {
		sum := map[string]string{}
		for _, m := range all {
			for k, v := range m {
				sum[k] = v
			}
		}
		return sum
	}
	machine := map[string]string{"etc/machine-id": strings.Repeat("0a", 16) + "\n"}
	for about, c := range map[string]struct {
		files map[string]string
		want  Who
	}{
		"nothing": {nil, Who{}},
		"a Pi": {files(machine, map[string]string{"proc/device-tree/serial-number": "10000000ABCD1234\x00"}, card("eth0", "1", "0", "DC:A6:32:00:00:01"), card("wlan0", "1", "0", "dc:a6:32:00:00:00"), card("lo", "772", "0", "00:00:00:00:00:00")),
			Who{strings.Repeat("0a", 16), "10000000abcd1234", []string{"dc:a6:32:00:00:00", "dc:a6:32:00:00:01"}}},
		"a PC":                       {map[string]string{"sys/class/dmi/id/product_uuid": "4C4C4544-0042-3510-8052-B4C04F4A3732\n"}, Who{Board: "4c4c4544-0042-3510-8052-b4c04f4a3732"}},
		"firmware that nobody told":  {map[string]string{"sys/class/dmi/id/product_uuid": "03000200-0400-0500-0006-000700080009\n"}, Who{}},
		"zeros":                      {map[string]string{"sys/class/dmi/id/product_uuid": "00000000-0000-0000-0000-000000000000\n", "etc/machine-id": "uninitialized\n"}, Who{}},
		"words":                      {map[string]string{"proc/device-tree/serial-number": "To Be Filled By O.E.M.\x00"}, Who{}},
		"a random address, and ours": {files(card("eth0", "1", "1", "52:54:00:00:00:01"), card("eth1", "1", "3", "52:54:00:00:00:02")), Who{}},
		"hostile": {files(map[string]string{"etc/machine-id": "\x1b[2J" + strings.Repeat("x", 100000), "proc/device-tree/serial-number": "a;$(id)\nmac 00:11:22:33:44:55"},
			card("eth0", "1", "0", "zz:54:00:00:00:01\nboard other-1")), Who{}},
	} {
		root := tree(t, c.files)
		s.see.Store(strings.NewReplacer("${groundhog_root:-}", root))
		client := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
		got, err := client.Who(t.Context())
		if about != "hostile" {
			if alone := inBusybox(t, root, whoScript); !strings.HasSuffix(alone, "end ok\n") {
				t.Errorf("%s, in busybox: %q", about, alone)
			} else if w, _ := parseWho(alone); !cmp.Equal(w, c.want) {
				t.Errorf("%s, in busybox: %+v", about, w)
			}
		}
		if about == "hostile" { // a file's second line is the device's word as much as its first
			got.MACs, got.Board = nil, ""
		}
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", about, err, diff)
		}
		client.Close()
	}
	if _, err := parseWho("board 1234\n"); err == nil {
		t.Error("half an answer was taken")
	}
}

// inBusybox runs a command as the initramfs does, with nothing but busybox, and returns what it says after its frame's word.
func inBusybox(t *testing.T, root, script string) string {
	t.Helper()
	busybox, bin := judge.Tool(t, "busybox"), t.TempDir()
	judge.Run(t, exec.Command(busybox, "--install", "-s", bin))
	f := newFrame()
	cmd := exec.Command(bin+"/sh", "-c", f.wrapCommand(script))
	cmd.Env = []string{"PATH=" + bin, "groundhog_root=" + root}
	var noise strings.Builder
	cmd.Stderr = &noise
	out, err := cmd.Output()
	if err != nil || noise.String() != string(f.frameWord()) {
		t.Errorf("%v: %q", err, noise.String())
	}
	rest, ok := strings.CutPrefix(string(out), string(f.frameWord()))
	if !ok {
		t.Errorf("does not begin with its word: %q", out)
	}
	return rest
}

// The word of a run is left once, in busybox, too.
func TestMarkInBusybox(t *testing.T) {
	root := t.TempDir()
	judge.Must(t, os.Mkdir(root+"/run", 0o755))
	for _, n := range []int{3, 3, 4} {
		if got := inBusybox(t, root, fmt.Sprintf(markScript, "0123abcd", n)); got != "name 3\n" {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestDiffers(t *testing.T) {
	a, b := Who{Board: "aa-1", MACs: []string{"m1", "m2"}}, Who{Board: "bb-2", MACs: []string{"m1", "m2"}}
	for about, c := range map[string]struct {
		now, before Who
		other       bool
	}{
		"the same":                  {a, a, false},
		"another board":             {a, b, true},
		"nothing known":             {a, Who{}, false},
		"a new card":                {Who{MACs: []string{"m1", "m3"}}, Who{MACs: []string{"m1", "m2"}}, false},
		"other cards":               {Who{MACs: []string{"m3"}}, Who{MACs: []string{"m1", "m2"}}, true},
		"other cards, same board":   {Who{Board: "aa-1", MACs: []string{"m3"}}, a, false},
		"another system, by itself": {Who{Machine: "1"}, Who{Machine: "2"}, false},
		"a board that is silent":    {Who{MACs: []string{"m2"}}, a, false},
	} {
		if err := c.now.Differs(c.before); (err != nil) != c.other || err != nil && !errors.Is(err, ErrOther) {
			t.Errorf("%s: %v", about, err)
		}
	}
}

// Two names that lead to one boot of one device are noticed, whoever comes first; two devices that were restored from one saved
// state, which share keys and boot id, are two.
func TestRoll(t *testing.T) {
	s := startServer(t)
	one, other := t.TempDir(), t.TempDir()
	for _, d := range []string{one, other} {
		judge.Must(t, os.Mkdir(d+"/run", 0o755))
	}
	dial := func(root string) *Client {
		s.see.Store(strings.NewReplacer("${groundhog_root:-}", root))
		c := judge.Value(Dial(t.Context(), s.target(), s.good()))(t)
		t.Cleanup(func() { c.Close() })
		return c
	}
	state := State{BootID: "b1"}
	r := NewRoll(3)
	enter := func(name, root string, s State) error { return r.Enter(t.Context(), name, dial(root), s) }
	if err := errors.Join(enter("a", one, state), enter("a", one, state), enter("b", other, state)); err != nil {
		t.Errorf("two devices of one saved state: %v", err)
	}
	if err := enter("c", one, state); !errors.Is(err, ErrTwice) || !strings.Contains(err.Error(), "a and c") || hint.Of(err) == "" {
		t.Errorf("two names: %v", err)
	}
	if err := enter("c", one, State{BootID: "b2"}); err != nil {
		t.Errorf("another boot: %v", err)
	}
	errs := make(chan error)
	r = NewRoll(4)
	c := dial(one)
	for _, name := range []string{"a", "b", "c", "d"} {
		go func() { errs <- r.Enter(t.Context(), name, c, state) }()
	}
	twice := 0
	for range 4 {
		if errors.Is(<-errs, ErrTwice) {
			twice++
		}
	}
	if twice != 3 {
		t.Errorf("of four names at once %d were noticed", twice)
	}
	lone := t.TempDir()
	if err := NewRoll(1).Enter(t.Context(), "a", dial(lone), state); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(lone); len(left) != 0 {
		t.Error("a single name left something behind")
	}
}
