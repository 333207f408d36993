package link

import "github.com/shoal-p2p/shoal/p2p/wire"

// A chunk holds one message of a lane, so that bytes of a stream are copied once
// on their way out, from the writer, and once on their way in, to the reader.
// Outgoing payload leaves room for the frame headers before it, OPEN, STOP and
// DATA at the most; a FIN fits behind a full message.
type chunk struct {
	r, w int // the payload that is left is buf[r:w]
	buf  [MaxFrame]byte
}

const headroom = 160

// fullMessage is the longest message of whole packets, with room in its chunk for
// other frames.
func fullMessage(packet int) int {
	if most := MaxFrame - headroom - wire.MaxHeader; 0 < packet && packet <= most {
		return most / packet * packet
	}
	return MaxFrame / packetful * packetful
}

// maxData is the most payload of one DATA frame of a stream or body: with the
// frame's header, and without others in its message, it makes a full message.
func (l *Link) maxData(id uint64) int {
	var head [wire.MaxHeader]byte
	return l.full - len(wire.AppendHeader(head[:0], wire.Frame{Type: wire.Data, Stream: id}, l.full))
}

func (l *Link) chunk() *chunk { return l.chunks.Get().(*chunk) }

func (l *Link) recycle(c *chunk) {
	c.r, c.w = 0, 0
	l.chunks.Put(c)
}

// chunks is a first-in-first-out queue of chunks that reuses its array.
type chunks struct {
	list []*chunk
	head int
}

func (q *chunks) len() int { return len(q.list) - q.head }

func (q *chunks) first() *chunk { return q.list[q.head] }

// last returns the newest chunk, nil if there is none.
func (q *chunks) last() *chunk {
	if q.len() == 0 {
		return nil
	}
	return q.list[len(q.list)-1]
}

func (q *chunks) push(c *chunk) {
	if q.head > 0 && len(q.list) == cap(q.list) {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, c)
}

func (q *chunks) pop() *chunk {
	c := q.list[q.head]
	q.list[q.head] = nil
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return c
}

func (q *chunks) drop() { *q = chunks{} }
