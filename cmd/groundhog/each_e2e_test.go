//go:build e2e

package main

import (
	"testing"

	"groundhog/fixtures/judge"
)

func TestBombsAll(t *testing.T) {
	t.Parallel()
	feedBombs(t, func(string) bool { return true })
}

func TestImageBombsAll(t *testing.T) { feedImageBombs(t) }

func TestTerminalAll(t *testing.T) { onTerminals(t, 5) }

func TestTerminalAlwaysAll(t *testing.T) { terminalAlways(t, judge.Times(20, 100)) }

func TestInspectDamagedAll(t *testing.T) { inspectDamaged(t, judge.Times(2, 1)) }
