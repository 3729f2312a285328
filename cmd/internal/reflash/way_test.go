package reflash

import (
	"strings"
	"testing"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/loader"
	"groundhog/fixtures/judge"
)

func TestCheckVia(t *testing.T) {
	for _, c := range []struct {
		o    PushOptions
		want string // "" for none
	}{
		{PushOptions{}, ""},
		{PushOptions{Via: "replace", Keep: true}, ""},
		{PushOptions{Via: "kexec", Reboot: true}, ""},
		{PushOptions{Via: "kexec", DryRun: true}, ""},
		{PushOptions{Via: "kexec"}, "goes with --reboot"},
		{PushOptions{Via: "kexec", Reboot: true, Keep: true}, "--keep"},
		{PushOptions{Via: "oneshot"}, ""},
		{PushOptions{Via: "oneshot", Keep: true}, "--keep"},
	} {
		if err := c.o.CheckVia(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// heard keeps what a device's run tells.
type heard struct{ events []Event }

func (h *heard) Tell(e Event) { h.events = append(h.events, e) }

// Kexec, or a one-shot, is the way where it has worked, unless another was asked for, or it cannot be what is meant.
func TestWayTo(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	h := Host{Teller: &heard{}, Name: "root@bench-1"}
	want := func(o PushOptions, way loader.Way) {
		t.Helper()
		if got := o.wayTo(h); got != way {
			t.Errorf("%+v: %q, want %q", o, got, way)
		}
	}
	want(PushOptions{Reboot: true}, "")
	if err := rememberWay(h.Name, loader.Boot{Way: loader.Kexec}); err == nil {
		t.Error("remembered without a record")
	}
	judge.Value((&device.Record{Target: h.Name, User: "root", Host: "bench-1", Port: "22", BootID: "461063a3-5c46-448c-84ca-e9bce42d5bf2"}).Save())(t)
	if err := rememberWay(h.Name, loader.Boot{Way: loader.Replace}); err != nil {
		t.Error(err)
	}
	want(PushOptions{Reboot: true}, "")
	if err := rememberWay(h.Name, loader.Boot{Way: loader.Kexec}); err != nil {
		t.Error(err)
	}
	want(PushOptions{Reboot: true}, loader.Kexec)
	if got := (&PushOptions{Reboot: true}).patientOptions(h); got.Silence < loadSilence {
		t.Errorf("a device that loads a kernel may be silent for %s", got.Silence)
	}
	if got := (&PushOptions{Reboot: true, Via: "replace"}).patientOptions(h); got.Silence != 0 {
		t.Errorf("any other for %s", got.Silence)
	}
	want(PushOptions{Reboot: true, Via: "replace"}, loader.Replace)
	want(PushOptions{Reboot: true, Keep: true}, "")
	for _, way := range []loader.Way{loader.NextEntry, loader.Entry} {
		if err := rememberWay(h.Name, loader.Boot{Way: way}); err != nil {
			t.Error(err)
		}
		want(PushOptions{Reboot: true}, loader.OneShot)
	}
	want(PushOptions{}, "")
}

// The state of a device that does not answer fits the way that it went.
func TestUnseen(t *testing.T) {
	if got := unseenState(loader.Boot{Way: loader.Kexec}); got != Kexeced || !strings.Contains(stateTable[got].says, "its disk is as it was") {
		t.Error(got)
	}
	if got := unseenState(loader.Boot{Way: loader.Replace}); got != Rebooting || !strings.Contains(stateTable[got].says, "told to reboot") {
		t.Error(got)
	}
	for err, want := range map[error]State{loader.ErrRefused: Untouched, loader.ErrLostKexec: Kexeced, loader.ErrTrouble: Kexeced} {
		if got := afterPush(err, loader.Boot{Way: loader.Kexec}); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
