package member

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestJudge(t *testing.T) {
	tests := []struct {
		name string
		mode Mode
		tell func(w *scribe) []Statement
		want roles
	}{
		{"founder", ModeClosed, func(*scribe) []Statement { return nil }, roles{"ann": RoleAdmin}},
		{"admitted", ModeClosed, func(w *scribe) []Statement {
			return []Statement{w.admit("ann", w.genesis, "bob", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"by a member", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.admit("bob", bob, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"by a stranger", ModeClosed, func(w *scribe) []Statement {
			return []Statement{w.admit("eve", w.genesis, "eve", RoleAdmin)}
		}, roles{"ann": RoleAdmin}},
		{"by a member of an open network", ModeOpen, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.admit("bob", bob, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember, "eve": RoleMember}},
		{"admin by a member of an open network", ModeOpen, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.admit("bob", bob, "eve", RoleAdmin), w.promote("bob", bob, bob, "bob")}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"promoted", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			up := w.promote("ann", w.genesis, bob, "bob")
			return []Statement{bob, up, w.admit("bob", up, "cid", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleAdmin, "cid": RoleMember}},
		{"demoted, what was signed stays", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			up := w.promote("ann", w.genesis, bob, "bob")
			cid := w.admit("bob", up, "cid", RoleMember)
			return []Statement{bob, up, cid, w.revoke("ann", w.genesis, up, cid), w.admit("bob", up, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember, "cid": RoleMember}},
		{"revoked with all promotions, known or not", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			dan := w.admit("ann", w.genesis, "dan", RoleAdmin)
			gone := w.revoke("ann", w.genesis, bob)
			return []Statement{bob, dan, gone, w.promote("dan", dan, bob, "bob")}
		}, roles{"ann": RoleAdmin, "dan": RoleAdmin}},
		{"admitted again", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleMember)
			return []Statement{bob, w.revoke("ann", w.genesis, bob), w.admit("ann", w.genesis, "bob", RoleMember)}
		}, roles{"ann": RoleAdmin, "bob": RoleMember}},
		{"an old number after the revocation", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			cid := w.admit("bob", bob, "cid", RoleMember)
			dan := w.admit("bob", bob, "dan", RoleMember)
			gone := w.revoke("ann", w.genesis, bob, dan)
			w.rewind("bob", cid)
			return []Statement{bob, cid, dan, gone, w.admit("bob", bob, "eve", RoleMember)}
		}, roles{"ann": RoleAdmin, "cid": RoleMember, "dan": RoleMember}},
		{"mutual revocation: the senior's holds", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			return []Statement{bob, w.revoke("ann", w.genesis, bob), w.revoke("bob", bob, w.genesis, bob)}
		}, roles{"ann": RoleAdmin}},
		{"a junior revokes the founder", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			gone := w.revoke("bob", bob, w.genesis, bob)
			return []Statement{bob, gone, w.admit("ann", w.genesis, "eve", RoleAdmin)}
		}, roles{"bob": RoleAdmin}},
		{"a revocation that takes away its own ground", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			return []Statement{bob, w.revoke("bob", bob, w.genesis)}
		}, roles{"ann": RoleAdmin, "bob": RoleAdmin}},
		{"an admin leaves", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			return []Statement{bob, w.revoke("ann", w.genesis, w.genesis, bob), w.revoke("ann", w.genesis, bob)}
		}, roles{"bob": RoleAdmin}},
		{"puppets of a revoked admin", ModeClosed, func(w *scribe) []Statement {
			bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
			gone := w.revoke("ann", w.genesis, bob)
			eve := w.admit("bob", bob, "eve", RoleAdmin)
			return []Statement{bob, gone, eve, w.revoke("eve", eve, w.genesis, bob), w.admit("eve", eve, "fay", RoleAdmin)}
		}, roles{"ann": RoleAdmin}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newScribe(test.mode, "ann")
			statements := test.tell(w)
			if diff := cmp.Diff(test.want, w.meaning(w.roster(t, statements...))); diff != "" {
				t.Errorf("in order (-want +got):\n%s", diff)
			}
			slices.Reverse(statements)
			if diff := cmp.Diff(test.want, w.meaning(w.roster(t, statements...))); diff != "" {
				t.Errorf("in reverse (-want +got):\n%s", diff)
			}
		})
	}
}

var people = []string{"ann", "bob", "cid", "dan", "eve"}

// history draws acts of a handful of people, honest and not.
func history(t *rapid.T, w *scribe) []Statement {
	type admitted struct {
		st   Statement
		who  string
		base bool
	}
	admissions := []admitted{{w.genesis, "ann", false}}
	acts := map[string][]Statement{}
	var out []Statement
	for range rapid.IntRange(1, 25).Draw(t, "acts") {
		grant := rapid.SampledFrom(admissions).Draw(t, "under")
		by := grant.who
		if rapid.IntRange(0, 15).Draw(t, "impostor") == 0 {
			by = rapid.SampledFrom(people).Draw(t, "by")
		}
		if mine := acts[by]; len(mine) > 0 && rapid.IntRange(0, 4).Draw(t, "fork") == 0 {
			w.rewind(by, rapid.SampledFrom(mine).Draw(t, "back to"))
		}
		var st Statement
		target := rapid.SampledFrom(admissions).Draw(t, "target")
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			st = w.promote(by, grant.st, target.st, target.who)
			admissions = append(admissions, admitted{st, target.who, true})
		case 1:
			who := rapid.SampledFrom(people).Draw(t, "who")
			st = w.admit(by, grant.st, who, rapid.SampledFrom([]Role{RoleMember, RoleAdmin, RoleAdmin}).Draw(t, "role"))
			admissions = append(admissions, admitted{st, who, false})
		default:
			var heads []Statement
			if theirs := acts[target.who]; len(theirs) > 0 {
				heads = rapid.SliceOfN(rapid.SampledFrom(theirs), 0, 2).Draw(t, "heads")
			}
			st = w.revoke(by, grant.st, target.st, heads...)
		}
		acts[by] = append(acts[by], st)
		out = append(out, st)
	}
	return out
}

func drawMode(t *rapid.T) Mode {
	return rapid.SampledFrom([]Mode{ModeClosed, ModeOpen}).Draw(t, "mode")
}

// TestOrderDoesNotMatter: any order, repetition and partition of the statements
// means the same and gives the same digest.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(drawMode(t), "ann")
		statements := history(t, w)
		want, err := rosterOf(append([]Statement{w.genesis}, statements...)...)
		if err != nil {
			t.Fatal(err)
		}
		mixed := rapid.Permutation(append(slices.Clone(statements), statements...)).Draw(t, "order")
		cut := rapid.IntRange(0, len(mixed)).Draw(t, "cut")
		var parts [2]*Roster
		for i, part := range [][]Statement{mixed[:cut], mixed[cut:]} {
			if parts[i], err = rosterOf(append([]Statement{w.genesis}, part...)...); err != nil {
				t.Fatal(err)
			}
			parts[i].judged() // must leave nothing behind
		}
		// What waited in one part is told by the other again, as a digest would.
		for range 2 {
			if _, err := parts[0].Add(append(parts[1].Statements(), mixed...)...); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(w.meaning(want), w.meaning(parts[0])); diff != "" {
			t.Errorf("merged (-in order +merged):\n%s", diff)
		}
		if want.digest().sum != parts[0].digest().sum {
			t.Errorf("digests differ: %d and %d statements", want.Len(), parts[0].Len())
		}
	})
}

// TestPowerless: an act by somebody who is no admin changes nothing, nor does one
// that a senior's revocation cuts, nor any admission that is cut.
func TestPowerless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(ModeClosed, "ann")
		ro, err := rosterOf(append([]Statement{w.genesis}, history(t, w)...)...)
		if err != nil {
			t.Fatal(err)
		}
		before := w.meaning(ro)
		more := history(t, w)
		for _, st := range more {
			added, err := ro.Add(st)
			if err != nil {
				t.Fatal(err)
			}
			if len(added.added) == 1 && !powerless(ro, added.added[0].act) {
				before = w.meaning(ro)
				continue
			}
			if len(added.added) > 1 {
				before = w.meaning(ro)
				continue
			}
			if diff := cmp.Diff(before, w.meaning(ro)); diff != "" {
				t.Errorf("a powerless act changed something (-before +after):\n%s", diff)
			}
		}
	})
}

// powerless reports whether the set without a already denies it any effect.
func powerless(ro *Roster, a *act) bool {
	var others []*act
	for _, r := range ro.records {
		if r.act != nil && r.act != a {
			others = append(others, r.act)
		}
	}
	before := newOracle(others)
	before.attack()
	all := newOracle(append(others, a))
	all.attack()
	return slices.ContainsFunc(all.attacking(a), func(r *act) bool {
		return r != a && before.holds(r) && (a.kind == KindAdmission || senior(r, a))
	})
}

// TestJudgeIsTheRules: what judge computes is what its rules say.
func TestJudgeIsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(drawMode(t), "ann")
		ro, err := rosterOf(append([]Statement{w.genesis}, history(t, w)...)...)
		if err != nil {
			t.Fatal(err)
		}
		var acts []*act
		for _, r := range ro.records {
			acts = append(acts, r.act)
		}
		got, want := judge(acts), oracleJudge(acts)
		if diff := cmp.Diff(want.valid, got.valid); diff != "" {
			t.Errorf("valid (-rules +judge):\n%s", diff)
		}
		if diff := cmp.Diff(want.standing, got.standing, cmp.AllowUnexported(standing{}), cmp.Comparer(func(a, b *act) bool { return a == b })); diff != "" {
			t.Errorf("standing (-rules +judge):\n%s", diff)
		}
	})
}

func TestStrangersChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newScribe(ModeClosed, "ann")
		statements := history(t, w)
		ro, err := rosterOf(append([]Statement{w.genesis}, statements...)...)
		if err != nil {
			t.Fatal(err)
		}
		before, held := w.meaning(ro), ro.Len()
		under := rapid.SampledFrom(append(statements, w.genesis)).Draw(t, "under")
		for _, st := range []Statement{
			w.admit("mallory", under, "mallory", RoleAdmin),
			w.revoke("mallory", under, w.genesis),
		} {
			if _, err := ro.Add(st); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, w.meaning(ro)); diff != "" || ro.Len() != held {
			t.Errorf("a stranger changed something (-before +after), %d statements were %d:\n%s", ro.Len(), held, diff)
		}
	})
}

// TestMutualRevocationOfEquals: among admins of the same rank it does not matter who
// signed first.
func TestMutualRevocationOfEquals(t *testing.T) {
	w := newScribe(ModeClosed, "ann")
	bob := w.admit("ann", w.genesis, "bob", RoleAdmin)
	cid := w.admit("ann", w.genesis, "cid", RoleAdmin)
	byBob, byCid := w.revoke("bob", bob, cid), w.revoke("cid", cid, bob)
	want := roles{"ann": RoleAdmin, "bob": RoleAdmin}
	if a, b := bob.Hash(), cid.Hash(); compareHash(b, a) < 0 {
		want = roles{"ann": RoleAdmin, "cid": RoleAdmin}
	}
	for _, order := range [][]Statement{{bob, cid, byBob, byCid}, {byCid, byBob, cid, bob}} {
		if diff := cmp.Diff(want, w.meaning(w.roster(t, order...))); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}
