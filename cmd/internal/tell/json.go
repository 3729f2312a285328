package tell

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"groundhog/cmd/internal/reflash"
	"groundhog/initrd/show"
)

// JSON tells one reflash.Event a line.
type JSON struct {
	mu     sync.Mutex
	out    io.Writer
	err    io.Writer
	schema int                  // of each line
	next   map[string]time.Time // of the next line of progress, by host and ID
}

// NewJSON tells in lines of JSON, of that version, on out; a verdict that out does not take, on errs.
func NewJSON(out, errs io.Writer, schema int) *JSON {
	return &JSON{out: out, err: errs, schema: schema, next: map[string]time.Time{}}
}

func (t *JSON) Tell(e reflash.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()

	if e.Event == reflash.EventTrace || e.Event == reflash.EventProgress && !t.progressDue(e, time.Now()) {
		return
	}
	e.Schema = t.schema
	if e.Time == "" {
		e.Time = timeOf(time.Now())
	}
	b, err := json.Marshal(e)
	if err != nil { // data that is no JSON: the verdict itself is told all the same
		e.Data = nil
		if b, err = json.Marshal(e); err != nil {
			return
		}
	}
	b = append(show.JSON(b), '\n')
	if _, err := t.out.Write(b); err != nil && e.Event == reflash.EventVerdict { // what the run was for
		t.err.Write(b)
	}
}

// progressDue reports whether a line of progress is told: not the first, which says nothing yet, and one every few seconds then.
func (t *JSON) progressDue(e reflash.Event, now time.Time) bool {
	key := e.Host + "\n" + e.ID
	next, ok := t.next[key]
	switch {
	case e.Over:
		delete(t.next, key)
		return false
	case !ok:
		t.next[key] = now.Add(progressEvery)
		return false
	case now.Before(next):
		return false
	}
	t.next[key] = now.Add(progressEvery)
	return true
}

func (t *JSON) Table([]reflash.Outcome) {}
func (t *JSON) Close()                  {}
