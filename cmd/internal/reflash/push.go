package reflash

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/loader"
	"groundhog/cmd/internal/push"
	"groundhog/initrd/show"
)

// PushOptions say how an archive is put onto a running device.
type PushOptions struct {
	SSH           device.Options
	Roll          *device.Roll                      // the devices of this run
	DryRun        bool                              // only check, with the findings of the push that it stands for
	Reboot        bool                              // reboot into the archive, and wait until the initramfs answers
	Keep          bool                              // the archive stays for every boot, not for one
	Via           string                            // the way in: replace, oneshot or kexec; "": what is known to work
	Writer        func(arch string) ([]byte, error) // groundhog-writer for one of Debian's architectures, for kexec
	Initramfs     string                            // where the initramfs will answer; "": where the system does
	RebootTimeout time.Duration                     // how long the initramfs may take to answer
	Image         int64                             // bytes of the image that is to be flashed onto the system's disk later; 0: none, or not known

	viaFlag    string                                    // the flag that asks for Via; "": --via
	turnaround *turnaround                               // may be nil
	before     func(context.Context, loader.Facts) error // a further check, before anything is written; may be nil
}

// Push puts an archive onto a device.
func Push(ctx context.Context, h Host, a *Archive, o *PushOptions) Outcome {
	return h.tellVerdict(ctx, o.pushDevice(ctx, h, a))
}

// pushDevice pushes to one device.
func (o *PushOptions) pushDevice(ctx context.Context, h Host, a *Archive) runResult {
	c, state, err := dialSystem(ctx, h.Name, o.patientOptions(h))
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	defer c.Close()
	who, err := askOther(ctx, c, h.Name)
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	facts, boot, err := o.checkDevice(ctx, h, c, a)
	if err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	if o.before != nil {
		if err := o.before(ctx, facts); err != nil {
			return runResult{err: inState(Untouched, err)}
		}
	}
	o.turnaround.endLap("survey")
	if o.DryRun {
		return runResult{done: "every check is passed; nothing was changed", state: Untouched}
	}
	if err := o.Roll.Enter(ctx, h.Name, c, state); err != nil {
		return runResult{err: inState(Untouched, err)}
	}
	if err := o.sendArchive(ctx, h, c, a, facts, boot, who); err != nil {
		return runResult{err: err}
	}
	o.turnaround.endLap("send")
	if !o.Reboot {
		return runResult{done: "build " + a.Facts.Build + " is what " + h.Name + " boots next", state: Pushed}
	}
	before, err := leaveSystem(ctx, c, facts, boot)
	if err != nil {
		return runResult{err: inState(notRebooted(ctx, before, Pushed, Rebooting), fmt.Errorf("rebooting: %w", err))}
	}
	c.Close()
	state, err = o.awaitInitramfs(ctx, h, a, boot, before, who)
	if err == nil {
		err = inState(Held, rememberWay(h.Name, boot))
	}
	if err != nil {
		return runResult{err: err}
	}
	return runResult{done: "build " + state.Build + " waits on " + h.Name, state: Held}
}

// notRebooted is the state after a reboot that failed. If the run was interrupted while it asked for the reboot, the device may be rebooting.
func notRebooted(ctx context.Context, before device.State, not, maybe State) State {
	if ctx.Err() != nil && before.BootID != "" {
		return maybe
	}
	return not
}

// dialSystem connects to a device's running system, as root. One that waits in its initramfs has none that could be changed.
func dialSystem(ctx context.Context, name string, options device.Options) (c *device.Client, s device.State, err error) {
	if c, err = device.Dial(ctx, name, options); err != nil {
		if _, met := device.ReadRecord(name); met == nil && errors.Is(err, device.ErrHostKey) {
			or := strings.TrimPrefix(hint.Of(err)+"; or ", "; or ")
			err = hint.To(err, or+"it waits in the initramfs that was pushed, whose keys groundhog flash knows")
		}
		return nil, s, err
	}
	if err = c.AsRoot(ctx); err == nil {
		s, err = c.State(ctx)
	}
	if err == nil && s.Initramfs {
		err = hint.To(fmt.Errorf("it waits in its initramfs, build %s: no system runs there", s.Build), "groundhog flash flashes it; groundhog-continue there boots its system")
	}
	if err != nil {
		c.Close()
	}
	return c, s, err
}

// checkDevice surveys the device and tells all findings.
func (o *PushOptions) checkDevice(ctx context.Context, h Host, c *device.Client, a *Archive) (loader.Facts, loader.Boot, error) {
	h.tellPhase("check", "checking %s", h.Name)
	facts, err := loader.Survey(ctx, c)
	if err != nil {
		return nil, loader.Boot{}, err
	}
	about := a.Facts
	about.Image, about.Via, about.Keep, about.Stays, about.ViaFlag = o.Image, o.wayTo(h), o.Keep, !o.Reboot, o.viaFlag
	if o.Via == "" && about.Via != "" {
		h.tellPhase("check", "%s brought it there the last time, and is taken again", about.Via)
	}
	held, err := device.Identities(ctx, h.Name, o.SSH)
	if err != nil {
		return nil, loader.Boot{}, err
	}
	for _, id := range held {
		about.Held = append(about.Held, ssh.FingerprintSHA256(id.Key))
	}
	findings, boot := push.Check(facts, about)
	if boot.Way == loader.Kexec && !push.Refused(findings) {
		findings = append(findings, o.tryKexec(ctx, c, facts, boot, push.OtherWays(facts, about)))
	}
	findings = append(findings, o.portFinding(h, a)...)
	findings = append(findings, o.kexecStaysFinding()...)
	if err := device.CheckKept(h.Name); err != nil {
		findings = append(findings, push.Finding{ID: "record", Verdict: push.Warn, Text: fmt.Sprintf("what is learned of the device cannot be kept here: %v", err),
			Hint: "XDG_STATE_HOME names another directory for it; without it flash --target names the disk, and --known-hosts the initramfs's keys"})
	}
	refusals := 0
	for _, f := range findings {
		h.Tell(Event{Host: h.Name, Event: EventCheck, ID: f.ID, Verdict: string(f.Verdict), Text: f.Text, Hint: f.Hint})
		if f.Verdict == push.Refuse {
			refusals++
		}
	}
	if refusals > 0 {
		return nil, boot, fmt.Errorf("%d of %d checks refuse the push", refusals, len(findings))
	}
	return facts, boot, nil
}

// portFinding is the finding that the initramfs will not answer where HOST says that the system does.
func (o *PushOptions) portFinding(h Host, a *Archive) []push.Finding {
	t, err := device.ParseTarget(h.Name)
	if err != nil || a.Port == 0 || a.Port == 22 || !o.Reboot || o.Initramfs != "" || t.Port == "" || t.Port == fmt.Sprint(a.Port) {
		return nil
	}
	return []push.Finding{{ID: "port", Verdict: push.Refuse, Text: fmt.Sprintf("the archive's dropbear listens on port %d, and HOST names port %s", a.Port, t.Port),
		Hint: fmt.Sprintf("--initramfs %s:%d says where the initramfs will answer, through a forwarded port perhaps another", t.Host, a.Port)}}
}

// sendArchive makes the archive as this device needs it, puts it onto the device and keeps a record of the device.
func (o *PushOptions) sendArchive(ctx context.Context, h Host, c *device.Client, a *Archive, facts loader.Facts, boot loader.Boot, who device.Who) error {
	own, err := a.ownFor(push.PersonalOf(facts))
	if err != nil {
		return inState(Untouched, err)
	}
	body, err := own.open()
	if err != nil {
		return inState(Untouched, err)
	}
	defer body.Close()
	job := loader.Job{Boot: boot, Size: own.size, SHA256: own.sha256, Keep: o.Keep}
	if boot.Way == loader.Kexec {
		if job.Writer, err = o.Writer(facts.Get("arch")); err != nil {
			return inState(Untouched, err)
		}
	}
	refused := Untouched
	if there := earlierPush(facts, boot); there != "" {
		said, err := loader.Restore(ctx, c)
		if err != nil {
			return inState(afterPush(err, loader.Boot{}), fmt.Errorf("an archive is there %s: %w", there, err))
		}
		h.tellPhase("send", "an archive was there %s: %s", strings.TrimSuffix(there, ", "+facts.Get("pushed_way")), said)
		refused = Restored
	}
	h.tellPhase("send", "sending %s", show.Bytes(own.size))
	counted := h.countReader(body, "sent", own.size)
	err = job.Run(ctx, c, counted)
	counted.endCount()
	if err != nil {
		if state := afterPush(err, boot); state != Untouched {
			return inState(state, err)
		}
		return inState(refused, err)
	}
	d, _ := facts.Disk()
	record := &device.Record{Target: h.Name, User: c.Target.User, Host: c.Target.Host, Port: c.Target.Port,
		HostName: facts.Get("hostname"), Interface: facts.Get("interface"), MAC: facts.Get("mac"), Address: facts.Get("prefix"),
		BootID: facts.Get("boot_id"), Disk: d, Who: who,
		Archive: device.Pushed{Path: a.Path, SHA256: a.SHA256, Sent: own.sha256, Build: a.Facts.Build, Port: a.Port}}
	record.SetHostKey(c.HostKey)
	if old, err := device.ReadRecord(h.Name); err == nil { // the same device: that was looked at
		record.Firmware, record.Via = old.Firmware, old.Via // until another way was seen to work
	}
	if _, err := record.Save(); err != nil {
		return inState(Pushed, hint.To(fmt.Errorf("keeping what was learned of the device: %w", err), "flash --target names the disk then"))
	}
	return nil
}

// earlierPush says where an earlier push has put an archive that this one would not take the place of, and has to be taken back before; "" for none.
func earlierPush(facts loader.Facts, boot loader.Boot) string {
	way := loader.Way(facts.Get("pushed_way"))
	switch {
	case way == "" || boot.Way == loader.Kexec:
		return ""
	case way != boot.Way:
		return "by another way, " + string(way)
	case facts.Get("pushed_other") != "":
		return "in the place of " + facts.Get("pushed_other")
	}
	return ""
}

// meetInitramfs waits for the initramfs, and asks it who it is; one that cannot tell is nobody in particular. Where the connection is lost in that it is
// waited for again: whether it still waits is not known.
func meetInitramfs(ctx context.Context, at string, options device.Options, wait device.Wait) (*device.Client, device.State, device.Who, error) {
	for end := time.Now().Add(wait.Timeout); ; {
		c, state, err := device.WaitInitramfs(ctx, at, options, wait)
		if err != nil {
			return nil, state, device.Who{}, err
		}
		who, err := c.Who(ctx)
		if err == nil || ctx.Err() == nil && !isLoss(err) {
			return c, state, who, nil
		}
		c.Close()
		if wait.Timeout = time.Until(end); wait.Timeout <= 0 || ctx.Err() != nil {
			return nil, state, who, err
		}
		wait.Say(fmt.Sprintf("%v; trying again", err))
	}
}

// awaitInitramfs waits until the initramfs answers, with a promised key and the right build. met is who was pushed to: the same archive waits on others, and an
// address may lead to one of them.
func (o *PushOptions) awaitInitramfs(ctx context.Context, h Host, a *Archive, boot loader.Boot, before device.State, met device.Who) (device.State, error) {
	at := cmp.Or(o.Initramfs, h.Name)
	c, state, who, err := meetInitramfs(ctx, at, o.SSH.Initramfs(a.Keys).OnPort(at, a.Port), device.Wait{
		Before: before.BootID, Timeout: o.RebootTimeout, Down: o.turnaround.endDown, Say: func(s string) { h.tellPhase("wait", "%s", s) }})
	o.turnaround.endLap("up")
	if err != nil {
		return state, inState(unseenState(boot), err)
	}
	defer c.Close()
	if err := otherDevice(who, &device.Record{Who: met}, h.Name); err != nil {
		return state, inState(unseenState(boot), err)
	}
	if state.Build != a.Facts.Build {
		return state, inState(Held, fmt.Errorf("build %q answers, not %s", state.Build, a.Facts.Build))
	}
	if boot.Way == loader.TryBoot {
		tellTryboot(ctx, h, c)
	}
	return state, nil
}
