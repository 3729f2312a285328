package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/hint"
	"groundhog/cmd/internal/loader"
	"groundhog/cmd/internal/push"
	"groundhog/initrd/debian"
	"groundhog/initrd/show"
	"groundhog/manifest"
)

// pushOptions is the command line of `groundhog push`.
type pushOptions struct {
	remote
	roll          *device.Roll // the devices of this run
	parallel      int
	dryRun        bool
	reboot        bool
	keep          bool
	initramfs     string
	rebootTimeout time.Duration
	maxSize       byteSize
	image         int64 // bytes of what is to be flashed onto the system's disk; 0: nothing, or not known
}

func pushCmd() *cobra.Command {
	o := pushOptions{maxSize: defaultMaxSize}
	cmd := &cobra.Command{
		Use:   "push HOST... ARCHIVE",
		Short: "Put a reflash initramfs onto running devices, for one boot",
		Long: `Put a reflash initramfs (from groundhog patch) onto running devices, over SSH. HOST is
[user@]host[:port], or a name in ~/.ssh/config. The user is root, or may sudo -n.

First everything is checked, and nothing is written if anything does not fit. Then
the archive is sent, compared, and takes the place of the initramfs that the device
boots; whatever is cut when, one of the two boots. The pushed archive is good for
one boot: if nobody flashes the device within the archive's wait, its system comes
up and puts the original back. Which disk carries the system is kept in
$XDG_STATE_HOME/groundhog for flash.

Host keys come from known_hosts; an unknown one is refused. A device with a static
address gets it in the initramfs, too; others ask DHCP.`,
		Example: `  groundhog push root@bench-1 reflash.img --dry-run
  groundhog push root@bench-1 root@bench-2 reflash.img --reboot

Exit codes: 0 done; 1 refused by a check, nothing changed; 2 trouble, the last line
says what state the device is in; 3 not reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[:len(args)-1], args[len(args)-1])
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "only check")
	f.BoolVar(&o.reboot, "reboot", false, "reboot, and wait until the initramfs answers with its promised key")
	f.BoolVar(&o.keep, "keep", false, "for every boot, until groundhog restore")
	f.StringVar(&o.initramfs, "initramfs", "", "where the initramfs will answer, `HOST[:PORT]` (default: where the system does)")
	f.DurationVar(&o.rebootTimeout, "reboot-timeout", 5*time.Minute, "how long the initramfs may take to answer")
	f.IntVar(&o.parallel, "parallel", 4, "at most `N` devices at once")
	f.Var(&o.maxSize, "max-size", "refuse an archive that unpacks to more than `SIZE`")
	return cmd
}

func (o *pushOptions) run(cmd *cobra.Command, hosts []string, path string) error {
	if o.initramfs != "" && len(hosts) > 1 {
		return misused(cmd, errors.New("--initramfs is for one device"))
	}
	a, err := readPushed(path, int64(o.maxSize))
	if err != nil {
		return err
	}
	o.roll = device.NewRoll(len(hosts))
	r := o.reporter(cmd, len(hosts))
	defer r.close()
	return fleet(cmd, r, hosts, o.parallel, func(ctx context.Context, h host) int {
		done, err := o.one(ctx, h, a)
		return h.verdict(ctx, err, done, nil)
	})
}

// pushed is an archive that goes to devices.
type pushed struct {
	*archive
	path  string // absolute
	facts push.Archive
	keys  []ssh.PublicKey // what its dropbear answers with
}

// readPushed reads an archive and what must be known of it.
func readPushed(path string, maxSize int64) (*pushed, error) {
	a, err := readArchive(path, maxSize)
	if err != nil {
		return nil, err
	}
	facts := debian.Read(a.img)
	p := &pushed{archive: a, path: path, keys: facts.PublicKeys(), facts: push.Archive{Size: a.input.Size, Arch: facts.Architecture,
		Kernel: facts.Kernel(), Release: facts.Release, Dropbear: facts.HasDropbear()}}
	if p.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if r, err := manifest.ReadRecord(a.img); err == nil {
		p.facts.Build, p.facts.Board, p.facts.Release = r.Build, r.Board, cmp.Or(r.Release, p.facts.Release)
	}
	for _, k := range facts.LoginKeys() {
		p.facts.Authorized = append(p.facts.Authorized, k.Fingerprint())
	}
	return p, nil
}

// one pushes to one device.
func (o *pushOptions) one(ctx context.Context, h host, a *pushed) (string, error) {
	options := o.options()
	c, err := device.Dial(ctx, h.name, options)
	if err != nil {
		return "", refusal(err)
	}
	defer c.Close()
	if err := c.AsRoot(ctx); err != nil {
		return "", refusal(err)
	}
	who, err := c.Who(ctx)
	if err != nil {
		return "", refusal(err)
	}
	facts, boot, err := o.check(ctx, h, c, a)
	if err != nil {
		return "", refusal(err)
	}
	if o.dryRun {
		return "every check is passed; nothing was changed", nil
	}
	if err := o.identify(ctx, h, c, who); err != nil {
		return "", refusal(err)
	}
	if err := o.send(ctx, h, c, a, facts, boot, who); err != nil {
		return "", err
	}
	if !o.reboot {
		return "build " + a.facts.Build + " is what " + h.name + " boots next", nil
	}
	before, err := c.Reboot(ctx)
	if err != nil {
		return "", hint.To(fmt.Errorf("%w: the archive is there and the device has not rebooted", err), "reboot it by hand, or groundhog restore")
	}
	c.Close()
	state, err := o.await(ctx, h, a, before)
	if err != nil {
		return "", err
	}
	return "build " + state.Build + " waits on " + h.name, nil
}

// identify makes sure, before anything is written, that no other device is met than the last time under this name, and
// none that another name has led to.
func (o *pushOptions) identify(ctx context.Context, h host, c *device.Client, who device.Who) error {
	if before, err := device.ReadRecord(h.name); err == nil {
		if err := who.Differs(before.Who); err != nil {
			return hint.To(fmt.Errorf("%w, as at the last push to %s", err, h.name), "if the device was replaced, remove "+device.RecordPath(h.name))
		}
	}
	state, err := c.State(ctx)
	if err != nil {
		return err
	}
	return o.roll.Enter(ctx, h.name, c, state)
}

// check surveys the device and tells all findings.
func (o *pushOptions) check(ctx context.Context, h host, c *device.Client, a *pushed) (loader.Facts, loader.Boot, error) {
	h.phase("check", "checking %s", h.name)
	facts, err := loader.Survey(ctx, c)
	if err != nil {
		return nil, loader.Boot{}, err
	}
	about := a.facts
	about.Image = o.image
	held, err := device.Identities(ctx, h.name, o.options())
	if err != nil {
		return nil, loader.Boot{}, err
	}
	for _, id := range held {
		about.Held = append(about.Held, ssh.FingerprintSHA256(id.Key))
	}
	findings, boot := push.Check(facts, about)
	refusals := 0
	for _, f := range findings {
		h.Tell(event{Host: h.name, Event: "check", ID: f.ID, Verdict: string(f.Verdict), Text: f.Text, Hint: f.Hint})
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
func (o *pushOptions) send(ctx context.Context, h host, c *device.Client, a *pushed, facts loader.Facts, boot loader.Boot, who device.Who) error {
	own, err := a.ownFor(push.PersonalOf(facts))
	if err != nil {
		return refusal(err)
	}
	body, err := own.open()
	if err != nil {
		return refusal(err)
	}
	defer body.Close()
	job := loader.Job{Boot: boot, Size: own.size, SHA256: own.sha256, Keep: o.keep}
	h.phase("send", "sending %s", show.Bytes(own.size))
	counted := h.count(body, "sent", own.size)
	err = job.Run(ctx, c, counted)
	counted.end()
	if err != nil {
		switch {
		case errors.Is(err, loader.ErrRefused):
			return refusal(err)
		case errors.Is(err, loader.ErrLost):
			return hint.To(err, "either boots; the same push again makes sure")
		}
		return err
	}
	d, _ := facts.Disk()
	record := &device.Record{Target: h.name, User: c.Target.User, Host: c.Target.Host, Port: c.Target.Port,
		HostName: facts.Get("hostname"), Interface: facts.Get("interface"), MAC: facts.Get("mac"), Address: facts.Get("prefix"),
		BootID: facts.Get("boot_id"), Disk: d, Who: who,
		Archive: device.Pushed{Path: a.path, SHA256: a.input.SHA256, Sent: own.sha256, Build: a.facts.Build}}
	record.SetHostKey(c.HostKey)
	if _, err := record.Save(); err != nil {
		return hint.To(fmt.Errorf("the archive is on the device; keeping what was learned of it: %w", err), "flash --target names the disk then")
	}
	return nil
}

// await waits until the initramfs answers, with a promised key and the right build.
func (o *pushOptions) await(ctx context.Context, h host, a *pushed, before device.State) (device.State, error) {
	at := h.name
	if o.initramfs != "" {
		at = o.initramfs
	}
	c, state, err := device.WaitInitramfs(ctx, at, o.options().Initramfs(a.keys), device.Wait{
		Before: before.BootID, Timeout: o.rebootTimeout, Say: func(s string) { h.phase("wait", "%s", s) }})
	if err != nil {
		return state, hint.To(fmt.Errorf("%w; the device was told to reboot, and either waits unseen or boots its system again", err),
			"its console tells; a boot that nobody flashes puts the original initramfs back")

	}
	defer c.Close()
	if state.Build != a.facts.Build {
		return state, fmt.Errorf("build %q answers, not %s", state.Build, a.facts.Build)
	}
	return state, nil
}

// ownArchive is the archive as one device gets it.
type ownArchive struct {
	size   int64
	sha256 string
	open   func() (io.ReadCloser, error)
}

func restoreCmd() *cobra.Command {
	var o struct {
		remote
		parallel int
	}
	cmd := &cobra.Command{
		Use:   "restore HOST...",
		Short: "Put the original initramfs back at once",
		Long: `Undo a push: put the original initramfs back, and compare what the disk then holds with
its hash. Where update-initramfs has made a newer one in the meantime, that stays.
A device does the same by itself in the first boot that nobody flashed.`,
		Example: `  groundhog restore root@bench-1

Exit codes: 0 the original is there, or a newer one; 1 refused, nothing changed (nothing
was pushed, say); 2 trouble; 3 not reached, worth another try; 130 interrupted. Of several devices: the worst.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, hosts []string) error {
			r := o.reporter(cmd, len(hosts))
			defer r.close()
			return fleet(cmd, r, hosts, o.parallel, func(ctx context.Context, h host) int {
				said, err := restore(ctx, h.name, o.options())
				return h.verdict(ctx, err, said, nil)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().IntVar(&o.parallel, "parallel", 4, "at most `N` devices at once")
	return cmd
}

func restore(ctx context.Context, name string, options device.Options) (string, error) {
	c, err := device.Dial(ctx, name, options)
	if err != nil {
		return "", refusal(err)
	}
	defer c.Close()
	if err := c.AsRoot(ctx); err != nil {
		return "", refusal(err)
	}
	said, err := loader.Restore(ctx, c)
	if errors.Is(err, loader.ErrRefused) {
		err = refusal(err)
	}
	return said, err
}

// whole is the archive as it is.
func (a *pushed) whole() *ownArchive {
	return &ownArchive{a.input.Size, a.input.SHA256, func() (io.ReadCloser, error) { return os.Open(a.path) }}
}

// held is an archive in memory.
func held(b []byte, sum string) *ownArchive {
	return &ownArchive{int64(len(b)), sum, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}
