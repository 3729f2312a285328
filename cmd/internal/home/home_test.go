package home

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"groundhog/fixtures/judge"
)

// Without $HOME, as under cron or systemd, the password database says where the home directory is.
func TestWithoutHOME(t *testing.T) {
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		judge.Missing(t, "an entry of this user in the password database")
	}
	for _, name := range []string{"HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	for what, get := range map[string]func() (string, error){"": Dir, ".local/state": State, ".cache": Cache} {
		if got, err := get(); err != nil || got != filepath.Join(me.HomeDir, what) {
			t.Errorf("%q: %q, %v", what, got, err)
		}
	}
	t.Setenv("HOME", "/h")
	t.Setenv("XDG_STATE_HOME", "relative")
	if got, err := State(); err != nil || got != "/h/.local/state" {
		t.Errorf("%q, %v", got, err)
	}
	if got := Me(); got.Name != me.Username || got.Dir != me.HomeDir || got.ID != me.Uid {
		t.Errorf("%+v", got)
	}
}
