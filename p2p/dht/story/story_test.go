package story

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files of the stories")

// TestStories: what people see in each story, that it is the same each time, and that what it
// expects holds.
func TestStories(t *testing.T) {
	stories, err := Stories()
	if err != nil {
		t.Fatal(err)
	}
	if len(stories) < 20 {
		t.Fatalf("%d stories", len(stories))
	}
	for _, s := range stories {
		t.Run(s.Name, func(t *testing.T) {
			lines, err := Play(t.Context(), s)
			if err != nil {
				t.Fatalf("%v\n%s", err, Render(s.Title, lines))
			}
			got := Render(s.Title, lines)
			if Wrong(lines) > 0 {
				t.Errorf("expectations that do not hold (✗):\n%s", got)
			}
			golden := filepath.Join("testdata", s.Name+".golden")
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-rewrite rewrites it): %s", golden, diff)
			}
		})
	}
}

// TestWords: pessimistic versions lose no word, whatever the order in which three writers
// take their turns; plain puts do in some.
func TestWords(t *testing.T) {
	lost := 0
	for seed := range 20 {
		text := strings.ReplaceAll(`title Words
seed SEED
nodes 5
put Ada plain start
vput Ada agreed set start
together
append Ben plain " one"
append Cleo plain " two"
append Dan plain " three"
end
get Eve plain
expect has start one two three
together
vput Ben agreed append " one"
vput Cleo agreed append " two"
vput Dan agreed append " three"
end
get Eve agreed
expect values 1
expect has start one two three
`, "SEED", string(rune('0'+seed%10))+string(rune('0'+seed/10)))
		lines, err := Play(t.Context(), parse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		wrong := Wrong(lines)
		if wrong == 1 && lines[len(lines)-1].Kind == KindHolds && lines[len(lines)-2].Kind == KindHolds {
			lost++
			wrong = 0
		}
		if wrong > 0 {
			t.Errorf("seed %d:\n%s", seed, Render("", lines))
		}
	}
	if lost == 0 {
		t.Error("plain puts have lost nothing in 20 orders")
	}
}

func parse(t *testing.T, text string) Story {
	t.Helper()
	s, err := ParseStory(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWrong: an expectation that does not hold is shown as such, with what holds.
func TestWrong(t *testing.T) {
	lines, err := Play(t.Context(), parse(t, `title Wrong
nodes 3
expect status ok
put Ada k v
expect copies k 2
expect status protected
get Ada k
expect value w
expect nothing
expect values 2
expect rounds 2
expect messages 5
expect has w
expect lost v
expect keeps k Ada
expect links 9
expect needs 1
index x dst keys 1..8 room 1
insert Ada x 1 v
expect kept [1..8]
expect refused [1..8]
range Ada x 1..1
expect asked [1..2]
publish Ada d at "green tea" pairs
expect keys 2
find Ben tea
expect keys 2
expect value tea
`))
	if err != nil {
		t.Fatal(err)
	}
	if n := Wrong(lines); n != 19 {
		t.Errorf("%d are wrong, want 19:\n%s", n, Render("", lines))
	}
	if !strings.Contains(Render("", lines), "✗ copies k 2: no, 3") {
		t.Errorf("%s", Render("", lines))
	}
}

// TestRefused: what is wrong with a story is said, with its line.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"nodes 3":                                                             "no line \"title …\"",
		"title a\nnodes 65":                                                   "line 2: nodes: \"65\" is not a number from 1 to 64",
		"title a\nnodes 64\nnode Zed":                                         "line 3: node: more than 64 nodes",
		"title a\nfly":                                                        "line 2: fly: there is no such command",
		"title a\nput Ada k v":                                                "there is no node \"Ada\"",
		"title a\nnodes 1\nput Ada k":                                         "a value is missing",
		"title a\nnodes 1\nput Ada k v x":                                     "\"x\" is no option",
		"title a\nnodes 1 2":                                                  "\"2\" is one word too many",
		"title a\nnodes 1\nroot zero":                                         "has to come before the first node",
		"title a\nnodes 1\ntogether\nwait 1s":                                 "nothing but writes",
		"title a\nnodes 1\ntogether":                                          "\"together\" without \"end\"",
		"title a\nnodes 1\ncrash Ada\nget Ada k":                              "Ada is not running",
		"title a\nput \"Ada":                                                  "line 2: quotes that do not end",
		"title a\nnodes 1\nget Ada k ttl -1s":                                 "no time such as 10s",
		"title a\nnodes 1\nexpect love":                                       "nothing that can be expected",
		"title a\nnodes 3\nend":                                               "there is no \"together\" before it",
		"title a\n" + strings.Repeat("nodes 1\n", MaxCommands+1):              "more than 500 commands",
		"title a\nindex x dst keys 1..7":                                      "keys from 1 to 7 are not 2, 4, 8 … or 256",
		"title a\nindex x dst keys 1..1024":                                   "are not 2, 4, 8 … or 256",
		"title a\nindex x dst keys 8..1":                                      "\"8..1\" is not two numbers such as 1..8",
		"title a\nindex x tree keys 1..8":                                     "\"tree\" is not dst, pht or buckets",
		"title a\nindex x pht keys 1..8 leaf 2":                               "\"leaf\" is no option",
		"title a\nindex x dst keys 1..8 leaf 3":                               "a leaf of 3 keys",
		"title a\nindex x dst keys 1..8\nindex x dst keys 1..8":               "there is an index x already",
		"title a\nindex x dst keys 1..8\nshow index x":                        "nobody runs",
		"title a\nnodes 1\nindex x dst keys 1..8\ninsert Ada x 9 v":           "\"9\" is not a key from 1 to 8",
		"title a\nnodes 1\nindex x dst keys 1..8\nrange Ada x 0..3":           "the keys are 1 to 8",
		"title a\nnodes 1\nrange Ada x 1..3":                                  "there is no index \"x\"",
		"title a\nnodes 1\nindex x dst keys 1..8\ntogether\nrange Ada x 1..2": "nothing but writes",
		"title a\nnodes 1\npublish Ada d \"green tea\"":                       "its words are missing",
		"title a\nnodes 1\npublish Ada 9..3 at tea":                           "not 1 to 1000 documents",
		"title a\nnodes 1\npublish Ada 0..1000 at tea":                        "not 1 to 1000 documents",
		"title a\nnodes 1\npublish Ada 0..999 at \"a b c d e\"":               "more than 4000 entries",
		"title a\nnodes 1\npublish Ada d at tea similar 3":                    "not a number of edits from 0 to 2",
		"title a\nnodes 1\npublish Ada d at \" \"":                            "0 words",
		"title a\nnodes 1\nfind Ada tea by luck":                              "plan \"luck\"",
		"title a\nnodes 1\nfind Ada tea now":                                  "\"now\" is no option",
		strings.Repeat("#", MaxStory+1):                                       "65537 bytes",
		"title \x1b[31m":                                                      "a character that cannot be shown",
	} {
		s, err := ParseStory(text)
		if err == nil {
			_, err = Play(t.Context(), s)
		}
		if !errors.Is(err, ErrStory) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

// TestTime: a story ends with its context, however much it wants.
func TestTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lines, err := Play(ctx, parse(t, "title Long\nnodes 3\nput Ada k v\n"))
	if !errors.Is(err, ErrStory) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v after %d lines", err, len(lines))
	}
}

func FuzzStory(f *testing.F) {
	entries, err := files.ReadDir("stories")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		text, err := files.ReadFile("stories/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseStory(text)
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = Play(ctx, s)
		}
		if err != nil && !errors.Is(err, ErrStory) {
			t.Errorf("%v, want ErrStory", err)
		}
	})
}
