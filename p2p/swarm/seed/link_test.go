package seed

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
)

// TestLink: links as they are written on boards.
func TestLink(t *testing.T) {
	node := p2p.ID{1, 2, 3}
	want := Link{
		ID: ID(mustMake(t, []byte("abc"), "a").Root), Size: 3, Name: "Übung 1 & 2+3.txt",
		Trackers: []p2p.ID{node}, Web: []string{"https://example.org/a?b=c&d"},
		Extra: map[string]string{LinkVia: "aB-_9", LinkExpires: "1790000000"},
	}
	const rest = "seed/6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85?len=3&name=%C3%9Cbung%201%20%26%202%2B3.txt" +
		"&tr=aebagaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ws=https%3A%2F%2Fexample.org%2Fa%3Fb%3Dc%26d&exp=1790000000&via=aB-_9"
	if got := want.String(); got != "shoal:"+rest {
		t.Errorf("%s\nwant\n%s", got, rest)
	}
	if got := want.Page("http://localhost:8080/"); got != "http://localhost:8080/#get="+rest {
		t.Error(got)
	}
	for _, text := range []string{
		"shoal:" + rest, " SHOAL:" + rest + "\n", "https://10.0.0.7:1234/some/page#get=" + rest, "shoal:" + rest + "&x-new=1",
		"shoal:" + strings.Replace(rest, "%202%2B3", " 2+3", 1),
	} {
		if got, err := ParseLink(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestLinkRefuses(t *testing.T) {
	const good = "shoal:seed/" + abcRoot + "?len=3&name=a"
	if _, err := ParseLink(good); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "shoal:", "shoal:seed/", "seed/" + abcRoot + "?len=3&name=a", "shoal:join/" + abcRoot, "ftp://a/#get=seed/" + abcRoot + "?len=3&name=a",
		"http://a/seed/" + abcRoot + "?len=3&name=a", "javascript:alert(1)",
		"shoal:seed/" + abcRoot, "shoal:seed/" + abcRoot + "?len=3", "shoal:seed/" + abcRoot + "?name=a", "shoal:seed/" + abcRoot[1:] + "?len=3&name=a",
		strings.ToUpper(good), strings.Replace(good, "=3", "=-3", 1), strings.Replace(good, "=3", "=1e3", 1), strings.Replace(good, "=3", "=4398046511105", 1),
		strings.Replace(good, "=3", "=0", 1), // not the ID of an empty file
		good + "&len=3", good + "&name=b", good + "&color=red", good + "&", good + "&name=%", good + "&tr=a", good + "&ws=ftp%3A%2F%2Fa",
		strings.Replace(good, "=a", "=..%2Fa", 1), strings.Replace(good, "=a", "=a%00", 1), strings.Replace(good, "=a", "=%ff", 1), strings.Replace(good, "=a", "=", 1),
		good + "&form=sha1", good + "&form=md5&form=md5", good + "&via=", good + "&via=a%26", good + "&via=a&via=b", good + "&exp=%20",
		good + strings.Repeat("&ws=http://a", 2), good + many(9, func(i int) string { return "&tr=" + p2p.ID{byte(i)}.String() }),
		good + "&x-a=" + strings.Repeat("a", MaxLink),
	} {
		if l, err := ParseLink(text); !errors.Is(err, ErrLink) {
			t.Errorf("%.200s: %+v, %v", text, l, err)
		} else if len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// TestLinkAlone: what a link says is enough to check the rest.
func TestLinkAlone(t *testing.T) {
	small := mustMake(t, []byte("abc"), "a")
	if s, err := small.Link().Seed(); err != nil || !s.Verify(0, []byte("abc")) || !reflect.DeepEqual(s, small) {
		t.Errorf("%+v, %v", s, err)
	}
	data := noise(1, 40000)
	large := mustMake(t, data, "b")
	s, err := large.Link().Seed()
	if err != nil || s.Verify(0, data[:16384]) || s.Inline() {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err = s.WithPieces(large.Pieces); err != nil || !s.Verify(0, data[:16384]) || !reflect.DeepEqual(s, large) {
		t.Errorf("%+v, %v", s, err)
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add("shoal:seed/" + abcRoot + "?len=3&name=a")
	f.Add("http://localhost:8080/#get=seed/" + emptyHash + "?len=0&name=%C3%9C+b&form=md5&tr=" + p2p.ID{1}.String() + "&ws=https%3A%2F%2Fa%2Fb&via=a_-&exp=1&x-y=z")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLink(text)
		if err != nil {
			if !errors.Is(err, ErrLink) {
				t.Fatal(err)
			}
			return
		}
		for _, text := range []string{l.String(), l.Page("https://example.org")} {
			if again, err := ParseLink(text); err != nil || !reflect.DeepEqual(again, l) {
				t.Fatalf("%v: %+v became %+v", err, l, again)
			}
		}
		if CheckName(l.Name) != nil || l.Size < 0 || l.Size > MaxSize {
			t.Fatalf("%+v", l)
		}
	})
}
