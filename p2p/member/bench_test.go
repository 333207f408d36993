package member

import (
	"fmt"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// crowd is a Service in a network of n members that all have told their contact.
func crowd(b *testing.B, n int) *Service {
	w := newScribe(ModeClosed, "ann")
	statements := []Statement{w.genesis}
	for i := range n - 1 {
		name := fmt.Sprint("p", i)
		contact, err := contactStatement(person(name), p2p.Contact{Name: name, Seq: 1})
		if err != nil {
			b.Fatal(err)
		}
		statements = append(statements, w.admit("ann", w.genesis, name, RoleMember), contact)
	}
	store := NewMemory()
	if err := store.Install(State{Network: w.network, Statements: statements}); err != nil {
		b.Fatal(err)
	}
	s, err := Open(Options{Identity: person("ann"), Store: store})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkReceive takes in one new contact.
func BenchmarkReceive(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		b.Run(fmt.Sprint(n, "members"), func(b *testing.B) {
			s := crowd(b, n)
			var news []Statement
			for i := range b.N {
				st, err := contactStatement(person("p0"), p2p.Contact{Name: "p0", Seq: uint64(i + 2)})
				if err != nil {
					b.Fatal(err)
				}
				news = append(news, st)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, st := range news {
				if err := s.receive(update{statements: []Statement{st}}, s.roster.network.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJudge evaluates a network of one admin and many members.
func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		b.Run(fmt.Sprint(n, "members"), func(b *testing.B) {
			s := crowd(b, n)
			b.ReportAllocs()
			for b.Loop() {
				s.roster.stale = true
				s.roster.judged()
			}
		})
	}
}

// BenchmarkJudgeFlood evaluates the largest roster that one rogue admin and its
// puppets can make: everybody revokes everybody.
func BenchmarkJudgeFlood(b *testing.B) {
	r := newRogue()
	ro := r.roster(b, r.eve, r.bob)
	var targets []Statement
	for i := 0; ro.Len() < MaxStatements/10; i++ {
		puppet := r.admit("eve", r.eve, fmt.Sprint("p", i), RoleAdmin)
		targets = append(targets, puppet)
		if _, err := ro.Add(puppet); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; ro.Len() < MaxStatements-1; i++ {
		n := i % len(targets)
		if _, err := ro.Add(r.revoke(fmt.Sprint("p", n), targets[n], targets[(n+1+i/len(targets))%len(targets)])); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ro.stale = true
		ro.judged()
	}
}
