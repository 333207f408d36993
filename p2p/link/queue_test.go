package link

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p/wire"
)

// tape is a carrier that keeps what is sent.
type tape struct {
	Carrier
	messages [][]byte
}

func (r *tape) Send(_ int, msg []byte) error {
	r.messages = append(r.messages, slices.Clone(msg))
	return nil
}

// Single frames that wait together share messages: all arrive in their order, no
// message is longer than a packet unless one frame is, and no two neighbours
// would have fitted into one.
func TestLooseFramesShareMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent, got []byte
		for id := range rapid.IntRange(1, 100).Draw(t, "frames") {
			size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, shortBody)).Draw(t, "size")
			sent = wire.AppendFrame(sent, wire.Frame{Type: wire.Reply, Stream: uint64(id), Payload: make([]byte, size)})
		}
		r := &tape{}
		l := &Link{carrier: r}
		q := &l.queues[calls]
		q.init(l, calls)
		if err := q.sendLoose(slices.Clone(sent)); err != nil {
			t.Fatal(err)
		}
		for i, msg := range r.messages {
			first, rest, err := wire.ParseFrame(msg)
			if err != nil {
				t.Fatal(err)
			}
			if len(msg) > MaxPacket || len(msg) > packetful && len(rest) > 0 {
				t.Errorf("a message of %d bytes", len(msg))
			}
			size := len(wire.AppendFrame(nil, first))
			if i > 0 && len(r.messages[i-1])+size <= packetful {
				t.Errorf("a message of %d bytes ends before a frame of %d", len(r.messages[i-1]), size)
			}
			got = append(got, msg...)
		}
		if !slices.Equal(got, sent) {
			t.Error("the frames are not the same")
		}
	})
}

// A DATA frame of the most bytes makes a message that fills its packets, has room
// for the frames before it, and for a FIN behind it in one message.
func TestFullMessages(t *testing.T) {
	for _, packet := range []int{0, 100, packetful, 1400, 8096, 8192, 1 << 20} {
		l := &Link{full: fullMessage(packet)}
		if l.full > MaxFrame || l.full < MaxFrame/3 || l.full%packetful != 0 && l.full%packet != 0 {
			t.Errorf("packets of %d bytes: a full message has %d bytes", packet, l.full)
		}
		for _, id := range []uint64{1, 127, 128, 1 << 20, 1<<64 - 1} {
			data := wire.AppendFrame(nil, wire.Frame{Type: wire.Data, Stream: id, Payload: make([]byte, l.maxData(id))})
			if len(data) != l.full {
				t.Errorf("stream %d: a message of %d bytes, not %d", id, len(data), l.full)
			}
			fin := wire.AppendFrame(data, wire.Frame{Type: wire.Fin, Stream: id})
			if len(fin) > MaxFrame || headroom+l.maxData(id)+len(fin)-len(data) > MaxFrame {
				t.Errorf("stream %d: no room for %d bytes of a fin", id, len(fin)-len(data))
			}
		}
	}
}

// While many calls are under way, what sends their frames lets others add to a
// message, and still ends when nobody does.
func TestManyCallsShareMessages(t *testing.T) {
	l := &Link{waiting: map[uint64]*call{}, carrier: &tape{}}
	q := &l.queues[calls]
	q.init(l, calls)
	if q.gather(); l.crowded() {
		t.Error("no call is a crowd")
	}
	for id := range uint64(crowd) {
		l.waiting[id] = &call{}
	}
	if q.gather(); !l.crowded() {
		t.Errorf("%d calls are no crowd", crowd)
	}
}
