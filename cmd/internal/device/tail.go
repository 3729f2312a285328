package device

import "sync"

// OutputTail keeps the end of what a program says, which may be without end.
type OutputTail struct {
	Limit int // bytes

	mu    sync.Mutex
	b     []byte
	alive func() // told of each write; may be nil
}

func (t *OutputTail) Write(p []byte) (int, error) {
	if t.alive != nil {
		t.alive()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - t.Limit; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// KeptBytes is what is kept.
func (t *OutputTail) KeptBytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.b...)
}
