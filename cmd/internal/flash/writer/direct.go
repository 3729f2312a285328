package writer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"groundhog/cmd/internal/flash/direct"
	"groundhog/cmd/internal/flash/protocol"
)

// directTime is how long a client has to come by a direct line.
const directTime = 30 * time.Second

// offerDirect listens for the client by another line than this one, and says where. Where that cannot be, nothing else changes.
func (s *clientSession) offerDirect(ctx context.Context, payload []byte) error {
	key, at, err := protocol.ReadDirectKey(payload)
	if err != nil {
		return err
	}
	if s.direct != nil {
		return fmt.Errorf("%w: a second direct line", protocol.ErrProtocol)
	}
	s.direct = make(chan *direct.Line, 1)
	l, err := (*direct.Listener)(nil), errors.ErrUnsupported
	if s.Direct {
		l, err = direct.Listen(at)
	}
	if err != nil {
		return s.w.Write(protocol.DirectPort, protocol.AppendPort(nil, 0))
	}
	go s.awaitDirect(ctx, l, key)
	return s.w.Write(protocol.DirectPort, protocol.AppendPort(nil, l.Port()))
}

// awaitDirect says that the client has come. The line ends with the session.
func (s *clientSession) awaitDirect(ctx context.Context, l *direct.Listener, key direct.Key) {
	soon, cancel := context.WithTimeout(ctx, directTime)
	defer cancel()
	line, err := l.Accept(soon, key)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { line.Close() })
	s.direct <- line
	s.w.Write(protocol.DirectUp)
}

// turnDirect reads on from the direct line. When SSH's line ends the client is gone, whatever else there may be.
func (s *clientSession) turnDirect() error {
	select {
	case line := <-s.direct: // nil: none was asked for
		s.r.TurnTo(line)
		go func() {
			io.ReadFull(s.line, make([]byte, 1))
			line.Close()
		}()
		return nil
	default:
		return fmt.Errorf("%w: a direct line that is not there", protocol.ErrProtocol)
	}
}
