package reflash

import (
	"context"
	"fmt"
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
	DryRun        bool                              // only check
	Reboot        bool                              // and wait until the initramfs answers
	Keep          bool                              // for every boot, not for one
	Via           string                            // the way in: replace, oneshot or kexec; "": what is known to work
	Writer        func(arch string) ([]byte, error) // groundhog-writer for one of Debian's architectures, for kexec
	Initramfs     string                            // where the initramfs will answer; "": where the system does
	RebootTimeout time.Duration                     // how long it may take to do so
	Image         int64                             // bytes of the image that is to be flashed onto the system's disk later; 0: none, or not known

	turnaround *turnaround                               // may be nil
	before     func(context.Context, loader.Facts) error // what must hold besides before anything is written; may be nil
}

// Push puts an archive onto a device.
func Push(ctx context.Context, h Host, a *Archive, o *PushOptions) Outcome {
	return h.verdict(ctx, o.push(ctx, h, a))
}

// push pushes to one device.
func (o *PushOptions) push(ctx context.Context, h Host, a *Archive) result {
	c, err := device.Dial(ctx, h.Name, o.patient(h))
	if err != nil {
		return result{err: in(Untouched, err)}
	}
	defer c.Close()
	if err := c.AsRoot(ctx); err != nil {
		return result{err: in(Untouched, err)}
	}
	who, err := askOther(ctx, c, h.Name)
	if err != nil {
		return result{err: in(Untouched, err)}
	}
	facts, boot, err := o.check(ctx, h, c, a)
	if err != nil {
		return result{err: in(Untouched, err)}
	}
	if o.before != nil {
		if err := o.before(ctx, facts); err != nil {
			return result{err: in(Untouched, err)}
		}
	}
	o.turnaround.lap("survey")
	if o.DryRun {
		return result{done: "every check is passed; nothing was changed", state: Untouched}
	}
	if err := enter(ctx, h.Name, c, o.Roll); err != nil {
		return result{err: in(Untouched, err)}
	}
	if err := o.send(ctx, h, c, a, facts, boot, who); err != nil {
		return result{err: err}
	}
	o.turnaround.lap("send")
	if !o.Reboot {
		return result{done: "build " + a.Facts.Build + " is what " + h.Name + " boots next", state: Pushed}
	}
	before, err := leave(ctx, c, facts, boot)
	if err != nil {
		return result{err: in(notRebooted(ctx, before, Pushed, Rebooting), fmt.Errorf("rebooting: %w", err))}
	}
	c.Close()
	state, err := o.await(ctx, h, a, boot, before)
	if err == nil {
		err = in(Held, remember(h.Name, boot))
	}
	if err != nil {
		return result{err: err}
	}
	return result{done: "build " + state.Build + " waits on " + h.Name, state: Held}
}

// notRebooted is the state after a reboot that failed. If the run was interrupted while it asked for the reboot, the device may be rebooting.
func notRebooted(ctx context.Context, before device.State, not, maybe State) State {
	if ctx.Err() != nil && before.BootID != "" {
		return maybe
	}
	return not
}

// enter makes sure, before anything is written, that no other name has led to the device.
func enter(ctx context.Context, name string, c *device.Client, roll *device.Roll) error {
	state, err := c.State(ctx)
	if err != nil {
		return err
	}
	return roll.Enter(ctx, name, c, state)
}

// check surveys the device and tells all findings.
func (o *PushOptions) check(ctx context.Context, h Host, c *device.Client, a *Archive) (loader.Facts, loader.Boot, error) {
	h.phase("check", "checking %s", h.Name)
	facts, err := loader.Survey(ctx, c)
	if err != nil {
		return nil, loader.Boot{}, err
	}
	about := a.Facts
	about.Image, about.Via, about.Keep, about.Stays = o.Image, o.wayTo(h), o.Keep, !o.Reboot && !o.DryRun
	if o.Via == "" && about.Via != "" {
		h.phase("check", "%s brought it there the last time, and is taken again", about.Via)
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
		findings = append(findings, o.tryKexec(ctx, c, facts, boot))
	}
	findings = append(findings, o.port(h, a)...)
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

// port is the finding that the initramfs will not answer where HOST says that the system does.
func (o *PushOptions) port(h Host, a *Archive) []push.Finding {
	t, err := device.ParseTarget(h.Name)
	if err != nil || a.Port == 0 || a.Port == 22 || !o.Reboot || o.Initramfs != "" || t.Port == "" || t.Port == fmt.Sprint(a.Port) {
		return nil
	}
	return []push.Finding{{ID: "port", Verdict: push.Refuse, Text: fmt.Sprintf("the archive's dropbear listens on port %d, and HOST names port %s", a.Port, t.Port),
		Hint: fmt.Sprintf("--initramfs %s:%d says where the initramfs will answer, through a forwarded port perhaps another", t.Host, a.Port)}}
}

// send makes the archive as this device needs it, puts it onto the device and keeps a record of the device.
func (o *PushOptions) send(ctx context.Context, h Host, c *device.Client, a *Archive, facts loader.Facts, boot loader.Boot, who device.Who) error {
	own, err := a.ownFor(push.PersonalOf(facts))
	if err != nil {
		return in(Untouched, err)
	}
	body, err := own.open()
	if err != nil {
		return in(Untouched, err)
	}
	defer body.Close()
	job := loader.Job{Boot: boot, Size: own.size, SHA256: own.sha256, Keep: o.Keep}
	if boot.Way == loader.Kexec {
		if job.Writer, err = o.Writer(facts.Get("arch")); err != nil {
			return in(Untouched, err)
		}
	}
	refused := Untouched
	if other := loader.Way(facts.Get("pushed_way")); other != "" && other != boot.Way && boot.Way != loader.Kexec {
		said, err := loader.Restore(ctx, c)
		if err != nil {
			return in(afterPush(err, loader.Boot{}), fmt.Errorf("an archive is there by another way, %s: %w", other, err))
		}
		h.phase("send", "an archive was there by another way: %s", said)
		refused = Restored
	}
	h.phase("send", "sending %s", show.Bytes(own.size))
	counted := h.count(body, "sent", own.size)
	err = job.Run(ctx, c, counted)
	counted.end()
	if err != nil {
		if state := afterPush(err, boot); state != Untouched {
			return in(state, err)
		}
		return in(refused, err)
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
		return in(Pushed, hint.To(fmt.Errorf("keeping what was learned of the device: %w", err), "flash --target names the disk then"))
	}
	return nil
}

// await waits until the initramfs answers, with a promised key and the right build.
func (o *PushOptions) await(ctx context.Context, h Host, a *Archive, boot loader.Boot, before device.State) (device.State, error) {
	at := h.Name
	if o.Initramfs != "" {
		at = o.Initramfs
	}
	c, state, err := device.WaitInitramfs(ctx, at, o.SSH.Initramfs(a.Keys).OnPort(at, a.Port), device.Wait{
		Before: before.BootID, Timeout: o.RebootTimeout, Down: o.turnaround.down, Say: func(s string) { h.phase("wait", "%s", s) }})
	o.turnaround.lap("up")
	if err != nil {
		return state, in(unseen(boot), err)
	}
	defer c.Close()
	if state.Build != a.Facts.Build {
		return state, in(Held, fmt.Errorf("build %q answers, not %s", state.Build, a.Facts.Build))
	}
	if boot.Way == loader.TryBoot {
		tried(ctx, h, c)
	}
	return state, nil
}
