package flash

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/protocol"
)

// Director is a line beside which another one can be made, to a port of the device. What is on that one is sealed (package direct), what the device says
// comes on the first one as before.
type Director interface {
	// DirectTo is the device's address as it is reached; false where it can be reached in no other way than by the first line.
	DirectTo() (direct.Address, bool)
	DialDirect(ctx context.Context, port uint16) (io.WriteCloser, error)
}

// directWay is the way to a direct line. Nothing waits for it: until the device says that it stands all is sent as if there were none, and where it never
// stands, because of a firewall, say, or of a port that is forwarded alone, that is how the flash ends.
type directWay struct {
	key    direct.Key
	shown  chan *direct.Writer // on which the key was shown; nil: no port was dialed
	asked  bool                // for a port, and it was not told yet
	turned atomic.Bool         // all is sent on it
}

// directTime bounds the way.
const directTime = 30 * time.Second

// askDirect asks the device for a direct line, where one can be made. One that was lost is not tried again.
func (a *writerLine) askDirect() error {
	d, ok := a.raw.(Director)
	if !ok || a.Check || a.flashRun.overSSH {
		return nil
	}
	at, ok := d.DirectTo()
	if !ok {
		return nil
	}
	a.direct.key, a.direct.asked = direct.NewKey(), true
	return a.w.Write(protocol.DirectKey, protocol.AppendDirectKey(nil, a.direct.key, at))
}

// takePort is where the device listens.
func (a *writerLine) takePort(b []byte) error {
	port, err := protocol.ReadPort(b)
	if err != nil {
		return err
	}
	if !a.direct.asked {
		return fmt.Errorf("%w: a port that was not asked for", protocol.ErrProtocol)
	}
	a.direct.asked = false
	if port != 0 {
		a.direct.shown = make(chan *direct.Writer, 1)
		go a.guardPanic(func() { a.dialDirect(a.raw.(Director), port) })
	}
	return nil
}

// dialDirect connects, and shows the key. Whether that has come where it should is the device's to say.
func (a *writerLine) dialDirect(d Director, port uint16) {
	ctx, cancel := context.WithTimeout(a.flashRun.ctx, directTime)
	defer cancel()
	conn, err := d.DialDirect(ctx, port)
	if err != nil {
		return
	}
	go func() {
		<-a.end
		conn.Close()
	}()
	line := direct.NewWriter(conn, a.direct.key)
	if line.Show() == nil {
		a.direct.shown <- line
	}
}

// takeUp turns to the direct line. That waits for the frame that is on its way, and who listens must not wait for that.
func (a *writerLine) takeUp() error {
	if a.direct.shown == nil || !a.direct.turned.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: a direct line that nobody has made", protocol.ErrProtocol)
	}
	go a.guardPanic(func() {
		select {
		case line := <-a.direct.shown:
			a.w.TurnTo(a.countedLine(countWriter{line, &a.flashRun.direct}), protocol.DirectTurn)
		case <-a.end:
		}
	})
	return nil
}

// noteDirectLost has the next connection do without a direct line where this one had one and was lost: whichever of the two it was, SSH is what has to work.
func (a *writerLine) noteDirectLost(err error) {
	if err != nil && a.direct.turned.Load() {
		a.flashRun.overSSH = true
	}
}
