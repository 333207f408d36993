package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// corpus returns n documents of about 5 KB that look like language: few words
// are frequent and most are rare.
func corpus(n int) []Document {
	rng := rand.New(rand.NewPCG(1, 1))
	syllables := strings.Fields("an ber con de er for ge ha in ja kon li mo ner o pre qui re sta ter un ver wi xe ying zo al bri ca dro est fli gra hu")
	var words []string
	seen := map[string]bool{}
	for len(words) < 40_000 {
		w := ""
		for range 1 + rng.IntN(4) {
			w += syllables[rng.IntN(len(syllables))]
		}
		if !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	}
	zipf := rand.NewZipf(rng, 1.07, 3, uint64(len(words)-1))
	documents := make([]Document, n)
	for i := range documents {
		var b strings.Builder
		for b.Len() < 5000 {
			b.WriteString(words[zipf.Uint64()])
			b.WriteString(" ")
		}
		documents[i] = Document{
			ID: fmt.Sprintf("doc%06d", i), Title: words[rng.IntN(len(words))] + " notes", Folder: "f",
			Path: fmt.Sprintf("dir%d/%s-%d.txt", i%50, words[rng.IntN(len(words))], i), Type: TypeText, Size: 5000, Text: b.String(),
		}
	}
	return documents
}

func BenchmarkQuery(b *testing.B) {
	for _, n := range []int{2000, 6000} {
		documents := corpus(n)
		x := indexOf(b, documents...)
		words := strings.Fields(documents[7].Text)
		slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
		long := words[10]
		typo := long[:3] + long[4:]
		for _, q := range []struct{ name, text string }{
			{"exact", long}, {"typo", typo}, {"typos", typo + " " + words[20][1:]}, {"common", "an"}, {"prefix", "a"},
		} {
			b.Run(fmt.Sprintf("docs=%d/%s", n, q.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if a, err := x.Query(context.Background(), Query{Text: q.text, Fuzz: Auto}); err != nil || a.Total == 0 {
						b.Fatal(a.Total, err)
					}
				}
			})
		}
	}
}

// BenchmarkHostileQuery asks for as much work as fits a query.
func BenchmarkHostileQuery(b *testing.B) {
	documents := corpus(2000)
	x := indexOf(b, documents...)
	var text strings.Builder
	for i := 0; text.Len() < MaxQuery-20; i++ {
		text.WriteString(strings.Fields(documents[i].Title)[0] + " ")
	}
	for b.Loop() {
		if _, err := x.evaluate(context.Background(), request{Text: text.String(), Fuzz: maxFuzz, Limit: MaxLimit}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	documents := corpus(1000)
	var size int64
	for _, d := range documents {
		size += int64(len(d.Text))
	}
	b.SetBytes(size)
	for b.Loop() {
		indexOf(b, documents...)
	}
}
