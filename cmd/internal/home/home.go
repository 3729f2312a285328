// Package home is who runs groundhog here, and where that user's things are.
package home

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// User is a user of this machine.
type User struct{ Name, ID, Dir string }

// Me is who runs this process. The password database knows that; a user that it does not have, as in a container with a number and no more, or of
// a directory service that is asked by the C library, is as the environment says.
func Me() User {
	id := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(id); err == nil {
		return User{u.Username, id, u.HomeDir}
	}
	return User{cmp.Or(os.Getenv("USER"), os.Getenv("LOGNAME"), id), id, cmp.Or(os.Getenv("HOME"), "/")}
}

// Dir is the home directory: $HOME; where that is not set, as for what cron and systemd start, that of the password database.
func Dir() (string, error) {
	if dir, err := os.UserHomeDir(); err == nil {
		return dir, nil
	}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil && filepath.IsAbs(u.HomeDir) {
		return u.HomeDir, nil
	}
	return "", errors.New("$HOME is not set, and the password database has no home directory")
}

// State is where what is to outlast a run is kept, $XDG_STATE_HOME (XDG Base Directory Specification), else ~/.local/state.
func State() (string, error) { return xdgDir("XDG_STATE_HOME", ".local/state") }

// Cache is where what can be made again is kept, $XDG_CACHE_HOME, else ~/.cache.
func Cache() (string, error) {
	if dir, err := os.UserCacheDir(); err == nil { // another one on a Mac
		return dir, nil
	}
	return xdgDir("XDG_CACHE_HOME", ".cache")
}

func xdgDir(variable, below string) (string, error) {
	if base := os.Getenv(variable); filepath.IsAbs(base) { // a relative one is to be ignored
		return base, nil
	}
	home, err := Dir()
	return filepath.Join(home, below), err
}
