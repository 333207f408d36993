package main

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/pion/webrtc/v4"
)

// stockMessage is the size of messages, and stockHigh and stockLow the bounds between
// which the sender keeps what waits, as in pion's own example of flow control.
const (
	stockMessage = 64 << 10
	stockHigh    = 1 << 20
	stockLow     = 512 << 10
)

// stock is a data channel as pion makes it by default.
type stock struct {
	pc   *webrtc.PeerConnection
	dc   *webrtc.DataChannel
	low  chan struct{}
	acks chan struct{}
}

// gathered is pc's description once all candidates are in it.
func gathered(pc *webrtc.PeerConnection, d webrtc.SessionDescription) (*webrtc.SessionDescription, error) {
	done := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return nil, err
	}
	<-done
	return pc.LocalDescription(), nil
}

// newStock is a PeerConnection with default settings, which also runs where there is
// nothing but a loopback interface.
func newStock() (*webrtc.PeerConnection, error) {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	return webrtc.NewAPI(webrtc.WithSettingEngine(s)).NewPeerConnection(webrtc.Configuration{})
}

func dialStock(ctx context.Context, t *talk) (*stock, error) {
	pc, err := newStock()
	if err != nil {
		return nil, err
	}
	dc, err := pc.CreateDataChannel("bulk", nil)
	if err != nil {
		return nil, err
	}
	s := &stock{pc: pc, dc: dc, low: make(chan struct{}, 1), acks: make(chan struct{}, 1)}
	opened := make(chan struct{})
	dc.OnOpen(func() { close(opened) })
	dc.OnMessage(func(webrtc.DataChannelMessage) { s.acks <- struct{}{} })
	dc.SetBufferedAmountLowThreshold(stockLow)
	dc.OnBufferedAmountLow(func() {
		select {
		case s.low <- struct{}{}:
		default:
		}
	})
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	local, err := gathered(pc, offer)
	if err != nil {
		return nil, err
	}
	var answer webrtc.SessionDescription
	if err := t.out.Encode(local); err != nil {
		return nil, err
	}
	if err := t.in.Decode(&answer); err != nil {
		return nil, err
	}
	if err := pc.SetRemoteDescription(answer); err != nil {
		return nil, err
	}
	select {
	case <-opened:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send implements sender. The first message says how many bytes follow.
func (s *stock) send(ctx context.Context, n int64) error {
	if err := s.dc.Send(binary.BigEndian.AppendUint64(nil, uint64(n))); err != nil {
		return err
	}
	buf := make([]byte, stockMessage)
	for ; n > 0; n -= stockMessage {
		if err := s.dc.Send(buf[:min(n, stockMessage)]); err != nil {
			return err
		}
		if s.dc.BufferedAmount() > stockHigh {
			select {
			case <-s.low:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	select {
	case <-s.acks:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stock) close() error { return s.pc.Close() }

func farStock(_ context.Context, t *talk, _ []string) error {
	pc, err := newStock()
	if err != nil {
		return err
	}
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		var left int64
		dc.OnMessage(func(m webrtc.DataChannelMessage) {
			if left == 0 {
				left = int64(binary.BigEndian.Uint64(m.Data))
				return
			}
			if left -= int64(len(m.Data)); left == 0 {
				_ = dc.Send([]byte{1}) // the near end says if it does not come
			}
		})
	})
	var offer webrtc.SessionDescription
	if err := t.in.Decode(&offer); err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	if err := pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	local, err := gathered(pc, answer)
	if err != nil {
		return err
	}
	if err := t.out.Encode(local); err != nil {
		return err
	}
	if err := t.answer(); err != nil {
		return err
	}
	return pc.Close()
}
