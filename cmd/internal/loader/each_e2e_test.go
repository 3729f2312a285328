//go:build e2e

package loader

import "testing"

func TestPushKilledAll(t *testing.T) { pushKilled(t, 1) }

func TestPushKilledThenCutAll(t *testing.T) { pushKilledThenCut(t, 1) }

func TestRestoreKilledAll(t *testing.T) { restoreKilled(t, 1) }

func TestOneShotKilledAll(t *testing.T) { oneShotKilled(t, 1) }

func TestPushFailsAll(t *testing.T) { pushFails(t, 1) }

// A device's /bin/sh may be bash: what is true of the scripts under dash is so there.
func TestUnderBash(t *testing.T) {
	deviceShell = "bash"
	defer func() { deviceShell = "dash" }()
	for name, test := range map[string]func(*testing.T){
		"TestPush": TestPush, "TestRestore": TestRestore, "TestNewer": TestNewer, "TestNameEdited": TestNameEdited, "TestDamaged": TestDamaged,
		"TestReceive": TestReceive, "TestAuto": TestAuto, "TestKexec": TestKexec, "TestLock": TestLock, "TestOneShot": TestOneShot,
		"TestOneShotReceive": TestOneShotReceive, "TestOneShotNotMounted": TestOneShotNotMounted, "TestOneShotOverReplace": TestOneShotOverReplace,
	} {
		t.Run(name, test)
	}
}
