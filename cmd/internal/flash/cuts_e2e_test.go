//go:build e2e

package flash

import (
	"testing"

	"groundhog/fixtures/judge"
)

func TestCutsAll(t *testing.T) { cuts(t, judge.Times(12, 48)) }

func TestMoveCutsAll(t *testing.T) { moveCuts(t, 16) }
