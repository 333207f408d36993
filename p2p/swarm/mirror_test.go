package swarm

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-p2p/shoal/p2p/sim"
)

// TestServers: a file comes from a plain web server that a person names, whether it serves ranges or not, and from
// members at the same time.
func TestServers(t *testing.T) {
	data := noise(4, 12<<20)
	ranges := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(data))
	}))
	defer ranges.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "12582912")
		_, _ = w.Write(data) // whoever reads may have enough
	}))
	defer plain.Close()
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(noise(5, 12<<20)))
	}))
	defer liar.Close()
	c := newClass(t, 2, sim.Options{})
	s := c.seats[0].share("film.mkv", data)
	if err := c.seats[0].Forget(t.Context(), s.ID(), false); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"ranges": ranges.URL, "no ranges": plain.URL} {
		t.Run(name, func(t *testing.T) {
			h := c.seats[1]
			if _, err := h.Download(t.Context(), GetOptions{Seed: s, Web: []string{liar.URL, url}}); err != nil {
				t.Fatal(err)
			}
			st := h.until(s.ID(), StateSeeding)
			same(t, st.Path, data)
			p, err := h.Picture(s.ID())
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range p.Members {
				if m.URL == liar.URL && m.Pieces > 0 {
					t.Errorf("%d pieces of another file were taken", m.Pieces)
				}
			}
			if err := h.Forget(t.Context(), s.ID(), true); err != nil {
				t.Fatal(err)
			}
		})
	}
	// A seed of others does not lead to this computer.
	s.Web = []string{ranges.URL}
	if _, err := c.seats[1].Download(t.Context(), GetOptions{Seed: s}); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		p, err := c.seats[1].Picture(s.ID())
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Members) > 0 && p.Members[0].State == PartyGone {
			if p.Here != 0 {
				t.Error("a stranger's URL was followed to this computer")
			}
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%+v", p.Members)
		}
	}
}

// TestServerList: who has a link, and nobody but a plain web server, gets the file if the list of its pieces is beside
// it; if not, it is said what is missing. A list of another file is not taken.
func TestServerList(t *testing.T) {
	data := noise(6, 3<<20)
	c := newClass(t, 2, sim.Options{})
	s := c.seats[0].share("film.mkv", data)
	if err := c.seats[0].Forget(t.Context(), s.ID(), false); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var list []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/film.mkv" && r.URL.RawQuery == "key=1":
			http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(data))
		case r.URL.Path == "/film.mkv.pieces" && r.URL.RawQuery == "key=1" && list != nil:
			http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(list))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	put := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		list = b
	}
	known, err := s.Link().Seed()
	if err != nil || known.Pieces != nil {
		t.Fatal(err)
	}
	ben := c.seats[1]
	begin := func() {
		if _, err := ben.Download(t.Context(), GetOptions{Seed: known, Web: []string{server.URL + "/film.mkv?key=1"}}); err != nil {
			t.Fatal(err)
		}
	}
	says := func(what string) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			st, err := ben.Service.Get(s.ID())
			if err != nil {
				t.Fatal(err)
			}
			if st.State == StateWaiting && strings.Contains(st.Error, what) && strings.Contains(st.Error, "/film.mkv.pieces?key=1") {
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%s: %q", st.State, st.Error)
			}
		}
	}
	begin()
	says("404")
	put(s.PackPieces())
	st := ben.until(s.ID(), StateSeeding)
	same(t, st.Path, data)
	if st.Error != "" {
		t.Errorf("%q of a file that is there", st.Error)
	}
	if err := ben.Forget(t.Context(), s.ID(), true); err != nil {
		t.Fatal(err)
	}
	put(noise(7, len(s.Pieces)*32))
	begin()
	says("not what the seed says")
	// A member knows better.
	if _, err := c.seats[0].Make(t.Context(), c.seats[0].dir+"/film.mkv", MakeOptions{}); err != nil {
		t.Fatal(err)
	}
	same(t, ben.until(s.ID(), StateSeeding).Path, data)
}
