package reflash

import (
	"context"
	"runtime/debug"
	"time"

	"groundhog/cmd/internal/flash"
)

// Fleet runs one job a host, at most parallel at once, and returns their ends in the order of the hosts.
func Fleet(ctx context.Context, t Teller, hosts []string, parallel int, run func(context.Context, Host) Outcome) []Outcome {
	slots := make(chan struct{}, parallel)
	ends := make([]Outcome, len(hosts))
	done := make(chan struct{})
	for i, name := range hosts {
		go func() {
			slots <- struct{}{}
			ends[i] = Host{t, name, time.Now()}.survivePanic(func(h Host) Outcome { return run(ctx, h) })
			<-slots
			done <- struct{}{}
		}()
	}
	for range hosts {
		<-done
	}
	return ends
}

// survivePanic runs a job. A panic, which one device's odd answer may provoke, ends that device's run and no other.
func (h Host) survivePanic(run func(Host) Outcome) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			bug, elsewhere := p.(*flash.Bug)
			if !elsewhere {
				bug = &flash.Bug{Value: p, Stack: debug.Stack()}
			}
			h.Tell(Event{Host: h.Name, Event: EventTrace, ID: "panic", Text: string(bug.Stack)})
			out = h.tellVerdict(context.Background(), runResult{err: inState(Unknown, bug)})
		}
	}()
	return run(h)
}
