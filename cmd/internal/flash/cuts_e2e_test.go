//go:build e2e

package flash

import (
	"testing"

	"groundhog/fixtures/judge"
)

func TestCutsAll(t *testing.T) { cuts(t, judge.Times(12, 48)) }

func TestPackedInPartAll(t *testing.T) { packedInPart(t, judge.Times(5, 60)) }

func TestLostFrameAll(t *testing.T) { lostFrame(t, 1) }

func TestVerifiedIsDurableAll(t *testing.T) { verifiedIsDurable(t, judge.Times(3, 1)) }

func TestMoveCutsAll(t *testing.T) { moveCuts(t, 16) }
