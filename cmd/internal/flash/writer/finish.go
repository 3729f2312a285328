package writer

import (
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/protocol"
)

// finishDisk writes what comes last, when all else was read back: what lies behind the image, then the first
// chunk with the partition table.
func (s *clientSession) finishDisk() error {
	if err := s.drainChunks(); err != nil {
		return err
	}
	end := s.writeLast
	if s.job.Check {
		end = s.compareExtents
	}
	if err := end(); err != nil {
		return err
	}
	s.account.Memory = peakMemory()
	return s.w.Write(protocol.Done, protocol.Marshal(s.account))
}

// drainChunks waits until every chunk but the first is settled.
func (s *clientSession) drainChunks() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		select {
		case err := <-s.failed:
			return err
		default:
		}
		waiting, missing := s.open, int64(len(s.announced))
		if s.first != nil {
			waiting--
		}
		if s.firstZero {
			waiting--
			missing--
		}
		if waiting == 0 {
			return nil
		}
		if waiting == missing { // all that is left waits for data that will not come
			return fmt.Errorf("%w: finished while %d chunks were missing", protocol.ErrProtocol, missing)
		}
		s.settled.Wait()
	}
}

// compareExtents counts the extents that the disk does not have.
func (s *clientSession) compareExtents() error {
	scratch := alignedBuffer(chunk.Size + bufferAlign)
	for _, e := range s.extents {
		at, err := firstDifference(s.disk, e, scratch)
		if err != nil {
			return asFailure(protocol.KindDisk, fmt.Errorf("reading %s at %d: %w", s.job.Disk, e.Off, err))
		}
		if at >= 0 {
			s.account.Extents++
		}
	}
	return nil
}

// writeLast puts the extents and the first chunk, each after what stands before it was read back.
func (s *clientSession) writeLast() error {
	scratch := alignedBuffer(chunk.Size + bufferAlign)
	for _, e := range append(s.blanks, s.extents...) {
		if err := s.ensureExtent(e, scratch); err != nil {
			return err
		}
	}
	switch {
	case s.first != nil:
		if err := s.ensureExtent(Extent{Off: 0, Data: s.first}, scratch); err != nil {
			return err
		}
		s.account.Written++
	case s.firstZero:
		if err := s.ensureExtent(Extent{Off: 0, Len: s.announced[0].Len}, scratch); err != nil {
			return err
		}
		s.account.Zeroed++
	}
	// All of it was flushed when it was written or when the disk was opened: this costs next to nothing, and holds
	// whatever else has written meanwhile.
	if err := s.disk.Flush(); err != nil {
		return asFailure(protocol.KindDisk, fmt.Errorf("flushing %s: %w", s.job.Disk, err))
	}
	if t, ok := s.disk.(interface{ Reread() error }); ok {
		// Where the kernel keeps the old partitions until the reboot, the disk is right all the same.
		_ = t.Reread()
	}
	if err := s.own.endWriting(s.job.Session); err != nil { // the disk is right, and stays marked as one that is neither old nor new
		return asFailure(protocol.KindDisk, fmt.Errorf("noting that %s was read back: %w", s.job.Disk, err))
	}
	return nil
}

// ensureExtent writes an extent unless the disk holds it already.
func (s *clientSession) ensureExtent(e Extent, scratch []byte) error {
	if at, err := firstDifference(s.disk, e, scratch); err == nil && at < 0 { // what cannot be read is written
		return nil
	}
	if err := s.beginWriting(); err != nil {
		return err
	}
	retried, err := putExtents(s.disk, []Extent{e}, scratch)
	if err != nil {
		return asFailure(protocol.KindDisk, fmt.Errorf("%s: %w", s.job.Disk, err))
	}
	s.account.Retried += int64(retried)
	s.account.Bytes += int64(e.byteSize())
	return nil
}
