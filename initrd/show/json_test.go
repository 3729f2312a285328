package show

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/iotest"

	"io"

	"groundhog/fixtures/judge"
)

// What does not show is escaped, wherever a write ends in it, and the text means the same.
func TestJSON(t *testing.T) {
	const odd = "a\u007f\u009b31m\u202e\u2028\u200b\ufeff\u3164\ufe0f\u034f\u2800\U000e0041\U000e0100\u00fc\U0001f600\ufffd"
	text := judge.Value(json.Marshal(odd))(t)
	const want = `"a\u007f\u009b31m\u202e\u2028\u200b\ufeff\u3164\ufe0f\u034f\u2800\udb40\udc41\udb40\udd00` + "\u00fc\U0001f600\ufffd\""
	for _, r := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))} {
		var out bytes.Buffer
		if _, err := io.Copy(struct{ io.Writer }{JSONWriter(&out)}, r); err != nil || out.String() != want {
			t.Errorf("%v\n%s\nwant\n%s", err, out.String(), want)
		}
		var back string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil || back != odd {
			t.Errorf("it means %q (%v)", back, err)
		}
	}
	if got := Printable("etc/pass\ufe0fwd\u3164"); got != `etc/pass\ufe0fwd\u3164` {
		t.Errorf("printable: %q", got)
	}
}
