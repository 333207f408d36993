package server

import (
	"encoding/base64"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/swarm"
	"github.com/shoal-p2p/shoal/p2p/swarm/picker"
)

func bitmap(n int, pieces ...int) *picker.Bitmap {
	b := picker.NewBitmap(n)
	for _, p := range pieces {
		b.Set(p)
	}
	return b
}

// TestShares: a column is full only if all of it is there, and empty only if nothing is.
func TestShares(t *testing.T) {
	nearly := picker.NewBitmap(1000)
	nearly.SetRange(0, 998)
	for _, row := range []struct {
		have          *picker.Bitmap
		each, columns int
		want          []byte
	}{
		{bitmap(3, 0, 2), 1, 3, []byte{255, 0, 255}},
		{bitmap(5, 0, 1, 2), 2, 3, []byte{255, 127, 0}},
		{bitmap(5, 4), 2, 3, []byte{0, 0, 255}},
		{nearly, 1000, 1, []byte{253}},
		{bitmap(1000, 7), 1000, 1, []byte{1}},
	} {
		got, err := base64.StdEncoding.DecodeString(shares(row.have, row.each, row.columns))
		if err != nil || !slices.Equal(got, row.want) {
			t.Errorf("%d in columns of %d: %v, %v, want %v", row.have.Len(), row.each, got, err, row.want)
		}
	}
}

func TestOrigins(t *testing.T) {
	p := swarm.Picture{Status: swarm.Status{State: swarm.StateDownloading, Pieces: 7}, Have: bitmap(7, 0, 1, 2, 3, 6), From: []uint16{1, 1, 0, 2, 0, 0, 2}}
	for each, want := range map[int][][]int{
		1: {{1, 2}, {0, 1}, {2, 1}, {missing, 2}, {2, 1}},
		3: {{1, 1}, {2, 2}},
		7: {{1, 1}},
	} {
		got := origins(p, each, (7+each-1)/each)
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%d in a column: %v, want %v", each, got, want)
		}
	}
	p.From = nil
	if got := origins(p, 1, 7); got == nil || len(got) != 0 {
		t.Errorf("of what is not known: %v", got)
	}
}
