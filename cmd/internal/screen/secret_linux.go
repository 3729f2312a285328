package screen

import "golang.org/x/sys/unix"

// hiding is what has a terminal not show what is typed, as term.ReadPassword has it.
func hiding(tty int) func() {
	return func() {
		if mode, err := unix.IoctlGetTermios(tty, unix.TCGETS); err == nil {
			mode.Lflag = mode.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
			mode.Iflag |= unix.ICRNL
			unix.IoctlSetTermios(tty, unix.TCSETS, mode)
		}
	}
}
