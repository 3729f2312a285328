package patches

import (
	"fmt"
	"path"
	"time"

	"groundhog/patches/scripts"
)

func (o *Options) checkWait() error { return checkSeconds("wait", o.Wait, 7*24*time.Hour) }

// holdBoot keeps the boot waiting, and says on the console for what.
func (t *Archive) holdBoot() (string, error) {
	if err := t.installScripts("wait"); err != nil {
		return "", err
	}
	// What waited at its end up to 0.3; the pid is what wait knows dropbear by.
	if err := t.editText(premountScript, allEdits(hasLine(pidLine), withoutLines(scripts.OldHoldLine))); err != nil {
		return "", err
	}
	if err := t.waitLast(); err != nil {
		return "", err
	}
	early := t.earlyScripts(archiveScripts{t.Image})
	if _, there := t.Image.Resolve(scripts.Early); there || len(early) > 0 {
		if err := t.checkOwn(scripts.Early, early); err != nil {
			return "", err
		}
		if err := t.putGenerated(scripts.Early, early); err != nil {
			return "", err
		}
	}
	if err := t.setSetting("GROUNDHOG_WAIT", formatSeconds(t.opts.Wait)); err != nil {
		return "", err
	}
	// The clock of a board without a battery is set to at least this: the
	// time of /init as the archive has it.
	epoch := "0"
	if e := t.Image.Lookup("conf/arch.conf"); e != nil {
		epoch = fmt.Sprint(e.Mtime)
	}
	return waitSummary(t.opts.Wait), t.setSetting("GROUNDHOG_EPOCH", epoch)
}

// waitLast has the wait come last in its stage.
func (t *Archive) waitLast() error {
	name := path.Join(path.Dir(scripts.Gate), "ORDER")
	return t.editText(name, func(order []byte) ([]byte, error) { return orderLast(order, "/"+scripts.Gate), nil })
}

func (t *Tree) holdBoot() (string, error) {
	if err := t.installScripts("wait"); err != nil {
		return "", err
	}
	if err := t.undo.Edit(t.premount, pristinePremount, hasLine(pidLine)); err != nil {
		return "", err
	}
	early := t.earlyScripts(treeScripts{t.Root})
	if len(early) > 0 {
		if err := t.putOwn(path.Join(toolsDir, scripts.Early), 0o644, early); err != nil {
			return "", err
		}
		t.added = append(t.added, scripts.Early)
	}
	t.added = append(t.added, premountScript, scripts.Conf)
	return waitSummary(t.opts.Wait), t.setSetting("GROUNDHOG_WAIT", formatSeconds(t.opts.Wait))
}

// waitSummary says how long the boot waits, for people.
func waitSummary(wait time.Duration) string {
	if wait == 0 {
		return "none: the boot goes on at once"
	}
	return fmt.Sprintf("%v for somebody to come, then a normal boot", wait)
}
