package reflash

import (
	"runtime/debug"

	"groundhog/cmd/internal/device"
	"groundhog/cmd/internal/flash"
)

// askAhead asks a device now for what is going to be needed in a moment: each question takes a round trip and a shell of its own there, and several at
// once take hardly longer than one. What it returns gives that answer, once; a second time, or over another connection, it asks anew.
func askAhead[T any](over *device.Client, ask func(*device.Client) (T, error)) func(*device.Client) (T, error) {
	var answer T
	var err error
	var bug *flash.Bug
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				bug = &flash.Bug{Value: p, Stack: debug.Stack()} // whoever wants the answer knows which device it ends
			}
		}()
		answer, err = ask(over)
	}()
	used := false
	return func(c *device.Client) (T, error) {
		if used || c != over {
			return ask(c)
		}
		used = true
		<-done
		if bug != nil {
			panic(bug)
		}
		return answer, err
	}
}
