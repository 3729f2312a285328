package reflash

// Event is what happens on a device, and a line of --json.
type Event struct {
	Schema  int      `json:"schema"`           // set by who tells it
	Time    string   `json:"time"`             // RFC 3339, UTC; set by who tells it
	Host    string   `json:"host"`             // as given on the command line
	Event   string   `json:"event"`            // check, phase, progress, verdict, plan or trace
	ID      string   `json:"id,omitzero"`      // of the check, the phase, or of what progresses
	Verdict string   `json:"verdict,omitzero"` // of a check: ok, warn, refuse; of the host: a Verdict
	State   State    `json:"state,omitzero"`   // of a verdict: what the device was left in
	Text    string   `json:"text,omitzero"`    // in words
	Hint    string   `json:"hint,omitzero"`    // what to do
	Bytes   int64    `json:"bytes,omitzero"`   // of progress: done so far
	Total   int64    `json:"total,omitzero"`   // of progress: all, 0 where that is not known
	Data    *Flashed `json:"data,omitzero"`    // of a verdict on a flash: its figures

	Over bool `json:"-"` // of progress: there is no more of it, done or not
}

// Kinds of events.
const (
	EventCheck    = "check"
	EventPhase    = "phase"
	EventProgress = "progress"
	EventVerdict  = "verdict"
	EventPlan     = "plan"  // a step that would be taken
	EventTrace    = "trace" // for who looks for a bug
)

// Teller tells people or machines what happens. Tell may be called from anywhere.
type Teller interface{ Tell(Event) }
