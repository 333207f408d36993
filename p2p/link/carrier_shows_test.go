package link

import "testing"

// TestShowsTo: to whom it is concealed, nothing is shown of this node.
func TestShowsTo(t *testing.T) {
	pass, invite := [16]byte{1}, [16]byte{2}
	l := Local{Proof: func(int) []byte { return []byte("certificate") }}
	if string(l.ShowsTo(pass, MaxProof)) != "certificate" {
		t.Error("without a rule nothing is shown")
	}
	l.Conceals = func(id [16]byte) bool { return id == pass || id == [16]byte{} }
	for id, want := range map[[16]byte]string{pass: "", invite: "certificate", {}: "certificate"} {
		if got := string(l.ShowsTo(id, MaxProof)); got != want {
			t.Errorf("%x: %q, want %q", id, got, want)
		}
	}
}
