package dht

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
)

// MaxBatch is how many headers one signature covers at most.
const MaxBatch = 1024

// signAtOnce is how many headers this node signs at once: with more of them a signature would
// be cheaper than the hashes are that each record carries to the root.
const signAtOnce = 256

// signContext says what an author's signature is about.
const signContext = "shoal dht batch 1"

// Proof is an author's signature over a batch of headers, and the way from one
// header to the root of the batch's tree: the Merkle tree of RFC 9162, section 2.1,
// so that a signature, which costs as much as hashing many headers, is made and checked
// once for a batch, and each header can still be shown alone.
type Proof struct {
	Sig   []byte `cbor:"1,keyasint"`
	Index uint32 `cbor:"2,keyasint,omitempty"` // of the header in its batch
	Count uint32 `cbor:"3,keyasint"`           // headers in the batch
	Path  []byte `cbor:"4,keyasint,omitempty"` // hashes of 32 bytes beside the way to the root, lowest first
}

// leafHash and nodeHash cannot be mistaken for each other.
func leafHash(b []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte{0}, b...))
}

func nodeHash(left, right [sha256.Size]byte) [sha256.Size]byte {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Sign signs records by their headers, as their author in a network: it sets Author,
// Sum and Size (unless a record is a change of a header) and Proof. At most signAtOnce
// records share a signature.
func Sign(author p2p.Identity, network p2p.ID, records []Record) {
	for len(records) > 0 {
		n := min(len(records), signAtOnce)
		signBatch(author, network, records[:n])
		records = records[n:]
	}
}

func signBatch(author p2p.Identity, network p2p.ID, records []Record) {
	leaves := make([][sha256.Size]byte, len(records))
	for i := range records {
		r := &records[i]
		r.Author = author.PublicKey()
		if !r.IsHeader() {
			r.Sum, r.Size = SumOf(r.Value), uint32(len(r.Value))
		}
		leaves[i] = r.hash()
	}
	root, paths := tree(leaves)
	sig := author.Sign(signContext, rootMessage(network, root, len(records)))
	for i := range records {
		records[i].Proof = Proof{Sig: sig, Index: uint32(i), Count: uint32(len(records)), Path: paths[i]}
	}
}

// rootMessage is what is signed.
func rootMessage(network p2p.ID, root [sha256.Size]byte, count int) []byte {
	b := make([]byte, 0, len(network)+len(root)+4)
	b = append(append(b, network[:]...), root[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(count))
}

// tree returns the root over leaves, and the path of each.
func tree(leaves [][sha256.Size]byte) (root [sha256.Size]byte, paths [][]byte) {
	paths = make([][]byte, len(leaves))
	steps := bits.Len(uint(len(leaves) - 1))
	room := make([]byte, len(leaves)*steps*sha256.Size) // one piece for all paths
	for i := 0; steps > 0 && i < len(paths); i++ {
		paths[i], room = room[:0:steps*sha256.Size], room[steps*sha256.Size:]
	}
	// under[i] are the leaves below node i of the level.
	under := make([][]int, len(leaves))
	for i := range leaves {
		under[i] = []int{i}
	}
	level := leaves
	for len(level) > 1 {
		var up [][sha256.Size]byte
		var upUnder [][]int
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) { // the last one has no sibling and moves up as it is
				up, upUnder = append(up, level[i]), append(upUnder, under[i])
				continue
			}
			for _, leaf := range under[i] {
				paths[leaf] = append(paths[leaf], level[i+1][:]...)
			}
			for _, leaf := range under[i+1] {
				paths[leaf] = append(paths[leaf], level[i][:]...)
			}
			up = append(up, nodeHash(level[i], level[i+1]))
			upUnder = append(upUnder, append(under[i], under[i+1]...))
		}
		level, under = up, upUnder
	}
	return level[0], paths
}

// root returns the root of the tree in which leaf is where the proof says; ok is
// false where there is no such tree. It is the algorithm of RFC 9162, section 2.1.3.2.
func (p Proof) root(leaf [sha256.Size]byte) (root [sha256.Size]byte, ok bool) {
	if p.Count == 0 || p.Count > MaxBatch || p.Index >= p.Count || len(p.Path)%sha256.Size != 0 || len(p.Path) > bits.Len(MaxBatch)*sha256.Size {
		return root, false
	}
	fn, sn := p.Index, p.Count-1
	root = leaf
	for step := range slices.Chunk(p.Path, sha256.Size) {
		if sn == 0 {
			return root, false
		}
		sibling := [sha256.Size]byte(step)
		if fn&1 == 1 || fn == sn {
			root = nodeHash(sibling, root)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			root = nodeHash(root, sibling)
		}
		fn, sn = fn>>1, sn>>1
	}
	return root, sn == 0
}

// Checker checks records, and each signature of a batch once. It is for one
// goroutine.
type Checker struct {
	Network p2p.ID
	known   map[signature]bool
}

// signature is one that was checked.
type signature struct {
	author [ed25519.PublicKeySize]byte
	sig    [ed25519.SignatureSize]byte
	root   [sha256.Size]byte
	count  uint32
}

// maxKnown bounds what a Checker remembers.
const maxKnown = 4096

// Check reports what is wrong with r: ErrMalformed or ErrSignature, wrapped.
func (c *Checker) Check(r Record) error {
	if err := r.check(); err != nil {
		return err
	}
	root, ok := r.Proof.root(r.hash())
	if !ok || len(r.Proof.Sig) != ed25519.SignatureSize {
		return fmt.Errorf("%w: header %d of %d", ErrSignature, r.Proof.Index, r.Proof.Count)
	}
	s := signature{[ed25519.PublicKeySize]byte(r.Author), [ed25519.SignatureSize]byte(r.Proof.Sig), root, r.Proof.Count}
	good, seen := c.known[s]
	if !seen {
		good = p2p.Verify(r.Author, signContext, rootMessage(c.Network, root, int(r.Proof.Count)), r.Proof.Sig)
		if c.known == nil || len(c.known) >= maxKnown {
			c.known = map[signature]bool{}
		}
		c.known[s] = good
	}
	if !good {
		return fmt.Errorf("%w: %s", ErrSignature, p2p.IDOf(r.Author).Short())
	}
	return nil
}
