package reflash

import (
	"context"
	"errors"
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
	Via           string                            // the way in: replace or kexec; "": what is known to work
	Writer        func(arch string) ([]byte, error) // groundhog-writer for one of Debian's architectures, for kexec
	Initramfs     string                            // where the initramfs will answer; "": where the system does
	RebootTimeout time.Duration                     // how long it may take to do so
	Image         int64                             // bytes of what is to be Flashed onto the system's disk; 0: nothing, or not known
}

// Push puts an archive onto a device.
func Push(ctx context.Context, h Host, a *Archive, o *PushOptions) Outcome {
	done, err := o.one(ctx, h, a)
	return h.verdict(ctx, done, nil, err)
}

// one pushes to one device.
func (o *PushOptions) one(ctx context.Context, h Host, a *Archive) (string, error) {
	options := o.SSH
	c, err := device.Dial(ctx, h.Name, options)
	if err != nil {
		return "", refusal(err)
	}
	defer c.Close()
	if err := c.AsRoot(ctx); err != nil {
		return "", refusal(err)
	}
	who, err := askOther(ctx, c, h.Name)
	if err != nil {
		return "", refusal(err)
	}
	facts, boot, err := o.check(ctx, h, c, a)
	if err != nil {
		return "", refusal(err)
	}
	if o.DryRun {
		return "every check is passed; nothing was changed", nil
	}
	if err := o.enter(ctx, h, c); err != nil {
		return "", refusal(err)
	}
	if err := o.send(ctx, h, c, a, facts, boot, who); err != nil {
		return "", err
	}
	if !o.Reboot {
		return "build " + a.Facts.Build + " is what " + h.Name + " boots next", nil
	}
	before, err := leave(ctx, c, facts, boot)
	if err != nil {
		return "", err
	}
	c.Close()
	state, err := o.await(ctx, h, a, boot, before)
	if err == nil {
		err = remember(h.Name, boot)
	}
	if err != nil {
		return "", err
	}
	return "build " + state.Build + " waits on " + h.Name, nil
}

// enter makes sure, before anything is written, that no other name has led to the device.
func (o *PushOptions) enter(ctx context.Context, h Host, c *device.Client) error {
	state, err := c.State(ctx)
	if err != nil {
		return err
	}
	return o.Roll.Enter(ctx, h.Name, c, state)
}

// check surveys the device and tells all findings.
func (o *PushOptions) check(ctx context.Context, h Host, c *device.Client, a *Archive) (loader.Facts, loader.Boot, error) {
	h.phase("check", "checking %s", h.Name)
	facts, err := loader.Survey(ctx, c)
	if err != nil {
		return nil, loader.Boot{}, err
	}
	about := a.Facts
	about.Image, about.Via = o.Image, o.wayTo(h)
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
	refusals := 0
	for _, f := range findings {
		h.Tell(Event{Host: h.Name, Event: EventCheck, ID: f.ID, Verdict: string(f.Verdict), Text: f.Text, Hint: f.Hint})
		if f.Verdict == push.Refuse {
			refusals++
		}
	}
	if refusals > 0 {
		return nil, boot, fmt.Errorf("%d of %d checks refuse the push; nothing was changed", refusals, len(findings))
	}
	return facts, boot, nil
}

// send makes the device's own archive of it, puts it there and notes what is known of the device.
func (o *PushOptions) send(ctx context.Context, h Host, c *device.Client, a *Archive, facts loader.Facts, boot loader.Boot, who device.Who) error {
	own, err := a.ownFor(push.PersonalOf(facts))
	if err != nil {
		return refusal(err)
	}
	body, err := own.open()
	if err != nil {
		return refusal(err)
	}
	defer body.Close()
	job := loader.Job{Boot: boot, Size: own.size, SHA256: own.sha256, Keep: o.Keep}
	if boot.Way == loader.Kexec {
		if job.Writer, err = o.Writer(facts.Get("arch")); err != nil {
			return refusal(err)
		}
	}
	h.phase("send", "sending %s", show.Bytes(own.size))
	counted := h.count(body, "sent", own.size)
	err = job.Run(ctx, c, counted)
	counted.end()
	if err != nil {
		switch {
		case errors.Is(err, loader.ErrRefused):
			return refusal(err)
		case errors.Is(err, loader.ErrLostKexec):
			return hint.To(err, "its disk is as it was, and the same push again finds out; off and on again it boots its old system")
		case errors.Is(err, loader.ErrLost):
			return hint.To(err, "either boots; the same push again makes sure")
		}
		return err
	}
	d, _ := facts.Disk()
	record := &device.Record{Target: h.Name, User: c.Target.User, Host: c.Target.Host, Port: c.Target.Port,
		HostName: facts.Get("hostname"), Interface: facts.Get("interface"), MAC: facts.Get("mac"), Address: facts.Get("prefix"),
		BootID: facts.Get("boot_id"), Disk: d, Who: who,
		Archive: device.Pushed{Path: a.Path, SHA256: a.SHA256, Sent: own.sha256, Build: a.Facts.Build}}
	record.SetHostKey(c.HostKey)
	if _, err := record.Save(); err != nil {
		return hint.To(fmt.Errorf("the archive is on the device; keeping what was learned of it: %w", err), "flash --target names the disk then")
	}
	return nil
}

// await waits until the initramfs answers, with a promised key and the right build.
func (o *PushOptions) await(ctx context.Context, h Host, a *Archive, boot loader.Boot, before device.State) (device.State, error) {
	at := h.Name
	if o.Initramfs != "" {
		at = o.Initramfs
	}
	c, state, err := device.WaitInitramfs(ctx, at, o.SSH.Initramfs(a.Keys), device.Wait{
		Before: before.BootID, Timeout: o.RebootTimeout, Say: func(s string) { h.phase("wait", "%s", s) }})
	if err != nil {
		return state, unseen(err, boot)
	}
	defer c.Close()
	if state.Build != a.Facts.Build {
		return state, fmt.Errorf("build %q answers, not %s", state.Build, a.Facts.Build)
	}
	return state, nil
}
