package tracker

import "github.com/shoal-p2p/shoal/p2p/swarm/seed"

// Changed is the event that more or fewer have a seed than before, as far as this node knows.
type Changed struct {
	ID      seed.ID `json:"id"`
	Name    string  `json:"name"` // empty: nobody has said
	Size    int64   `json:"size"` // -1: nobody has said
	Whole   int     `json:"whole"`
	Partial int     `json:"partial"`
}

// Topic implements p2p.Event.
func (Changed) Topic() string { return "tracker.changed" }

// changed tells of seeds whose sources are others now, because of others.
func (s *Service) changed(ids []seed.ID) {
	for _, id := range ids {
		s.o.Changed(id)
	}
	s.emit(ids)
}

// emit publishes what is known of seeds now.
func (s *Service) emit(ids []seed.ID) {
	if len(ids) == 0 {
		return
	}
	events := make([]Changed, 0, len(ids))
	now := s.o.Now()
	s.mu.Lock()
	for _, id := range ids {
		l := Listed{Size: -1}
		if e := s.core.seeds[id]; e != nil {
			l, _ = s.core.listed(now, e)
			if e.shown == [2]int{l.Whole, l.Partial} {
				continue
			}
			e.shown = [2]int{l.Whole, l.Partial}
		}
		events = append(events, Changed{ID: id, Name: l.Name, Size: l.Size, Whole: l.Whole, Partial: l.Partial})
	}
	s.mu.Unlock()
	for _, e := range events {
		s.o.Publish.Emit(e)
	}
}
