package screen

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/term"
)

// ReadSecret reads a line that the terminal does not show. ask says which; where the program was stopped meanwhile and goes on it is asked once more: the
// shell has let the terminal show again what is typed.
func ReadSecret(tty int, ask func()) ([]byte, error) {
	before, err := term.GetState(tty)
	if err != nil {
		return nil, err
	}
	hide := hiding(tty)
	on, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(on, syscall.SIGCONT)
	ask()
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-on:
				hide()
				ask()
			case <-over:
				return
			}
		}
	})
	defer func() {
		signal.Stop(on)
		close(over)
		watch.Wait()
		term.Restore(tty, before) // it may have been hidden behind the line's end
	}()
	return term.ReadPassword(tty)
}
