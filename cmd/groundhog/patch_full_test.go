//go:build full

package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"groundhog/fixtures"
	"groundhog/fixtures/judge"
)

// TestWaitEnds boots with a short wait: nobody comes, and the boot goes on by
// itself.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	tgt := target(t, "bookworm", "amd64")
	p := patchTarget(t, tgt, tgt.Dropbear, "--wait", "5s")
	vm := judge.Value(fixtures.Boot(t.Context(), p.machine()))(t)
	t.Cleanup(vm.Close)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	for _, text := range []string{"groundhog: ", "No root device specified"} {
		if err := vm.WaitConsole(ctx, text); err != nil {
			t.Fatalf("%v\n%s", err, vm.Console())
		}
	}
}

// TestComputeModule3 is the arm64 target with a CM3's modules and the MAC from
// the kernel command line.
func TestComputeModule3(t *testing.T) {
	t.Parallel()
	tgt := target(t, "bookworm", "arm64")
	p := patchTarget(t, tgt, tgt.Dropbear, "--board", "cm3")
	m := p.machine()
	m.Append = fixtures.DefaultAppend("arm64") + " smsc95xx.macaddr=" + testMAC
	g := p.boot(t, m)
	g.says("cat /sys/class/net/eth0/address", testMAC)
	for _, module := range []string{"mii", "phy_generic", "smsc95xx"} {
		g.says(fmt.Sprintf("lsmod | grep -c '^%s '", module), "1")
	}
	g.says("curl --version | cut -d' ' -f1 | head -n1", "curl")
}
