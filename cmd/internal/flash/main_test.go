package flash

import (
	"os"
	"testing"

	"groundhog/fixtures/judge"
)

// Indexes are kept in a cache of the tests' own.
func TestMain(m *testing.M) { os.Exit(judge.Apart{M: m}.Run()) }
