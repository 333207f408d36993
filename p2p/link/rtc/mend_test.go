package rtc

import (
	"bytes"
	"slices"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/link/rtc/repair"
)

// TestMend: a record that the peer misses goes out again; who does not know the
// passwords gets nothing; and what overtakes waits for what it overtook.
func TestMend(t *testing.T) {
	var sent, came [][]byte
	ours, theirs := repair.NewKeys("mine", "a", "theirs", "b"), repair.NewKeys("theirs", "b", "mine", "a")
	m := newMending(ours,
		func(b []byte) { came = append(came, slices.Clone(b)) }, func(b []byte) { sent = append(sent, slices.Clone(b)) })
	defer m.end()
	record := func(n byte) []byte { return []byte{23, 254, 253, 0, 1, 0, 0, 0, 0, 0, n, 0, 1, n} }
	for n := byte(1); n <= 3; n++ {
		m.sent(record(n))
	}
	report := repair.Message{Kind: repair.Report, Ask: true, Stamp: 1, Base: 1, End: 3, Missing: []byte{1}}
	forger := repair.NewKeys("theirs", "wrong", "mine", "a")
	if m.arrive(forger.Seal(nil, report)); len(sent) != 0 {
		t.Errorf("a forged report was answered with %x", sent)
	}
	m.arrive(theirs.Seal(nil, report))
	if len(sent) != 2 || !bytes.Equal(sent[0], record(1)) {
		t.Errorf("sent %x, want record 1 and a Head", sent)
	}
	pass := func(n byte) {
		if b := record(n); !m.arrive(b) {
			came = append(came, b)
		}
	}
	for _, n := range []byte{1, 3, 4} {
		pass(n)
	}
	if len(came) != 1 {
		t.Errorf("%d records were handed on, want 1", len(came))
	}
	pass(2)
	if len(came) != 4 || !bytes.Equal(came[3], record(4)) {
		t.Errorf("handed on: %x", came)
	}
}
