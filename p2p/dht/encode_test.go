package dht

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// TestEncodeIsCBOR: the bytes that are signed are those of any encoder of the
// deterministic encoding.
func TestEncodeIsCBOR(t *testing.T) {
	number := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64}), rapid.Uint64())
	key := rapid.Custom(func(t *rapid.T) (k p2p.Key) {
		copy(k[:], rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "bytes"))
		return k
	})
	version := rapid.Custom(func(t *rapid.T) Version {
		return NewVersion(number.Draw(t, "number"), nil)
	})
	public := rapid.SampledFrom([]ed25519.PublicKey{nil, bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), {3}})
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			Address: Address{key.Draw(t, "location"), key.Draw(t, "domain"), key.Draw(t, "content"), version.Draw(t, "version")},
			Kind:    Kind(rapid.Byte().Draw(t, "kind")), Sum: key.Draw(t, "sum"), Size: uint32(number.Draw(t, "size")),
			Based: rapid.SliceOfN(version, 0, 30).Draw(t, "based"), TTL: uint32(number.Draw(t, "TTL")), Seq: number.Draw(t, "seq"),
			Prepared: rapid.Bool().Draw(t, "prepared"), Protect: Protect(rapid.Byte().Draw(t, "protect")),
			Owner: public.Draw(t, "owner"), Author: public.Draw(t, "author"),
		}
		want, err := wire.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, h.encode()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
