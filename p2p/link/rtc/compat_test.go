package rtc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/shoal-p2p/shoal/p2p/link"
)

// older is the other end as any WebRTC implementation is it: pion's own PeerConnection,
// as earlier versions used it.
type older struct {
	pc     *webrtc.PeerConnection
	opened [link.Channels]chan io.ReadWriteCloser
	state  chan webrtc.PeerConnectionState
}

func newOlder(t *testing.T) *older {
	t.Helper()
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.DetachDataChannels()
	s.EnableSCTPZeroChecksum(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetICETimeouts(time.Second, 2*time.Second, 200*time.Millisecond)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	o := &older{pc: pc, state: make(chan webrtc.PeerConnectionState, 10)}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) { o.state <- state })
	for ch := range link.Channels {
		id, yes, ordered := uint16(ch), true, ch != unordered
		dc, err := pc.CreateDataChannel(fmt.Sprint(ch), &webrtc.DataChannelInit{ID: &id, Negotiated: &yes, Ordered: &ordered})
		if err != nil {
			t.Fatal(err)
		}
		o.opened[ch] = make(chan io.ReadWriteCloser, 1)
		dc.OnOpen(func() {
			if raw, err := dc.Detach(); err == nil {
				o.opened[ch] <- raw
			}
		})
	}
	return o
}

func (o *older) gathered(t *testing.T, d webrtc.SessionDescription, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	done := webrtc.GatheringCompletePromise(o.pc)
	if err := o.pc.SetLocalDescription(d); err != nil {
		t.Fatal(err)
	}
	<-done
	return o.pc.LocalDescription().SDP
}

// meet connects a node to a PeerConnection, one of which offers.
func meet(t *testing.T, n *testNode, o *older, offering bool) *carrier {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), handshakeTimeout)
	defer cancel()
	var s *session
	if offering {
		var err error
		if s, err = n.newSession(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if err := o.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: s.local.sdp()}); err != nil {
			t.Fatal(err)
		}
		d, err := o.pc.CreateAnswer(nil)
		remote, err := parseSDP(o.gathered(t, d, err))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.accept(remote); err != nil {
			t.Fatal(err)
		}
	} else {
		d, err := o.pc.CreateOffer(nil)
		remote, err := parseSDP(o.gathered(t, d, err))
		if err != nil {
			t.Fatal(err)
		}
		if s, err = n.newSession(ctx, &remote); err != nil {
			t.Fatal(err)
		}
		if err := o.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: s.local.sdp()}); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A node and a PeerConnection understand each other, whoever offers and whoever leaves
// first.
func TestPeerConnection(t *testing.T) {
	t.Parallel()
	for _, offering := range []bool{false, true} {
		for _, leaving := range []bool{false, true} {
			t.Run(fmt.Sprintf("offering %v, leaving %v", offering, leaving), func(t *testing.T) {
				t.Parallel()
				q := quiet{rest: 400 * time.Millisecond, retry: 100 * time.Millisecond, gone: time.Second}
				n, o := newQuietNode(t, 1, q, nil), newOlder(t)
				c := meet(t, n, o, offering)
				var channels [link.Channels]io.ReadWriteCloser
				for ch := range channels {
					channels[ch] = <-o.opened[ch]
					exchange(t, c, ch, channels[ch])
				}
				time.Sleep(2 * q.gone) // neither takes the other's silence for its end
				exchange(t, c, 0, channels[0])
				if leaving {
					_ = c.Close()
					if _, err := channels[0].Read(make([]byte, 100)); err == nil {
						t.Error("the PeerConnection does not notice that the node has left")
					}
					return
				}
				go func() { _ = o.pc.GracefulClose() }()
				if _, err := c.Receive(0, make([]byte, 100)); err == nil {
					t.Error("the node does not notice that the PeerConnection has left")
				}
			})
		}
	}
}

// exchange sends messages of all sizes there and back.
func exchange(t *testing.T, c *carrier, ch int, other io.ReadWriter) {
	t.Helper()
	buf := make([]byte, link.MaxFrame)
	for i, n := range []int{1, 100, 1156, 1157, link.MaxFrame} {
		want := bytes.Repeat([]byte{byte(ch), byte(i), byte(n)}, n)[:n]
		if err := c.Send(ch, want); err != nil {
			t.Fatal(err)
		}
		got, err := other.Read(buf)
		if err != nil || !bytes.Equal(buf[:got], want) {
			t.Fatalf("channel %d: %d bytes arrived of %d, %v", ch, got, n, err)
		}
		if _, err := other.Write(want); err != nil {
			t.Fatal(err)
		}
		got, err = c.Receive(ch, buf)
		if err != nil || !bytes.Equal(buf[:got], want) {
			t.Fatalf("channel %d: %d bytes came back of %d, %v", ch, got, n, err)
		}
	}
}
