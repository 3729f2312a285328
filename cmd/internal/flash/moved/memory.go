package moved

import (
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
)

// Memory is the device's half: it carries recipes out, and keeps pieces between them. The zero value keeps no piece.
type Memory struct {
	Most int // pieces that are kept at once, at most

	kept map[int64][]byte
	free [][]byte // memory of pieces that are not kept any more
	peak int      // the most that were kept at once
}

// Take carries out the recipe of chunk n: it reads what is to be kept, and then fills out. read reads what the disk holds at a byte offset;
// sent is the bytes of the pieces that were sent, in order. It returns which pieces the disk does not have in place: all but those of kind
// [Here].
func (m *Memory) Take(n int64, r Recipe, out, sent []byte, read func(p []byte, off int64) error) (*chunk.Pieces, error) {
	if err := m.keepPieces(r.Keep, read); err != nil {
		return nil, err
	}
	differing := new(chunk.Pieces)
	piece := 0
	for _, run := range r.Runs {
		from, to := piece*chunk.PieceSize, min((piece+run.Count)*chunk.PieceSize, len(out))
		if from >= to {
			return nil, fmt.Errorf("%w: more pieces than the chunk has", ErrRecipe)
		}
		var err error
		if sent, err = m.fillRun(n, run, out[from:to], sent, piece, read); err != nil {
			return nil, err
		}
		if run.Kind != Here {
			differing.Add(piece, run.Count)
		}
		piece += run.Count
	}
	if piece != chunk.PieceCount(len(out)) || len(sent) > 0 {
		return nil, fmt.Errorf("%w: it makes another chunk", ErrRecipe)
	}
	return differing, nil
}

// fillRun makes the pieces of one run, and returns the sent bytes that are left.
func (m *Memory) fillRun(n int64, run Run, out, sent []byte, piece int, read func([]byte, int64) error) ([]byte, error) {
	switch run.Kind {
	case Here:
		return sent, read(out, n*chunk.Size+int64(piece)*chunk.PieceSize)
	case Zero:
		clear(out)
	case Copy:
		return sent, read(out, run.From*chunk.PieceSize)
	case Sent:
		if len(sent) < len(out) {
			return nil, fmt.Errorf("%w: fewer bytes than it names", ErrRecipe)
		}
		return sent[copy(out, sent):], nil
	case Kept, Last:
		for i := range run.Count {
			b, ok := m.kept[run.From+int64(i)]
			if !ok {
				return nil, fmt.Errorf("%w: place %d is not kept", ErrRecipe, run.From+int64(i))
			}
			copy(out[i*chunk.PieceSize:], b)
			if run.Kind == Last {
				delete(m.kept, run.From+int64(i))
				m.free = append(m.free, b)
			}
		}
	default:
		return nil, fmt.Errorf("%w: kind %d", ErrRecipe, run.Kind)
	}
	return sent, nil
}

// keepPieces reads pieces of the disk into memory.
func (m *Memory) keepPieces(spans []Span, read func([]byte, int64) error) error {
	for _, s := range spans {
		if len(m.kept)+s.Count > m.Most {
			return fmt.Errorf("%w: more than %d pieces are to be kept", ErrRecipe, m.Most)
		}
		b := make([]byte, s.Count*chunk.PieceSize)
		if err := read(b, s.From*chunk.PieceSize); err != nil {
			return err
		}
		if m.kept == nil {
			m.kept = map[int64][]byte{}
		}
		for i := range s.Count {
			if _, ok := m.kept[s.From+int64(i)]; ok {
				return fmt.Errorf("%w: place %d is kept twice", ErrRecipe, s.From+int64(i))
			}
			m.kept[s.From+int64(i)] = append(m.pieceRoom(), b[i*chunk.PieceSize:(i+1)*chunk.PieceSize]...)
		}
	}
	m.peak = max(m.peak, len(m.kept))
	return nil
}

// pieceRoom is memory for one piece, which is used again. Pieces do not share memory, or one that is kept would keep all of it.
func (m *Memory) pieceRoom() []byte {
	if n := len(m.free) - 1; n >= 0 {
		b := m.free[n]
		m.free = m.free[:n]
		return b[:0]
	}
	return make([]byte, 0, chunk.PieceSize)
}
