package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"groundhog/cmd/internal/cli"
	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash/disk"
	"groundhog/cmd/internal/flash/image"
	"groundhog/cmd/internal/home"
	"groundhog/cmd/internal/loader"
	"groundhog/cmd/internal/reflash"
	"groundhog/initrd"
	"groundhog/initrd/debian/dropbear"
	"groundhog/patches"
)

// flagChoices is what a flag can be, in any verb that has it.
func flagChoices(verb, flag string) []string {
	switch flag {
	case "board":
		return patches.Boards
	case "compression":
		all := []string{"keep"}
		for _, c := range initrd.Writable {
			all = append(all, string(c))
		}
		return all
	case "release":
		return dropbear.Releases()
	case "mac":
		return []string{"keep", "cmdline"}
	case "via":
		if verb == "push" {
			return flagChoices(verb, "push-via")
		}
		return []string{"writer", "curl"}
	case "boot":
		return []string{reflash.ByFirmware, reflash.ByKexec}
	case "push-via":
		var all []string
		for _, way := range loader.Ways {
			all = append(all, string(way))
		}
		return all
	case "format":
		if verb == "diff" {
			return slices.Sorted(maps.Keys(diffFormats))
		}
		return slices.Sorted(maps.Keys(manifestFormats))
	}
	return nil
}

// flagTakes is what a flag of a verb takes.
func flagTakes(verb, flag string) cli.Takes {
	t := cli.Takes{OneOf: oneOf(verb, flag), Check: valueChecks[flag], Empty: flag == "dropbear-option", Zero: flag == "wait" || flag == "interface-timeout"}
	switch flag {
	case "sign-key", "signature", "authorized-keys", "ca", "hosts", "expect-host-key":
		t.In = true
	case "host-key": // a file for an archive, or whom a device has to be
		if t.In = verb == "patch" || verb == "hooks"; !t.In {
			t.Check = device.CheckFingerprint
		}
	case "allowed-signers": // beside an archive that goes to devices it is looked at who could write it
		t.In = verb == "verify"
	case "manifest":
		t.In, t.Out = verb == "verify", verb == "patch"
	case "known-hosts":
		t.Out = verb == "patch"
	case "output", "html":
		t.Out = true
	}
	return t
}

// oneOf is the words that a flag takes, where it takes nothing else; nil where it takes more than flagChoices has. That a release
// is not supported is said where all releases are known.
func oneOf(verb, flag string) []string {
	if flag == "release" || flag == "mac" {
		return nil
	}
	return flagChoices(verb, flag)
}

// valueChecks refuse what a flag does not take, and what else would only be found when the device is asked.
var valueChecks = map[string]func(string) error{
	"sha256": image.CheckSum,
	"target": disk.CheckWanted,
	"url": func(s string) error {
		if !image.IsURL(s) {
			return fmt.Errorf("%q is no http or https URL", s)
		}
		return nil
	},
	"initramfs": func(s string) error { _, err := device.ParseTarget(s); return err },
	"expect-host-key": func(s string) error {
		if !strings.HasPrefix(s, "SHA256:") {
			return nil // a public key's file
		}
		return device.CheckFingerprint(s)
	},
}

// completeVerb tells a shell what may come next: choices where there are some, directories, hosts of the ssh
// configuration. Of everything else a shell offers files by itself.
func completeVerb(verb *cobra.Command) *cobra.Command {
	for _, flag := range []string{"board", "compression", "release", "mac", "via", "push-via", "boot", "format"} {
		if verb.Flags().Lookup(flag) != nil {
			names := flagChoices(verb.Name(), flag)
			verb.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for _, flag := range []string{"root", "old-root", "new-root", "extract"} {
		if verb.Flags().Lookup(flag) != nil {
			verb.MarkFlagDirname(flag)
		}
	}
	switch verb.Name() {
	case "hooks":
		verb.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	case "push", "flash", "reflash":
		verb.ValidArgsFunction = completeHosts
	case "restore":
		verb.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			hosts, _ := completeHosts(cmd, args, begun)
			return hosts, cobra.ShellCompDirectiveNoFileComp
		}
	}
	return verb
}

// addCompletion adds cobra's own verb that writes scripts for shells. Where no shell is named, or one that cobra does not know, the verb says which there are.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	verb, _, err := root.Find([]string{"completion"})
	if err != nil || verb == root {
		return
	}
	verb.Short = "Write the script with which a shell completes what is typed"
	verb.Use = "completion SHELL"
	verb.Args = func(cmd *cobra.Command, args []string) error {
		var known []string
		for _, shell := range cmd.Commands() {
			known = append(known, shell.Name())
		}
		if len(args) == 0 {
			return cli.Misused(cmd, fmt.Errorf("SHELL is missing, one of %s", strings.Join(known, ", ")))
		}
		return cli.Misused(cmd, fmt.Errorf("%q: no script for this shell, but for %s", args[0], strings.Join(known, ", ")))
	}
	verb.RunE = func(*cobra.Command, []string) error { return nil } // a verb without one shows its help and asks Args nothing
}

// completeHosts offers hosts that are not named yet. A user's name in front of one stays. A shell adds files to them:
// behind the hosts come an archive and an image.
func completeHosts(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	config, _ := cmd.Flags().GetString("ssh-config")
	dir, _ := home.Dir()
	user, _, isUser := strings.Cut(begun, "@")
	var hosts []cobra.Completion
	for _, name := range device.ConfiguredHosts(config, dir) {
		if isUser {
			name = user + "@" + name
		}
		if strings.HasPrefix(name, begun) && !slices.Contains(args, name) {
			hosts = append(hosts, name)
		}
	}
	return hosts, cobra.ShellCompDirectiveDefault
}
