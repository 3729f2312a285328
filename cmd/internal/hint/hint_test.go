package hint

import (
	"errors"
	"fmt"
	"testing"
)

func TestHint(t *testing.T) {
	cause := errors.New("no room")
	inner := To(cause, "remove something")
	outer := fmt.Errorf("writing: %w", To(fmt.Errorf("a file: %w", inner), "try another disk"))
	for _, c := range []struct {
		err  error
		want string
	}{{nil, ""}, {cause, ""}, {inner, "remove something"}, {fmt.Errorf("x: %w", inner), "remove something"}, {outer, "try another disk"}} {
		if got := Of(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	if !errors.Is(outer, cause) || outer.Error() != "writing: a file: no room" {
		t.Error(outer)
	}
	if To(nil, "x") != nil {
		t.Error("no error has no hint")
	}
}
