package folder

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// maxSkips is how many skipped paths are kept by name.
const maxSkips = 1000

// skips collects what was left out. The zero value works.
type skips struct {
	mu      sync.Mutex // guards all following fields
	reasons map[string]Reason
	counts  map[Reason]int
	total   int
}

// add notes that path was left out. Of one that is known by name only the reason
// changes.
func (s *skips) add(path string, why Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reasons == nil {
		s.reasons, s.counts = make(map[string]Reason), make(map[Reason]int)
	}
	if before, known := s.reasons[path]; known {
		s.counts[before]--
		s.total--
	}
	s.counts[why]++
	s.total++
	if _, known := s.reasons[path]; known || len(s.reasons) < maxSkips {
		s.reasons[path] = why
	}
}

// forget forgets what was left out directly in a directory, which is about to be looked at
// again.
func (s *skips) forget(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, why := range s.reasons {
		if parent(path) == dir {
			s.counts[why]--
			if s.counts[why] == 0 {
				delete(s.counts, why)
			}
			s.total--
			delete(s.reasons, path)
		}
	}
}

func (s *skips) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// report returns all, by path.
func (s *skips) report() Skips {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Skips{Total: s.total, Counts: maps.Clone(s.counts)}
	for path, why := range s.reasons {
		r.Items = append(r.Items, Skipped{Path: printable(path), Reason: why})
	}
	slices.SortFunc(r.Items, func(a, b Skipped) int { return strings.Compare(a.Path, b.Path) })
	return r
}

// printable quotes a path that is not UTF-8 or would deceive whoever reads it in
// a list: control characters, and those that turn the direction of writing.
func printable(path string) string {
	if utf8.ValidString(path) && !strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return path
	}
	return strconv.Quote(path)
}
