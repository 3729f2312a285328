package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/tell"
	"groundhog/initrd/show"
)

// tellPlan says what would be done on each device, a line for each step.
func (o *reflashOptions) tellPlan(cmd *cobra.Command, hosts []string, a *reflash.Archive, img *image.Image, path string, starts *image.Start) {
	steps := o.planSteps(a, img, path, starts)
	w := cmd.OutOrStdout()
	if o.json {
		t := tell.NewJSON(w, cmd.ErrOrStderr(), outputSchema)
		for _, name := range hosts {
			for _, s := range steps {
				t.Tell(reflash.Event{Host: name, Event: reflash.EventPlan, ID: s.id, Text: s.text})
			}
		}
		return
	}
	for _, name := range hosts {
		fmt.Fprintf(w, "%s:\n", name)
		for i, s := range steps {
			fmt.Fprintf(w, "  %d. %s\n", i+1, show.Printable(s.text))
		}
	}
}

// plannedStep is a step of a plan.
type plannedStep struct{ id, text string }

func (o *reflashOptions) planSteps(a *reflash.Archive, img *image.Image, path string, starts *image.Start) []plannedStep {
	key := "a key that is in the image, or in known_hosts"
	if o.Expect != "" {
		key = o.Expect
	}
	size, at := "", ""
	if n, ok := img.Size(); ok {
		size = ", " + show.Bytes(n)
	}
	if o.Initramfs != "" {
		at = ", which answers at " + o.Initramfs
	}
	boot := "reboot"
	switch {
	case starts != nil:
		boot = fmt.Sprintf("start what %s starts of it, %q, by kexec (%s; if it has never come up by firmware with such an image, that is said)", starts.Loader, starts.Title, starts.Layout)
	case o.Boot == reflash.ByKexec:
		boot = "start its own kernel by kexec, or reboot where that cannot be"
	}
	steps := []plannedStep{
		{"push", fmt.Sprintf("push build %s, unless it waits there already, and reboot into it%s (at most %s)", a.Facts.Build, at, o.RebootTimeout)},
		{"flash", fmt.Sprintf("make its disk equal to %s (%s%s), and read that back", image.Shown(path), img.Compression(), size)},
		{"wait", fmt.Sprintf("%s, and wait for a system with %s (at most %s)", boot, key, o.RebootTimeout)},
	}
	if o.Ready != "" {
		steps = append(steps, plannedStep{"ready", fmt.Sprintf("there, wait until %q ends well (at most %s)", o.Ready, o.RebootTimeout)})
	}
	return steps
}
