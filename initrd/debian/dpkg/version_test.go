package dpkg_test

import (
	"errors"
	"os/exec"
	"slices"
	"testing"

	"groundhog/fixtures/judge"
	"groundhog/initrd/debian/dpkg"
)

// dpkg itself orders versions as we do.
func TestCompareVersions(t *testing.T) {
	tool := judge.Tool(t, "dpkg")
	versions := []string{"0", "1", "1.0", "1.00", "1-0", "1-1", "0:1", "00:1", "1:0", "1:1~rc1-1", "2:1", "1~", "1~~", "1~~a", "1~a", "1~1", "1a", "1+", "1+b1", "1.b", "1.+", "1A",
		"10", "9", "1.10", "1.9", "1.09", "1-2-3", "1-2+b1", "1-2~bpo12+1", "1-2+deb12u1", "1-2+rpt1", "2.36-9+deb12u14", "2.36-9+deb12u2", "18446744073709551616", "18446744073709551615",
		"3.5.1-1ubuntu2", "3.5.1-1", "1.2.3a", "1.2.3"}
	pairs := 0
	for i, a := range versions {
		for j, b := range versions {
			if !judge.Full && (i*7+j)%4 != 0 && i != j {
				continue
			}
			pairs++
			ops := []string{"lt", "eq", "gt"}
			err := exec.Command(tool, "--compare-versions", a, ops[dpkg.CompareVersions(a, b)+1], b).Run()
			if _, no := errors.AsType[*exec.ExitError](err); no {
				t.Errorf("%q %s %q: dpkg says no", a, ops[dpkg.CompareVersions(a, b)+1], b)
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if pairs < 300 || !slices.IsSortedFunc([]string{"1~rc", "1", "1+b1", "1:0"}, dpkg.CompareVersions) {
		t.Errorf("%d pairs", pairs)
	}
}
