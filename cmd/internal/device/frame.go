package device

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// An outputFrame keeps what a command says apart from what the way to it says: a login shell's start files (an echo in
// .bashrc), sudo's lecture, a message of the day. The command itself says a random word first, on both of its outputs, and what
// comes before that word is noise. The word is sent in two halves: a shell that shows the commands which it
// is given does not say it.
type outputFrame struct{ left, right string }

func newFrame() outputFrame {
	b := make([]byte, 16)
	rand.Read(b) // it does not fail (crypto/rand)
	return outputFrame{hex.EncodeToString(b[:8]), hex.EncodeToString(b[8:])}
}

// wrapCommand is a command that says the word first.
func (f outputFrame) wrapCommand(command string) string {
	say := `printf "%s%s\n" ` + f.left + " " + f.right
	return say + "; " + say + " >&2; " + command
}

func (f outputFrame) frameWord() []byte { return []byte(f.left + f.right + "\n") }

// maxNoise bounds what may come before a command's own word, in bytes.
const maxNoise = 64 << 10

// framedReader is a command's output from its word on.
type framedReader struct {
	from    io.Reader
	word    []byte
	begin   func()      // called when the word has come
	begun   atomic.Bool // the word has come
	mu      sync.Mutex  // of noise
	noise   []byte      // what came before it
	waiting []byte      // of the command's own, not yet read
}

func (f *framedReader) Read(p []byte) (int, error) {
	for !f.begun.Load() {
		buf := make([]byte, 4096)
		n, err := f.from.Read(buf)
		if f.siftWord(buf[:n]) {
			break
		}
		if err != nil {
			return 0, err
		}
		if len(f.noise) > maxNoise {
			return 0, fmt.Errorf("the device says more than %d bytes before it begins with our command", maxNoise)
		}
	}
	if len(f.waiting) > 0 {
		n := copy(p, f.waiting)
		f.waiting = f.waiting[n:]
		return n, nil
	}
	return f.from.Read(p)
}

// siftWord looks for the word.
func (f *framedReader) siftWord(b []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noise = append(f.noise, b...)
	i := bytes.Index(f.noise, f.word)
	if i < 0 {
		return false
	}
	f.waiting = bytes.Clone(f.noise[i+len(f.word):])
	f.noise = f.noise[:i]
	f.begun.Store(true)
	if f.begin != nil {
		f.begin()
	}
	return true
}

// noiseSaid is the noise.
func (f *framedReader) noiseSaid() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.TrimSpace(string(f.noise[:min(len(f.noise), 1024)]))
}

// afterWord is what follows the word in a text; all of it where the word is not there.
func (f outputFrame) afterWord(b []byte) []byte {
	if _, rest, ok := bytes.Cut(b, f.frameWord()); ok {
		return rest
	}
	return b
}
