//go:build e2e

package device

import (
	"testing"

	"groundhog/fixtures/judge"
)

func TestConfigurationsAsSSHAll(t *testing.T) { configurationsAsSSH(t, judge.Times(60, 200)) }
