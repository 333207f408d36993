package reconcile

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// play lets people and the network do n random things, and then everything calm
// down, as often as rounds says.
func play(w *world, rounds, n int) {
	for range rounds {
		for range n {
			w.anything()
		}
		w.calm()
	}
}

// anything is one event in the life of some node.
func (w *world) anything() {
	n := w.nodes[w.roll(len(w.nodes))]
	w.seq++
	switch k := w.roll(20); {
	case k < 9:
		w.person(n)
	case k < 13:
		n.reconcile(1<<30, false)
	case k < 14:
		n.reconcile(w.roll(5)-1, w.roll(2) == 0)
	case k < 19:
		w.deliver(n)
	default:
		if w.roll(4) == 0 {
			n.loseState()
		}
	}
}

// deliver brings some messages, in any order, some twice, some never.
func (w *world) deliver(n *modelNode) {
	for range w.roll(6) {
		if len(n.inbox) == 0 {
			return
		}
		i := w.roll(len(n.inbox))
		fate := w.roll(8)
		if fate != 0 {
			n.receive(n.inbox[i])
		}
		if fate != 1 {
			n.inbox = slices.Delete(n.inbox, i, i+1)
		}
	}
}

// person is something that somebody does to files.
func (w *world) person(n *modelNode) {
	var visible []string
	for _, p := range slices.Sorted(maps.Keys(n.disk)) {
		if !inAside(p) {
			visible = append(visible, p)
		}
	}
	dirs := []string{""}
	for _, p := range visible {
		if n.disk[p].Kind == KindDir && len(p) < 40 {
			dirs = append(dirs, p)
		}
	}
	fresh := join(dirs[w.roll(len(dirs))], []string{"a", "b.txt", "c", "d"}[w.roll(4)])
	content := "content " + strconv.Itoa(w.seq)
	if w.roll(8) == 0 {
		content = "content " + strconv.Itoa(w.roll(4))
	}
	k := w.roll(16)
	if len(visible) == 0 || k < 3 {
		if _, exists := n.disk[fresh]; !exists {
			n.write(fresh, content)
		}
		return
	}
	p := visible[w.roll(len(visible))]
	switch {
	case k < 7:
		n.write(p, content)
	case k < 9:
		n.mkdir(fresh)
	case k < 11:
		n.remove(p)
	case k < 14:
		n.rename(p, fresh)
	case k < 15:
		n.swap(p, visible[w.roll(len(visible))])
	default:
		n.chmod(p, w.roll(3))
	}
}

// TestNothingIsLost is the property that all is for: whatever people do, and the
// network, and crashes, in the end all nodes have the same tree, in which every
// content is that was ever recorded, unless a person replaced or deleted it where
// it was seen.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roll := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "d") }
		w := newWorld(t, roll, 2+roll(4))
		w.twice = roll(4) == 0
		play(w, 1+roll(3), 30)
	})
}

// TestSeeds plays longer games, and those again that have once been lost.
func TestSeeds(t *testing.T) {
	seeds := slices.Clone(lostOnce)
	for seed := range uint64(*games) {
		seeds = append(seeds, *firstGame+seed)
	}
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { playSeed(t, seed) })
	}
}

func playSeed(t failer, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(t, r.IntN, 2+r.IntN(4))
	play(w, 3, 20+r.IntN(80))
}

// TestOneByOne: if everybody waits until all have everything, then the result is
// what one disk would have had, and nothing is a conflict.
func TestOneByOne(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 11))
		w := newWorld(t, r.IntN, 3)
		for range 25 {
			w.seq++
			n := w.nodes[r.IntN(3)]
			w.person(n)
			before := n.tree()
			w.calm()
			if after := n.tree(); !maps.Equal(before, after) {
				w.fail("seed %d: the person's own disk was changed:\n%v\n%v", seed, before, after)
			}
			if told := n.global.View().Conflicts; len(told) > 0 {
				w.fail("seed %d: conflict %v", seed, told)
			}
		}
	}
}

// TestCrashInPromotion: the version that won is deleted, so that the one beside it takes its name;
// its node crashes while it carries that out, and somebody edits what stood there still.
func TestCrashInPromotion(t *testing.T) {
	for crash := range 5 {
		for _, lose := range []bool{false, true} {
			w := newWorld(t, func(int) int { return 0 }, 2)
			winner, loser := w.nodes[0], w.nodes[1]
			winner.write("f", "one")
			w.calm()
			winner.write("f", "two")
			loser.write("f", "three")
			w.calm()
			if winner.disk["f"].Hash != hashOf("two") {
				winner, loser = loser, winner
			}
			winner.remove("f")
			loser.inbox = nil
			for _, e := range winner.reconcile(0, false).Entries {
				if _, known := loser.global[e.ID]; known { // not the one that keeps the other version
					loser.receive(e)
				}
			}
			loser.reconcile(crash, lose)
			loser.write("f", "four")
			loser.reconcile(1<<30, false)
			w.calm()
		}
	}
}
