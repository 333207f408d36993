package search

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p/fastss"
)

// TestMeant: what is further away than the length of a word allows is meant where no document
// has the word, and people make such slips; four edits are the last resort.
func TestMeant(t *testing.T) {
	for _, tt := range []struct{ typed, words, want string }{
		{"teh", "the ten", ""},                                // with three letters almost any word would do
		{"tset", "test", "test"},                              // one edit
		{"dors", "doors dogs", "doors dogs"},                  // of equally near ones the likeliest
		{"becus", "because", "because"},                       // one more
		{"becus", "because becus", "becus"},                   // not of a word that there is
		{"becus", "cactus", ""},                               // not by slips that nobody makes
		{"conosuer", "connoisseur", "connoisseur"},            // four
		{"conosuer", "connoisseur conosupr", "conosupr"},      // not beside what is near
		{"criteak", "critique", ""},                           // not by less likely slips
		{"coolots", "culottes", "culottes"},                   // of seven letters
		{"coolot", "culotte", ""},                             // of six
		{"comfterble", "comfortable comforts", "comfortable"}, // nothing is within three
		{"accomodasion", "accommodation", "accommodation"},    // as its length allows
		{"generaterated", "generated", ""},                    // not four letters too many
		{"опрделения", "определение", "определение"},          // of any script
	} {
		v := new(fastss.Vocabulary)
		for _, w := range strings.Fields(tt.words) {
			v.Add([]byte(w), 1)
		}
		var got []string
		for _, m := range Meant(v, tt.typed) {
			got = append(got, m.Word)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s among %s: %q, want %q", tt.typed, tt.words, s, tt.want)
		}
		// A query finds the documents of the same words.
		words := strings.Fields(tt.words)
		var documents []Document
		for i, w := range words {
			documents = append(documents, Document{ID: strconv.Itoa(i), Text: w + " and"})
		}
		var found []string
		if a := ask(t, indexOf(t, documents...), tt.typed+" and"); a.Missing == 0 {
			for _, h := range a.Hits {
				i, err := strconv.Atoi(h.ID)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, words[i])
			}
		}
		slices.Sort(found)
		slices.Sort(got)
		if !slices.Equal(found, got) {
			t.Errorf("%s among %s: documents of %q", tt.typed, tt.words, found)
		}
	}
}

// TestMeantAreFew: of words that are far away only some are meant, the likeliest.
func TestMeantAreFew(t *testing.T) {
	v := new(fastss.Vocabulary)
	for a := 'a'; a <= 'z'; a++ {
		v.Add([]byte("connoi"+string(a)+"eur"), 1)
	}
	got := Meant(v, "conosuer")
	if len(got) != maxStretched || got[0].Word != "connoiseur" || got[maxStretched-1].Distance != maxEdits {
		t.Errorf("%v", got)
	}
}
