package main

import (
	"encoding/json"
	"io"
	"time"
)

// jsonTeller tells one event a line.
type jsonTeller struct {
	out  io.Writer
	next map[string]time.Time // of the next line of progress, by host and ID
}

func (t *jsonTeller) tell(e event) {
	if e.Event == "progress" && !t.due(e, time.Now()) {
		return
	}
	e.Time = time.Now().UTC().Format(time.RFC3339)
	b, err := json.Marshal(e)
	if err != nil { // data that is no JSON: the verdict itself is told all the same
		e.Data = nil
		if b, err = json.Marshal(e); err != nil {
			return
		}
	}
	t.out.Write(append(b, '\n'))
}

// due reports whether a line of progress is told: not the first, which says nothing yet, and one every few seconds then.
func (t *jsonTeller) due(e event, now time.Time) bool {
	key := e.Host + "\n" + e.ID
	next, ok := t.next[key]
	switch {
	case e.over:
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

func (t *jsonTeller) table([]end) {}
func (t *jsonTeller) close()      {}
