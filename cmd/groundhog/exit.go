package main

import (
	"errors"

	"groundhog/cmd/internal/reflash"
	"groundhog/cmd/internal/sidefile"
)

// Exit codes, one meaning each, the same for every verb.
const (
	exitDone        = 0
	exitNo          = 1   // refused, or different: nothing was changed
	exitTrouble     = 2   // something went wrong, and the last line says what state things are in; also a wrong command line
	exitUnreachable = 3   // the device was not reached and nothing was changed: worth trying again
	exitInterrupted = 130 // Ctrl-C or SIGTERM, as after SIGINT in a shell
)

// exitSeverity orders exit codes from good to bad: of several devices the worst decides. One that was not reached is no worse than
// one that trouble befell, though its number is higher.
var exitSeverity = []int{exitDone, exitNo, exitUnreachable, exitTrouble, exitInterrupted}

// worseExit is the worse one of two exit codes.
func worseExit(a, b int) int {
	for i := len(exitSeverity) - 1; i >= 0; i-- {
		if exitSeverity[i] == a || exitSeverity[i] == b {
			return exitSeverity[i]
		}
	}
	return max(a, b)
}

// exitOf is the exit code of a device's verdict.
func exitOf(v reflash.Verdict) int {
	switch v {
	case reflash.Done:
		return exitDone
	case reflash.Refused, reflash.Different:
		return exitNo
	case reflash.Unreachable:
		return exitUnreachable
	case reflash.Interrupted:
		return exitInterrupted
	}
	return exitTrouble
}

// exitOfError is the exit code of an error with which a verb ends: its own, if it has one. A file that somebody else could have written is
// refused, as in a device's verdict (reflash.VerdictBefore).
func exitOfError(err error) int {
	var code exitCode
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return code.code
	case errors.Is(err, sidefile.ErrStranger):
		return exitNo
	}
	return exitTrouble
}
