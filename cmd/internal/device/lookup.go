package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// lookUp is the addresses of a name, in the order in which ssh(1) tries them. That is the C library's, which has sources (mDNS, a file of aliases, the
// environment) that Go's own resolver does not know, and puts them in another order: one of the home's own IPv6 network before one of IPv4, where Go does not.
// getent(1) asks it. Where there is none, Go's is asked.
func lookUp(ctx context.Context, name, network string, limit time.Duration) ([]netip.Addr, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	all, err := askGetent(limited, name, network)
	if errors.Is(err, errors.ErrUnsupported) {
		all, err = net.DefaultResolver.LookupNetIP(limited, strings.Replace(network, "tcp", "ip", 1), name)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, fmt.Errorf("looking up %s: no answer within %s", name, limit)
	case err != nil:
		return nil, err
	}
	return all, nil
}

// getentNone is how getent ends that knows a database, and has no such key in it.
const getentNone = 2

// maxAddresses bounds what getent says, in bytes.
const maxAddresses = 1 << 16

// askGetent asks getent(1) for the addresses of a name. The error is errors.ErrUnsupported where there is none, or it does not know of addresses.
func askGetent(ctx context.Context, name, network string) ([]netip.Addr, error) {
	program, err := exec.LookPath("getent")
	if err != nil {
		return nil, errors.ErrUnsupported
	}
	database := map[string]string{"tcp": "ahosts", "tcp4": "ahostsv4", "tcp6": "ahostsv6"}[network]
	// ssh tries addresses for which this machine has no network, too: a name that has no others may be one of the loopback. Older ones do not know -A.
	for _, args := range [][]string{{"-A", database, name}, {database, name}} {
		cmd, out := exec.CommandContext(ctx, program, args...), &limitedHead{limit: maxAddresses}
		cmd.Stdout, cmd.WaitDelay = out, time.Second
		err := cmd.Run()
		var ended *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &ended) && ended.ExitCode() == getentNone:
			return nil, fmt.Errorf("looking up %s: no such host", name)
		case err != nil:
			continue
		}
		if all := parseGetent(out.b.String()); len(all) > 0 {
			return all, nil
		}
	}
	return nil, errors.ErrUnsupported
}

// parseGetent reads the addresses at the beginning of lines, each once.
func parseGetent(text string) (all []netip.Addr) {
	for line := range strings.Lines(text) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if ip, err := netip.ParseAddr(word); err == nil && !slices.Contains(all, ip) {
			all = append(all, ip)
		}
	}
	return all
}
