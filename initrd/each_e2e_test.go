//go:build e2e

package initrd

import "testing"

func TestUneditedAll(t *testing.T) { unedited(t, archives(t, 1)) }

func TestFormsAll(t *testing.T) { forms(t, 1) }

func TestBombAll(t *testing.T) { bombs(t, 1) }

func TestEncodedAgainAll(t *testing.T) { encodedAgain(t, archives(t, 1)) }
