package patches

import (
	"fmt"
	"path"

	"groundhog/patches/scripts"
)

// wait keeps the boot waiting, and says on the console for what.
func (t *Archive) wait() (string, error) {
	if err := t.install("wait"); err != nil {
		return "", err
	}
	if err := t.edit(premount, lineAfter(pidLine, scripts.HoldLine)); err != nil {
		return "", err
	}
	if err := t.set("GROUNDHOG_WAIT", seconds(t.opts.Wait)); err != nil {
		return "", err
	}
	// The clock of a board without a battery is set to at least this: the
	// time of /init as the archive has it.
	epoch := "0"
	if e := t.Image.Lookup("conf/arch.conf"); e != nil {
		epoch = fmt.Sprint(e.Mtime)
	}
	if err := t.set("GROUNDHOG_EPOCH", epoch); err != nil {
		return "", err
	}
	if t.opts.Wait == 0 {
		return "none: the boot goes on at once", nil
	}
	return fmt.Sprintf("%v for somebody to come, then a normal boot", t.opts.Wait), nil
}

func (t *Tree) wait() (string, error) {
	if err := t.install("wait"); err != nil {
		return "", err
	}
	hold := lineAfter(pidLine, scripts.HoldLine)
	if err := t.undo.Edit(path.Join(toolsDir, premount), pristinePremount, hold); err != nil {
		return "", err
	}
	t.added = append(t.added, premount, scripts.Conf)
	if err := t.setting("GROUNDHOG_WAIT", seconds(t.opts.Wait)); err != nil {
		return "", err
	}
	if t.opts.Wait == 0 {
		return "none: the boot goes on at once", nil
	}
	return fmt.Sprintf("%v for somebody to come, then a normal boot", t.opts.Wait), nil
}
