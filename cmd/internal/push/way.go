package push

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"groundhog/cmd/internal/loader"
)

// checkBootLoader finds the way in. Where it is refused the hint has what mends that.
func (c *pushChecks) checkBootLoader() loader.Boot {
	b, err := c.takeWay()
	if err == nil {
		return b
	}
	hint := ""
	if r, ok := errors.AsType[*loader.Refusal](err); ok {
		hint = r.Hint
	}
	c.addFinding("boot", Refuse, hint, "%v", err)
	return loader.Boot{}
}

// hintOtherWays has the first refusal of the way, or of the room that it takes, name the ways that are open.
func (c *pushChecks) hintOtherWays() {
	i := slices.IndexFunc(c.all, func(f Finding) bool { return f.Verdict == Refuse && (f.ID == "boot" || f.ID == "room") })
	if i < 0 {
		return
	}
	hints := []string{}
	for _, hint := range []string{c.all[i].Hint, OtherWays(c.f, c.a)} {
		if hint != "" {
			hints = append(hints, hint)
		}
	}
	c.all[i].Hint = strings.Join(hints, "; or ")
}

// takeWay finds the way in that was asked for, and notes the findings about it.
func (c *pushChecks) takeWay() (loader.Boot, error) {
	b, by, err := c.wayAsked()
	if err != nil {
		return loader.Boot{}, err
	}
	c.addFinding("boot", OK, "", "%s", by)
	for _, r := range b.Remarks(c.f, loader.Use{Keep: c.a.Keep, Stays: c.a.Stays}) {
		verdict := Warn
		if r.Refuses {
			verdict = Refuse
		}
		c.addFinding(r.ID, verdict, r.Hint, "%s", r.Text)
	}
	return b, nil
}

// wayAsked is the way that was asked for, and what takes it, in words.
func (c *pushChecks) wayAsked() (loader.Boot, string, error) {
	if c.a.Via == loader.Kexec {
		b, err := loader.ByKexec(c.f, c.a.Size, c.a.Unpacked)
		return b, "its kernel starts itself with the archive, by kexec; nothing is written to a disk", err
	}
	l, evidence, err := loader.Of(c.f)
	if err != nil {
		return loader.Boot{}, "", err
	}
	b, err := c.bootLoaders(l)
	by := b.Says(l)
	if evidence != loader.Proven {
		by += ", by what is in /boot"
	}
	if err == nil {
		err = loader.RebootIsKexec(c.f)
	}
	return b, by, err
}

// bootLoaders is the way that the boot loader allows. To replace its initramfs is the default: every state of the disk that a power cut may
// leave has been looked at, and no variable of a firmware, nor GRUB's own writing, has to work for it. A one-shot has to be asked for once.
func (c *pushChecks) bootLoaders(l loader.Loader) (loader.Boot, error) {
	if c.a.Via == loader.OneShot {
		return loader.ByOneShot(c.f, l)
	}
	return l.Boot(c.f)
}

// waysSay is what each way does, as a hint.
var waysSay = map[loader.Way]string{
	loader.Replace: "goes by the initramfs that the boot loader finds",
	loader.OneShot: "has the archive booted once",
	loader.Kexec:   "needs no boot loader, and no room in /boot",
}

// OtherWays is the ways that are open on the device for a push that was refused the one that it asked for, as a hint; "" for none. What each would be refused for is looked at.
func OtherWays(f loader.Facts, a Archive) string {
	hints := []string{}
	for _, way := range loader.Ways {
		if way == a.Via || way == loader.Replace && a.Via == "" || way != loader.Replace && a.Keep {
			continue
		}
		other := a
		other.Via, other.Stays = way, false
		c := &pushChecks{f: f, a: other}
		b, err := c.takeWay()
		c.checkRoom(b)
		if err != nil || Refused(c.all) {
			continue
		}
		flag := cmp.Or(a.ViaFlag, "--via") + " " + string(way)
		if a.Stays && (b.Way == loader.Kexec || b.Way.RebootArgument() != "") { // it goes with the reboot alone
			flag += " --reboot"
		}
		hints = append(hints, flag+" "+waysSay[way])
	}
	return strings.Join(hints, "; ")
}
