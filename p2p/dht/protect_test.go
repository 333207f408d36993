package dht

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// TestDemo1 is TomP2P's ExampleDomainProtection.exampleAllMaster, word for word: ALL and
// MASTER_PUBLIC_KEY, a domain whose master is peer 2.
func TestDemo1(t *testing.T) {
	peer1, peer2, peer3 := person(1), person(2), person(3)
	k := at(masterKey(peer2), "k")
	p := newReplica(Rules{})
	p.want(t, "peer 1 claims", Write{Record: signedBy(peer1, protect(value(k, "test", 1), ProtectDomain))}, StatusOK)
	p.want(t, "peer 3 claims", Write{Record: signedBy(peer3, protect(value(k, "hello", 2), ProtectDomain))}, StatusProtected)
	p.want(t, "peer 2 overrides", Write{Record: signedBy(peer2, protect(value(k, "MINE!", 3), ProtectDomain))}, StatusOK)
	p.wantValues(t, Query{}, "MINE!")
}

// TestDemo2 is the other one: NONE and MASTER_PUBLIC_KEY.
func TestDemo2(t *testing.T) {
	peer1, peer2, peer3 := person(1), person(2), person(3)
	k := at(masterKey(peer2), "k")
	p := newReplica(Rules{DomainNone: true, EntryNone: true})
	p.want(t, "peer 1 is stored, not protected", Write{Record: signedBy(peer1, protect(value(k, "test", 1), ProtectDomain))}, StatusOK)
	p.want(t, "peer 3 overwrites", Write{Record: signedBy(peer3, protect(value(k, "hello", 2), ProtectDomain))}, StatusOK)
	p.want(t, "peer 2 protects", Write{Record: signedBy(peer2, protect(value(k, "MINE!", 3), ProtectDomain))}, StatusOK)
	p.wantValues(t, Query{}, "MINE!")
	p.want(t, "peer 3 again", Write{Record: signedBy(peer3, value(k, "hello", 4))}, StatusProtected)
	p.wantValues(t, Query{}, "MINE!")
}

// TestSecurity has the scenarios of TomP2P's test of that name, and what they leave out.
func TestSecurity(t *testing.T) {
	p1, p2, p3 := person(1), person(2), person(3)
	domain := masterKey(p3)
	k10, k11, k12 := at(domain, "10"), at(domain, "11"), at(domain, "12")

	t.Run("a domain with three writers", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "1 claims", Write{Record: signedBy(p1, protect(value(k10, "test10", 1), ProtectDomain))}, StatusOK)
		p.want(t, "2", Write{Record: signedBy(p2, protect(value(k11, "test11", 1), ProtectDomain))}, StatusProtected)
		p.want(t, "3 without a claim", Write{Record: signedBy(p3, value(k12, "test12", 1))}, StatusProtected)
		p.want(t, "3, the master", Write{Record: signedBy(p3, protect(value(k12, "test12", 1), ProtectDomain))}, StatusOK)
		if got := len(p.headers()); got != 2 {
			t.Errorf("%d entries, want 2", got)
		}
		p.want(t, "1 has lost it", Write{Record: signedBy(p1, protect(value(k10, "again", 2), ProtectDomain))}, StatusProtected)
	})
	t.Run("the first keeps it without masters", func(t *testing.T) {
		p := newReplica(Rules{DomainNoMaster: true, EntryNoMaster: true})
		p.want(t, "1 claims", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain))}, StatusOK)
		p.want(t, "3, whose key it is", Write{Record: signedBy(p3, protect(value(k10, "b", 2), ProtectDomain))}, StatusProtected)
		p.want(t, "1 writes on", Write{Record: signedBy(p1, value(k11, "c", 1))}, StatusOK)
		e := at(noDomain, "entry")
		e.Content = masterKey(p3)
		p.want(t, "1 claims an entry", Write{Record: signedBy(p1, protect(value(e, "a", 1), ProtectEntry))}, StatusOK)
		p.want(t, "3, whose key it is", Write{Record: signedBy(p3, protect(value(e, "b", 2), ProtectEntry))}, StatusProtected)
	})
	t.Run("nobody claims without masters and NONE but the one whose key it is", func(t *testing.T) {
		p := newReplica(Rules{DomainNone: true, DomainNoMaster: true})
		p.want(t, "1", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain))}, StatusOK)
		p.want(t, "2", Write{Record: signedBy(p2, value(k10, "b", 2))}, StatusOK)
		p.want(t, "3 claims", Write{Record: signedBy(p3, protect(value(k10, "c", 3), ProtectDomain))}, StatusOK)
		p.want(t, "2", Write{Record: signedBy(p2, value(k10, "d", 4))}, StatusProtected)
	})
	t.Run("removal", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "1 claims", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain))}, StatusOK)
		p.want(t, "2 removes", Write{Record: signedBy(p2, tombstone(k10, 2))}, StatusProtected)
		p.want(t, "2 removes what is not there", Write{Record: signedBy(p2, tombstone(k11, 2))}, StatusProtected)
		p.wantValues(t, Query{}, "a")
		p.want(t, "1 removes", Write{Record: signedBy(p1, tombstone(k10, 2))}, StatusOK)
		p.wantValues(t, Query{}, "")
		p.want(t, "nothing claims it any more", Write{Record: signedBy(p2, value(k11, "b", 1))}, StatusOK)
		p.want(t, "replay of the claim", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain))}, StatusDeleted)
	})
	t.Run("a removal can hold the claim", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "1 claims", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain))}, StatusOK)
		p.want(t, "1 removes", Write{Record: signedBy(p1, protect(ttl(tombstone(k10, 2), 10), ProtectDomain))}, StatusOK)
		p.now += 9999
		p.want(t, "2", Write{Record: signedBy(p2, value(k11, "b", 1))}, StatusProtected)
		p.now++
		p.want(t, "2", Write{Record: signedBy(p2, value(k11, "b", 1))}, StatusOK)
	})
	t.Run("a claim ends with the last record", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "for 2 s", Write{Record: signedBy(p1, protect(ttl(value(k10, "a", 1), 2), ProtectDomain))}, StatusOK)
		p.want(t, "for 5 s", Write{Record: signedBy(p1, protect(ttl(value(k11, "b", 1), 5), ProtectDomain))}, StatusOK)
		p.want(t, "for ever, without a claim", Write{Record: signedBy(p1, value(k12, "c", 1))}, StatusOK)
		p.now += 4999
		p.want(t, "2", Write{Record: signedBy(p2, value(k12, "d", 2))}, StatusProtected)
		p.now++
		p.want(t, "2", Write{Record: signedBy(p2, value(k12, "d", 2))}, StatusOK)
	})
	t.Run("a claim that is taken back early", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "for ever", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain|ProtectEntry))}, StatusOK)
		p.want(t, "for 5 s", Write{Record: signedBy(p1, protect(ttl(value(k11, "b", 1), 5), ProtectDomain))}, StatusOK)
		p.want(t, "the header without a claim", Write{Record: headerOf(signedBy(p1, value(k10, "a", 2)))}, StatusOK)
		p.want(t, "2", Write{Record: signedBy(p2, value(k10, "d", 3))}, StatusProtected)
		p.now += 5000
		p.want(t, "2", Write{Record: signedBy(p2, value(k10, "d", 3))}, StatusOK)
	})
	t.Run("entries", func(t *testing.T) {
		p := newReplica(Rules{})
		k := at(noDomain, "k")
		p.want(t, "1 claims", Write{Record: signedBy(p1, protect(value(k, "a", 1), ProtectEntry))}, StatusOK)
		p.want(t, "2", Write{Record: signedBy(p2, value(k, "b", 2))}, StatusProtected)
		v := at(noDomain, "k")
		v.Version = NewVersion(1, []byte("b"))
		p.want(t, "2, another version", Write{Record: signedBy(p2, value(v, "b", 2)), Fork: true, Repair: true}, StatusProtected)
		p.want(t, "2, the header", Write{Record: headerOf(signedBy(p2, protect(value(k, "a", 2), ProtectEntry)))}, StatusProtected)
		p.want(t, "2, another entry", Write{Record: signedBy(p2, value(at(noDomain, "other"), "b", 2))}, StatusOK)
		p.wantValues(t, Query{}, p.values(Query{}))
		p.want(t, "1", Write{Record: signedBy(p1, protect(value(k, "c", 2), ProtectEntry))}, StatusOK)
	})
	// TomP2P asked for the key of the domain here.
	t.Run("the master of an entry has the key of the content", func(t *testing.T) {
		p := newReplica(Rules{EntryNone: true})
		k := at(masterKey(p2), "k")
		k.Content = masterKey(p3)
		p.want(t, "2, master of the domain", Write{Record: signedBy(p2, protect(value(k, "a", 1), ProtectEntry))}, StatusOK)
		p.want(t, "it has claimed nothing", Write{Record: signedBy(p1, value(k, "b", 2))}, StatusOK)
		p.want(t, "3, master of the entry", Write{Record: signedBy(p3, protect(value(k, "c", 3), ProtectEntry))}, StatusOK)
		p.want(t, "1", Write{Record: signedBy(p1, value(k, "d", 4))}, StatusProtected)
		p.want(t, "2", Write{Record: signedBy(p2, protect(value(k, "d", 4), ProtectEntry))}, StatusProtected)

		p = newReplica(Rules{})
		p.want(t, "1 claims", Write{Record: signedBy(p1, protect(value(k, "a", 1), ProtectEntry))}, StatusOK)
		p.want(t, "2, master of the domain", Write{Record: signedBy(p2, protect(value(k, "b", 2), ProtectEntry))}, StatusProtected)
		p.want(t, "3, master of the entry", Write{Record: signedBy(p3, protect(value(k, "c", 3), ProtectEntry))}, StatusOK)
	})
	t.Run("the largest number keeps no owner out", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "1 takes the last number", Write{Record: signedBy(p1, value(k10, "a", 1<<64-1))}, StatusOK)
		p.want(t, "2 comes second", Write{Record: signedBy(p2, protect(value(k10, "b", 5), ProtectDomain))}, StatusStale)
		p.want(t, "3 is master", Write{Record: signedBy(p3, protect(value(k10, "c", 5), ProtectDomain))}, StatusOK)
		p.wantValues(t, Query{}, "c")
		p.want(t, "1 again", Write{Record: signedBy(p1, value(k10, "a", 1<<64-1))}, StatusProtected)
		gift := protect(value(k11, "a", 1<<64-1), ProtectEntry)
		gift.Owner = p3.PublicKey()
		p = newReplica(Rules{})
		p.want(t, "1 makes 3 a present of it", Write{Record: signedBy(p1, gift)}, StatusOK)
		p.want(t, "3 writes to it", Write{Record: signedBy(p3, value(k11, "c", 5))}, StatusOK)
		p = newReplica(Rules{})
		p.want(t, "3", Write{Record: signedBy(p3, protect(value(k10, "c", 5), ProtectDomain))}, StatusOK)
		p.want(t, "3, an older one", Write{Record: signedBy(p3, protect(value(k10, "d", 4), ProtectDomain))}, StatusStale)
	})
	t.Run("a copy obeys, and is welcome from anybody", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "1's copy", Write{Record: signedBy(p1, protect(value(k10, "a", 1), ProtectDomain)), Repair: true, Left: 500}, StatusOK)
		p.want(t, "2's copy", Write{Record: signedBy(p2, value(k11, "b", 1)), Repair: true}, StatusProtected)
		p.want(t, "1's other copy", Write{Record: signedBy(p1, value(k11, "c", 1)), Repair: true}, StatusOK)
	})
}

// TestTransfer: the owner hands over with a header; from then on the new one writes, and
// the old one does not, nor do copies of what it has signed.
func TestTransfer(t *testing.T) {
	p1, p2, p3 := person(1), person(2), person(3)
	k, other := at(masterKey(p1), "k"), at(masterKey(p1), "other")
	to := func(who p2p.Identity, r Record) Record { r.Owner = who.PublicKey(); return r }
	for name, claim := range map[string]Protect{"domain": ProtectDomain, "entry": ProtectEntry, "both": ProtectDomain | ProtectEntry} {
		t.Run(name, func(t *testing.T) {
			p := newReplica(Rules{})
			k := k
			if claim&ProtectEntry != 0 {
				k.Content = masterKey(p1)
			}
			first := signedBy(p1, protect(value(k, "a", 1), claim))
			p.want(t, "1 claims", Write{Record: first}, StatusOK)
			p.want(t, "2 takes", Write{Record: headerOf(signedBy(p2, to(p2, protect(value(k, "a", 2), claim))))}, StatusProtected)
			p.want(t, "1 hands over", Write{Record: headerOf(signedBy(p1, to(p2, protect(value(k, "a", 10), claim))))}, StatusOK)
			p.wantValues(t, Query{}, "a")
			p.want(t, "1 changes its mind, with an old record", Write{Record: first}, StatusProtected)
			p.want(t, "1, without a claim", Write{Record: signedBy(p1, value(k, "b", 11))}, StatusProtected)
			p.want(t, "3", Write{Record: signedBy(p3, value(k, "b", 11))}, StatusProtected)
			p.want(t, "2 writes", Write{Record: signedBy(p2, protect(value(k, "c", 11), claim))}, StatusOK)
			p.wantValues(t, Query{}, "c")
			if claim == ProtectDomain {
				p.want(t, "an old copy of 1's, from elsewhere", Write{Record: signedBy(p1, protect(value(other, "x", 9), claim)), Repair: true}, StatusProtected)
			}
			p.want(t, "1 is master still", Write{Record: signedBy(p1, protect(value(k, "d", 12), claim))}, StatusOK)
			p.want(t, "2", Write{Record: signedBy(p2, value(k, "e", 13))}, StatusProtected)
			p.want(t, "the hand-over again", Write{Record: signedBy(p1, to(p2, protect(value(k, "a", 10), claim)))}, StatusStale)
		})
	}
	t.Run("there and back, the copies in the wrong order", func(t *testing.T) {
		p := newReplica(Rules{})
		p.want(t, "back", Write{Record: signedBy(p1, protect(value(other, "b", 20), ProtectDomain)), Repair: true}, StatusOK)
		p.want(t, "there", Write{Record: signedBy(p1, to(p2, protect(value(k, "a", 10), ProtectDomain))), Repair: true}, StatusOK)
		p.want(t, "2 is not the owner", Write{Record: signedBy(p2, value(other, "c", 30))}, StatusProtected)
	})
	t.Run("without masters", func(t *testing.T) {
		p := newReplica(Rules{DomainNoMaster: true})
		p.want(t, "3 claims", Write{Record: signedBy(p3, protect(value(k, "a", 1), ProtectDomain))}, StatusOK)
		p.want(t, "3 hands over", Write{Record: headerOf(signedBy(p3, to(p2, protect(value(k, "a", 2), ProtectDomain))))}, StatusOK)
		p.want(t, "3", Write{Record: signedBy(p3, protect(value(k, "b", 3), ProtectDomain))}, StatusProtected)
		p.want(t, "1", Write{Record: signedBy(p1, protect(value(k, "b", 3), ProtectDomain))}, StatusProtected)
		p.want(t, "2", Write{Record: signedBy(p2, protect(value(k, "b", 3), ProtectDomain))}, StatusOK)
	})
	t.Run("with NONE", func(t *testing.T) {
		p := newReplica(Rules{DomainNone: true})
		p.want(t, "1 claims for 2", Write{Record: signedBy(p1, to(p2, protect(ttl(value(k, "a", 1), 1), ProtectDomain)))}, StatusOK)
		p.want(t, "2 goes on", Write{Record: signedBy(p2, protect(value(other, "b", 1), ProtectDomain))}, StatusOK)
		p.now += 1000
		p.want(t, "3", Write{Record: signedBy(p3, value(k, "c", 1))}, StatusProtected)
	})
}
