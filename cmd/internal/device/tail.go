package device

import "sync"

// outputTail keeps the end of what is written to it.
type outputTail struct {
	mu    sync.Mutex
	b     []byte
	limit int
	alive func() // told of each write; may be nil
}

func (t *outputTail) Write(p []byte) (int, error) {
	if t.alive != nil {
		t.alive()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - t.limit; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *outputTail) keptBytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.b...)
}
