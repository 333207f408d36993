package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// occurrencesOf returns where the words of the documents of a sheaf are, by the words.
func occurrencesOf(t interface{ Fatalf(string, ...any) }, s *sheaf, word func(number int) string) map[string][]string {
	all := make(map[string][]string)
	for _, n := range s.used {
		e := &s.entries[n]
		count := 0
		for c := e.list.walk(); c.advance(); count++ {
			all[word(n)] = append(all[word(n)], fmt.Sprint(c.slot, c.code, c.places))
		}
		if count != e.documents {
			t.Fatalf("%d documents of %q, counted %d", count, word(n), e.documents)
		}
	}
	return all
}

// TestTerms: what was packed is there again, whatever numbers words have.
func TestTerms(t *testing.T) {
	words := []string{"a", "an", "any", "way", "any-way", "getUserName", "report_2024.final", "über", "網絡", "don't", "x.y.z", "...", "the", "network"}
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 40).Draw(t, "words"), " ")
	})
	rapid.Check(t, func(t *rapid.T) {
		var in, out tally
		var c codec
		own := rapid.Bool().Draw(t, "own")
		numbers := rapid.SampledFrom([]uint32{0, 1, 180, 238, midNumber - 3, midNumber + 253, farNumber - 4, maxStored - 100}).Draw(t, "numbers")
		var all [][]byte
		for i := range rapid.IntRange(1, 3).Draw(t, "documents") {
			d := Document{ID: fmt.Sprint(i), Title: text.Draw(t, "title"), Text: text.Draw(t, "text"), Path: strings.ReplaceAll(text.Draw(t, "path"), " ", "/")}
			for _, key := range rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, "fields") {
				if d.Fields == nil {
					d.Fields = make(map[string]Value)
				}
				d.Fields[key] = Text(text.Draw(t, "field"))
			}
			l := in.read(&d)
			for _, n := range in.seen {
				in.sheaf.entry(n).stored = numbers + uint32(n) + 1
			}
			packed := in.appendTerms(nil, l, own)
			all = append(all, c.press(packed, rapid.SampledFrom([]int{0, len(packed)}).Draw(t, "press")))
			in.end(&Record{ID: d.ID}, l)
			read, err := openTerms(all[i], &c)
			if err != nil || read.lengths != l || read.own != own {
				t.Fatalf("%+v, %v, want %+v, own %v", read, err, l, own)
			}
		}
		known := func(n uint32) bool { return n >= numbers && int(n-numbers) < len(in.words) }
		if numbers > 1<<20 { // a tally has room for all numbers
			return
		}
		for i, b := range all {
			read, err := openTerms(b, &c)
			if err == nil {
				err = out.unpack(&read, known)
			}
			if err != nil {
				t.Fatalf("document %d: %v", i, err)
			}
			out.end(&Record{ID: fmt.Sprint(i)}, read.lengths)
		}
		word := func(n int) string { return in.words[n-int(numbers)] }
		if own {
			word = func(n int) string { return out.words[n] }
		}
		want := occurrencesOf(t, &in.sheaf, func(n int) string { return in.words[n] })
		if diff := cmp.Diff(want, occurrencesOf(t, &out.sheaf, word)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(in.sheaf.lengths, out.sheaf.lengths, cmp.AllowUnexported(lengths{})); diff != "" {
			t.Fatalf("lengths (-want +got):\n%s", diff)
		}
	})
}

// TestTermsOfRareWords: a document whose words all came late still takes less than half of its text.
func TestTermsOfRareWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for range 2000 {
		fmt.Fprintf(&text, "word%d ", int(300*rng.Float64()*rng.Float64()))
	}
	var in tally
	var c codec
	l := in.read(&Document{Text: text.String()})
	for _, n := range in.seen {
		in.sheaf.entry(n).stored = 400_000 + uint32(n)*7919%50_000
	}
	packed := in.appendTerms(nil, l, false)
	pressed := c.press(packed, len(in.stream))
	if len(pressed)*5 > text.Len()*2 || pressed[1] != termsPressed {
		t.Errorf("%d bytes of %d, of a text of %d", len(pressed), len(packed), text.Len())
	}
}

func FuzzTerms(f *testing.F) {
	var in tally
	l := in.read(&Document{Title: "report-2024", Path: "a/b.md", Text: "some words and some more", Fields: map[string]Value{"by": Text("me")}})
	for _, n := range in.seen {
		in.sheaf.entry(n).stored = uint32(n) + 1
	}
	var c codec
	f.Add(in.appendTerms(nil, l, true))
	f.Add(in.appendTerms(nil, l, false))
	f.Add(c.press(in.appendTerms(nil, l, true), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		packed, err := openTerms(b, &c)
		if err != nil {
			return
		}
		var out tally
		if err := out.unpack(&packed, func(n uint32) bool { return n < 1000 }); err != nil {
			if len(out.seen)+len(out.stream)+len(out.at) > 0 || slices.ContainsFunc(out.codes, func(c uint32) bool { return c != 0 }) {
				t.Errorf("something is left of a document that cannot be read: %+v", out)
			}
			return
		}
		out.end(&Record{}, packed.lengths)
		occurrencesOf(t, &out.sheaf, func(n int) string { return fmt.Sprint(n) })
	})
}

func FuzzWords(f *testing.F) {
	var p wordPack
	p.add(7, "any")
	p.add(8, "way")
	p.add(3, "x")
	f.Add(p.data)
	f.Fuzz(func(t *testing.T, b []byte) {
		var again wordPack
		n := 0
		unpackWords(b, func(stored uint32, word []byte) {
			if len(word) == 0 || len(word) > maxTermBytes || stored >= maxStored {
				t.Errorf("word %q of number %d", word, stored)
			}
			again.add(stored, string(word))
			n++
		})
		unpackWords(again.data, func(uint32, []byte) { n-- })
		if n != 0 {
			t.Errorf("%d words are missing", n)
		}
	})
}
