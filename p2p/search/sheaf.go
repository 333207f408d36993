package search

// sheaf is the words of several documents by word. What is known of a word is
// somewhere in memory, and the words of one document are all over it: to put many
// documents into the index word by word takes a tenth of the detours.
type sheaf struct {
	words   []string // by number
	lists   []list   // by number; slots count from the first document
	counts  []int    // by number: documents
	used    []int    // numbers of words that there are
	records []Record // without what has been read already
	lengths []lengths

	numbers map[string]int // of words, but for documents of a tally, which has numbers
}

// read adds a document by its packed words, which are sound.
func (s *sheaf) read(r *Record) {
	if s.numbers == nil {
		s.numbers = make(map[string]int)
	}
	l, _ := unpack(r.Terms, func(word []byte, code uint32, places []byte) {
		number, ok := s.numbers[string(word)]
		if !ok {
			number = len(s.words)
			s.words = append(s.words, string(word))
			s.numbers[s.words[number]] = number
		}
		s.put(number, code, places)
	})
	s.end(r, l)
}

// put adds a word of the document that is being added.
func (s *sheaf) put(number int, code uint32, places []byte) {
	for number >= len(s.lists) {
		s.lists, s.counts = append(s.lists, list{}), append(s.counts, 0)
	}
	if s.counts[number] == 0 {
		s.used = append(s.used, number)
	}
	s.counts[number]++
	s.lists[number].add(uint32(len(s.records)), code, places)
}

// end ends the document whose words were put.
func (s *sheaf) end(r *Record, l lengths) {
	meta := *r
	meta.Fields, meta.Terms, meta.Text = nil, nil, nil
	s.records, s.lengths = append(s.records, meta), append(s.lengths, l)
}

// empty forgets the documents; words that are known cost no allocation the next time.
func (s *sheaf) empty() {
	if len(s.words) > maxTally {
		*s = sheaf{}
		return
	}
	for _, number := range s.used {
		s.lists[number] = list{data: s.lists[number].data[:0]}
		s.counts[number] = 0
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
