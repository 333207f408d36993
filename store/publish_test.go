package store

import (
	"testing"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/publish"
	"github.com/shoal-p2p/shoal/p2p/publish/publishtest"
)

func TestPublishedStore(t *testing.T) {
	publishtest.Store(t, func(t *testing.T) publish.Store { return openSearch(t, t.TempDir()).Published() })
}

// TestPublishedAfterRestart: where documents are is known after a restart.
func TestPublishedAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Published().Save(t.Context(), []publish.Record{{Document: "a", Network: p2p.ID{1}, Entry: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if all, err := openSearch(t, dir).Published().Load(t.Context()); err != nil || len(all) != 1 || all[0].Document != "a" {
		t.Errorf("%+v, %v", all, err)
	}
}
