package reflash

import (
	"context"
	"time"
)

// Fleet runs one job a host, at most parallel at once, and returns their ends in the order of the hosts.
func Fleet(ctx context.Context, t Teller, hosts []string, parallel int, run func(context.Context, Host) Outcome) []Outcome {
	slots := make(chan struct{}, parallel)
	ends := make([]Outcome, len(hosts))
	done := make(chan struct{})
	for i, name := range hosts {
		go func() {
			slots <- struct{}{}
			ends[i] = run(ctx, Host{t, name, time.Now()})
			<-slots
			done <- struct{}{}
		}()
	}
	for range hosts {
		<-done
	}
	return ends
}
