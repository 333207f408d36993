package search

// sheaf is the words of several documents by word. What is known of a word is
// somewhere in memory, and the words of one document are all over it: to put many
// documents into the index word by word takes a tenth of the detours.
type sheaf struct {
	entries []gathered // by the tally's number
	used    []int      // numbers of words that there are
	records []Record   // without words and text, which have been read already
	lengths []lengths
}

// gathered is what a sheaf has of a word.
type gathered struct {
	list      list // slots count from the first document
	documents int
	stored    uint32 // the number in the store, plus one; 0: not looked up, or none
	known     uint32 // the number in the index, plus one; 0: not looked up, or none
}

// entry returns what there is of a word.
func (s *sheaf) entry(number int) *gathered {
	for number >= len(s.entries) {
		s.entries = append(s.entries, gathered{})
	}
	return &s.entries[number]
}

// put adds a word of the document that is being added.
func (s *sheaf) put(number int, code uint32, places []byte) {
	e := s.entry(number)
	if e.documents == 0 {
		s.used = append(s.used, number)
	}
	e.documents++
	e.list.add(uint32(len(s.records)), code, places)
}

// end ends the document whose words were put.
func (s *sheaf) end(r *Record, l lengths) {
	meta := *r
	meta.Terms, meta.Text = nil, nil
	s.records, s.lengths = append(s.records, meta), append(s.lengths, l)
}

// empty forgets the documents; words that are known cost no allocation the next time.
func (s *sheaf) empty() {
	for _, number := range s.used {
		e := &s.entries[number]
		*e = gathered{list: list{data: e.list.data[:0]}}
	}
	clear(s.records)
	s.used, s.records, s.lengths = s.used[:0], s.records[:0], s.lengths[:0]
}

// extend adds the postings of more, whose slots count from first.
func (l *list) extend(more *list, first uint32) {
	c := more.walk()
	if !c.advance() {
		return
	}
	l.add(first+c.slot, c.code, c.places)
	l.grow(len(c.rest))
	l.data = append(l.data, c.rest...)
	l.next = first + more.next
}
