// Package protocol is what groundhog and the groundhog-writer on the device say to each
// other, over the line of package wire. Numbers are big-endian.
//
//	client                              writer
//	Open      JSON: the job        ->
//	                               <-   Opened     JSON: the disk
//	Announce  chunks of the image  ->               in any order, any number a frame
//	                               <-   Answers    for each: same, zeroed or needed
//	                               <-   Held       in place of needed, with the sums of the pieces that the disk has there
//	Data      a needed chunk       ->               or those of its pieces that differ
//	Scan      a range of the disk  ->               what lies there, wherever it belongs
//	                               <-   Scanned    for each chunk of it: the sums of its pieces
//	Build     a recipe for a chunk ->               and those of its pieces that the disk has nowhere
//	                               <-   Verified   numbers of chunks that were read back
//	Extent    bytes and a place    ->               what the disk has outside of the chunks: a table's backup
//	Blank     a place              ->               what has to be zero outside of the chunks
//	DirectKey a key, an address    ->               that the client would like to come by another line, too (package direct)
//	                               <-   DirectPort where to; the port is 0 where that cannot be
//	                               <-   DirectUp   somebody is there who has the key
//	DirectTurn                     ->               the last frame on this line; the others come on that one
//	Finish    that was all         ->               the first chunk is written now, last of all
//	                               <-   Done       JSON: the account
//	Ping                           <->  Ping        where nothing else was said for a while
//	                               <-   Failed     JSON: why it ends; nothing follows
//
// Data and Build are carried out in the order in which they come: what a recipe copies is read before anything that comes later is
// written. A chunk of zeros that was scanned is not zeroed before its Build.
//
// The sums of pieces are short. So a chunk that was made of pieces that were sent and the disk's own bytes may not be the chunk that was
// announced: then it is answered as needed once more, and sent whole. The first chunk is always sent whole.
//
// A chunk may be sent as the next bytes of a zstd stream; a connection has one such stream. It decodes to the image, from the byte on at
// which it began; of a stream that the pieces sent with recipes come in, to these alone, one behind the
// other. skip is how many decoded bytes come before the chunk and are dropped. The bytes that are sent end with the zstd block that
// has the chunk's last byte (RFC 8878, section 3.1.1.2), so the chunk can be decoded once they are there. If they do not fit into one frame,
// frames that are marked as a part come first.
//
// The writer keeps the first chunk's data until Finish, and writes it when all else was read back: the partition table is in it.
//
//	announce  8 number, 4 length, 1 zero (0 or 1), 32 sum    45 bytes, repeated
//	answers   8 number, 1 answer                              9 bytes, repeated
//	held      8 number, 8 sum of each piece
//	data      8 number, 1 encoding (0 raw, 1 zstd, 2 S2, 3 the stream; 128 more for pieces); then of pieces 32 which, of the
//	          stream 1 how (1 begins, 2 part) and 8 skip; the rest: the bytes
//	scan      8 first number, 8 how many, 1 keep (0 or 1)
//	scanned   8 number, 6 sum of each piece, nothing for zeros
//	build     8 number, 1 encoding; then of the stream as data has it; the recipe (package moved), the rest: the bytes
//	verified  8 number                                        8 bytes, repeated
//	extent    8 offset, the rest: the bytes, at most a chunk
//	blank     8 offset, 8 length
//	key       32, 16 address
//	port      2
package protocol

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"groundhog/cmd/internal/flash/chunk"
	"groundhog/cmd/internal/flash/wire"
)

// Types of frames.
const (
	Open wire.Type = iota + wire.Hello + 1
	Opened
	Announce
	Answers
	Held
	Data
	Verified
	Extent
	Blank
	Finish
	Done
	Ping
	Failed
	Scan
	Scanned
	Build
	DirectKey
	DirectPort
	DirectUp
	DirectTurn
)

// ErrProtocol is returned for a frame that means nothing.
var ErrProtocol = errors.New("not in the protocol")

// Job is what Open asks for.
type Job struct {
	Disk    string `json:"disk"`    // its path
	Size    int64  `json:"size"`    // bytes of the image; 0 where that is not known yet
	Who     string `json:"who"`     // for whoever finds the disk taken
	Session string `json:"session"` // of one run of the client, over all its connections
	Check   bool   `json:"check"`   // compare, write nothing
}

// Disk is what Opened answers.
type Disk struct {
	Size    int64  `json:"size"`    // bytes
	Block   int64  `json:"block"`   // logical block size in bytes
	Resumed bool   `json:"resumed"` // this session was the last to write: what it has verified is still there
	Last    string `json:"last"`    // which run was the last to write, each has another name; "" for none
	Room    int64  `json:"room"`    // bytes of memory for pieces that move
	Window  int64  `json:"window"`  // bytes of memory for a zstd stream's window, 0 for no streams
}

// Bounds of what a device says of its disk: no disk is larger, and none has other sectors. A plain file has blocks of 1.
const (
	maxDisk  = 1 << 60 // bytes
	maxBlock = 64 << 10
	maxLast  = 256 // bytes
)

// ReadDisk reads an Opened. It refuses numbers that no disk has: others calculate with them.
func ReadDisk(b []byte) (d Disk, err error) {
	if err := Unmarshal(b, &d); err != nil {
		return Disk{}, err
	}
	if !isDiskSize(d.Size, d.Block) || len(d.Last) > maxLast || d.Room < 0 || d.Room > maxDisk || d.Window < 0 || d.Window > maxDisk {
		return Disk{}, fmt.Errorf("%w: a disk of %d bytes in sectors of %d, %d bytes of memory", ErrProtocol, d.Size, d.Block, d.Room)
	}
	return d, nil
}

// isDiskSize reports whether a disk can have so many bytes in such sectors; a file in its place has sectors of 1.
func isDiskSize(size, block int64) bool {
	return size > 0 && size <= maxDisk && (block == 1 || block >= 512 && block <= maxBlock && block&(block-1) == 0)
}

// Account is what the writer did, in chunks and bytes.
type Account struct {
	Same    int64 `json:"same"`    // chunks that the disk had
	Written int64 `json:"written"` // chunks that were sent, written and read back
	Zeroed  int64 `json:"zeroed"`  // chunks that were zeroed and read back
	Retried int64 `json:"retried"` // chunks that took more than one try, or could not be read before they were written
	Bytes   int64 `json:"bytes"`   // written to the disk
	Memory  int64 `json:"memory"`  // the writer's peak, bytes
	Extents int64 `json:"extents"` // of a check: extents that differ
	Moved   int64 `json:"moved"`   // bytes that came from elsewhere on the disk
}

// ReadAccount reads a Done. It refuses numbers that no disk has.
func ReadAccount(b []byte) (a Account, err error) {
	if err := Unmarshal(b, &a); err != nil {
		return Account{}, err
	}
	for _, n := range []int64{a.Same, a.Written, a.Zeroed, a.Retried, a.Bytes, a.Memory, a.Extents, a.Moved} {
		if n < 0 || n > maxDisk {
			return Account{}, fmt.Errorf("%w: an account with %d in it", ErrProtocol, n)
		}
	}
	return a, nil
}

// Kind is what went wrong on the device.
type Kind string

const (
	KindRefused Kind = "refused" // nothing was written, and nothing will be
	KindBusy    Kind = "busy"    // another flash holds the device
	KindDisk    Kind = "disk"    // an I/O error, or the disk does not hold what it took
	KindData    Kind = "data"    // what came is not what was announced
	KindBug     Kind = "bug"     // what came is not in the protocol
)

// Failure is what Failed carries.
type Failure struct {
	Kind    Kind   `json:"kind"`
	Text    string `json:"text"`
	Writing bool   `json:"writing"` // the disk is neither the old nor the new one
}

func (f *Failure) Error() string { return "on the device: " + f.Text }

const chunkLen = 45

// MaxBatch is how many chunks one frame announces or answers at most.
const MaxBatch = 1024

// AppendChunk appends a chunk to the payload of an Announce.
func AppendChunk(b []byte, c chunk.Chunk) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.N))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Len))
	zero := byte(0)
	if c.Zero {
		zero = 1
	}
	return append(append(b, zero), c.Sum[:]...)
}

// maxNumber bounds a chunk's number: the offset behind it fits an int64.
const maxNumber = 1 << 40

// Chunks reads an Announce.
func Chunks(b []byte) ([]chunk.Chunk, error) {
	if len(b) == 0 || len(b)%chunkLen != 0 || len(b)/chunkLen > MaxBatch {
		return nil, fmt.Errorf("%w: announced in %d bytes", ErrProtocol, len(b))
	}
	all := make([]chunk.Chunk, 0, len(b)/chunkLen)
	for ; len(b) > 0; b = b[chunkLen:] {
		c := chunk.Chunk{N: int64(binary.BigEndian.Uint64(b)), Len: int(binary.BigEndian.Uint32(b[8:])), Zero: b[12] == 1, Sum: chunk.Sum(b[13:45])}
		if c.N < 0 || c.N >= maxNumber || c.Len <= 0 || c.Len > chunk.Size || b[12] > 1 {
			return nil, fmt.Errorf("%w: chunk %d of %d bytes", ErrProtocol, c.N, c.Len)
		}
		all = append(all, c)
	}
	return all, nil
}

// Answer is what the writer knows of an announced chunk.
type Answer byte

const (
	Same   Answer = iota + 1 // the disk holds it
	Zeroed                   // it was zeroed and read back
	Needed                   // the writer wants its data; in a check: the disk differs there
)

// Reply is an answer for one chunk.
type Reply struct {
	N      int64
	Answer Answer
}

const replyLen = 9

// AppendReply appends a reply to the payload of an Answers.
func AppendReply(b []byte, r Reply) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(r.N)), byte(r.Answer))
}

// Replies reads an Answers.
func Replies(b []byte) ([]Reply, error) {
	if len(b) == 0 || len(b)%replyLen != 0 {
		return nil, fmt.Errorf("%w: answers in %d bytes", ErrProtocol, len(b))
	}
	all := make([]Reply, 0, len(b)/replyLen)
	for ; len(b) > 0; b = b[replyLen:] {
		r := Reply{int64(binary.BigEndian.Uint64(b)), Answer(b[8])}
		if r.Answer < Same || r.Answer > Needed || r.N < 0 {
			return nil, fmt.Errorf("%w: answer %d", ErrProtocol, r.Answer)
		}
		all = append(all, r)
	}
	return all, nil
}

// Numbers reads a Verified.
func Numbers(b []byte) ([]int64, error) {
	if len(b) == 0 || len(b)%8 != 0 {
		return nil, fmt.Errorf("%w: numbers in %d bytes", ErrProtocol, len(b))
	}
	all := make([]int64, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		all = append(all, int64(binary.BigEndian.Uint64(b)))
	}
	return all, nil
}

// AppendHeld appends the payload of a Held: the pieces' sums as [chunk.AppendPieceSums] has them.
func AppendHeld(b []byte, n int64, sums []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(n)), sums...)
}

// ReadHeld reads a Held; the sums are part of b. Whether there are as many as the chunk has pieces is for the caller to check.
func ReadHeld(b []byte) (n int64, sums []byte, err error) {
	const most = chunk.Size / chunk.PieceSize * chunk.PieceSumLen
	if len(b) <= 8 || len(b) > 8+most || (len(b)-8)%chunk.PieceSumLen != 0 {
		return 0, nil, fmt.Errorf("%w: held, in %d bytes", ErrProtocol, len(b))
	}
	if n = int64(binary.BigEndian.Uint64(b)); n < 0 {
		return 0, nil, fmt.Errorf("%w: held: chunk %d", ErrProtocol, n)
	}
	return n, b[8:], nil
}

// Encoding is how a chunk's bytes are sent.
type Encoding byte

const (
	Raw      Encoding = iota
	Zstd              // a frame
	S2                // a block (https://github.com/klauspost/compress/tree/master/s2): less is saved, in a fraction of the time
	Streamed          // the next bytes of the connection's zstd stream

	// inPieces is added to an encoding where only some pieces of the chunk follow.
	inPieces Encoding = 128
)

// MaxWindow is the largest window of a zstd stream, in bytes: that of zstd -19. A decoder takes little more memory.
const MaxWindow = 8 << 20

// DataHead begins the payload of a Data; pieces is nil for a whole chunk.
func DataHead(n int64, e Encoding, pieces *chunk.Pieces) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 9+len(pieces)), uint64(n))
	if pieces == nil {
		return append(b, byte(e))
	}
	return append(append(b, byte(e|inPieces)), pieces[:]...)
}

// Stream says how the bytes of a stream make a chunk.
type Stream struct {
	Begins bool  // a new stream begins with these bytes
	Part   bool  // further bytes for the same chunk come with the next Data
	Skip   int64 // bytes that the stream decodes to before the chunk
}

// Bounds of a stream.
const (
	StreamHeadLen = 18      // bytes
	MaxStreamed   = 3 << 20 // bytes for one chunk
	MaxSkip       = 1 << 40 // bytes, most of which are zeros
)

const (
	streamBegins = 1 << iota
	streamPart
)

// StreamHead begins the payload of a Data whose bytes are a stream's.
func StreamHead(n int64, s Stream) []byte {
	b := append(binary.BigEndian.AppendUint64(make([]byte, 0, StreamHeadLen), uint64(n)), byte(Streamed), 0)
	if s.Begins {
		b[9] |= streamBegins
	}
	if s.Part {
		b[9] |= streamPart
	}
	return binary.BigEndian.AppendUint64(b, uint64(s.Skip))
}

// Packet is what a Data carries.
type Packet struct {
	N        int64
	Encoding Encoding
	Pieces   *chunk.Pieces // nil: the whole chunk
	Stream   Stream        // where they are a stream's
	Bytes    []byte
}

// ReadData reads a Data; the bytes are b's.
func ReadData(b []byte) (p Packet, err error) {
	if len(b) < 10 || Encoding(b[8])&^inPieces > Streamed || Encoding(b[8]) == Streamed|inPieces {
		return p, fmt.Errorf("%w: data in %d bytes", ErrProtocol, len(b))
	}
	if Encoding(b[8]) == Streamed {
		return readStreamed(b)
	}
	p = Packet{N: int64(binary.BigEndian.Uint64(b)), Encoding: Encoding(b[8]) &^ inPieces, Bytes: b[9:]}
	if Encoding(b[8])&inPieces != 0 {
		p.Pieces = new(chunk.Pieces)
		if len(p.Bytes) <= len(p.Pieces) {
			return p, fmt.Errorf("%w: pieces in %d bytes", ErrProtocol, len(b))
		}
		p.Bytes = p.Bytes[copy(p.Pieces[:], p.Bytes):]
	}
	return p, nil
}

func readStreamed(b []byte) (p Packet, err error) {
	if len(b) < StreamHeadLen || b[9] > streamBegins|streamPart {
		return p, fmt.Errorf("%w: a stream in %d bytes", ErrProtocol, len(b))
	}
	stream := Stream{Begins: b[9]&streamBegins != 0, Part: b[9]&streamPart != 0, Skip: int64(binary.BigEndian.Uint64(b[10:]))}
	if stream.Skip < 0 || stream.Skip > MaxSkip {
		return p, fmt.Errorf("%w: %d bytes of a stream to be skipped", ErrProtocol, stream.Skip)
	}
	return Packet{N: int64(binary.BigEndian.Uint64(b)), Encoding: Streamed, Stream: stream, Bytes: b[StreamHeadLen:]}, nil
}

// ReadExtent reads an Extent; the bytes are b's.
func ReadExtent(b []byte) (off int64, data []byte, err error) {
	if len(b) < 9 || len(b) > 8+chunk.Size {
		return 0, nil, fmt.Errorf("%w: an extent in %d bytes", ErrProtocol, len(b))
	}
	off = int64(binary.BigEndian.Uint64(b))
	if off < 0 {
		return 0, nil, fmt.Errorf("%w: an extent at %d", ErrProtocol, off)
	}
	return off, b[8:], nil
}

// maxBlank bounds what one Blank makes zero, in bytes.
const maxBlank = 64 << 20

// AppendBlank appends the payload of a Blank.
func AppendBlank(b []byte, off, n int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(off)), uint64(n))
}

// ReadBlank reads a Blank.
func ReadBlank(b []byte) (off, n int64, err error) {
	if len(b) != 16 {
		return 0, 0, fmt.Errorf("%w: a blank in %d bytes", ErrProtocol, len(b))
	}
	off, n = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
	if off < 0 || n <= 0 || n > maxBlank {
		return 0, 0, fmt.Errorf("%w: %d bytes to be blank at %d", ErrProtocol, n, off)
	}
	return off, n, nil
}

// Number is the payload of a Verified with one number, and the head of an Extent.
func Number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// Marshal is the payload of the frames that carry JSON.
func Marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types have nothing that cannot be encoded
	}
	return b
}

// maxJSON bounds a frame of JSON, in bytes.
const maxJSON = 64 << 10

// Unmarshal reads a frame of JSON.
func Unmarshal(b []byte, v any) error {
	if len(b) > maxJSON {
		return fmt.Errorf("%w: %d bytes of JSON", ErrProtocol, len(b))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}
