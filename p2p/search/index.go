package search

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/fastss"
	"github.com/shoal-p2p/shoal/p2p/search/query"
)

const (
	// batchSize is the number of documents that are put in one transaction, and loadSize that of
	// those that are loaded at once.
	batchSize = 256
	loadSize  = 1024
	// heldWords is the number of words of documents that come or go for which
	// queries wait at once.
	heldWords = 2048
	// maxTally is the number of words after which a tally starts anew.
	maxTally = 64 << 10
)

// Index finds the documents of one node. The words are in memory, compact; the
// texts stay in the Store and are read for snippets only. Methods may be called
// by several goroutines at once; queries do not wait for each other.
type Index struct {
	store Store
	codec codec
	gate  *gate // of peers' queries
	turn  int   // turnSteps, but for tests
	// readable returns the folders that a member may see; nil: nobody was restricted.
	readable func(asker p2p.ID) map[string]bool
	nameOf   func(folder string) string // nil: folders have no names

	// writing is held while documents change, from the look at what is there to
	// the end, so that store and memory stay the same. Lock order: writing, mu.
	// It guards numbering.
	writing   sync.Mutex
	numbering numbering

	// mu guards all following fields.
	mu         sync.RWMutex
	docs       []doc  // by slot; a slot is used once
	sizes      []size // by slot
	filled     int    // slots: what is in those behind is being put there
	slots      map[string]uint32
	vocabulary fastss.Vocabulary // a word's count is the number of documents
	lists      []list            // by the word's number
	labels     map[string]string // one copy of each folder ID and type
	folders    map[string]int    // documents of each
	groups     groups
	words      uint64 // of all texts
	bytes      uint64 // of all texts
	squeezed   uint64 // how often slots were numbered anew
	version    uint64 // how often documents came or went
	held       int    // words since mu was let go of last

	scratch sync.Pool // of *scratch
	tallies sync.Pool // of *tally
}

// doc is what is known of a document without asking the store.
type doc struct {
	id, title, folder, path, kind string // id is empty when the document is gone
	size, modified                int64
	bytes                         uint32           // of the text
	own                           map[string]int64 // numbers in fields of its own, as query.Order has them
}

// size is what is looked at of each document that has a word: apart from the rest, it stays near to
// the processor.
type size struct {
	words      uint32 // of the text
	group      uint32 // its number
	name, head uint8  // words of the name and of the title, at most 255
	there      bool   // the document is not gone
}

// Stats are the sizes of an index.
type Stats struct {
	Documents int
	Terms     int   // different words
	Bytes     int64 // of text
	Postings  int64 // bytes of memory for where words occur
}

// Options configure an Index. The zero value works.
type Options struct {
	// Rereading is told while Open reads documents again from their texts, as it does when a
	// program has another format than the one before: of all, so many are done. Nil: nobody is.
	Rereading func(done, all int)
}

// Open returns the index of what store holds. Nobody else may change the store
// while the index is used.
func Open(ctx context.Context, store Store) (*Index, error) { return Options{}.Open(ctx, store) }

// Open is the function Open with options.
func (o Options) Open(ctx context.Context, store Store) (*Index, error) {
	x := &Index{
		store: store, gate: newGate(maxEach, maxWait), turn: turnSteps,
		slots: make(map[string]uint32), labels: make(map[string]string), folders: make(map[string]int),
	}
	x.writing.Lock()
	stale, err := x.load(ctx)
	x.writing.Unlock()
	if err != nil {
		return nil, err
	}
	if o.Rereading == nil {
		o.Rereading = func(int, int) {}
	}
	if err := x.reread(ctx, stale, o.Rereading); err != nil {
		return nil, err
	}
	return x, nil
}

// load reads the store and returns the IDs of the documents that have to be read again.
func (x *Index) load(ctx context.Context) (stale []string, err error) {
	var words storedWords
	if err := words.read(ctx, x.store); err != nil {
		return nil, err
	}
	x.numbering.words = make([]uint32, len(words.words))
	l := loading{index: x, words: &words}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.store.Load(ctx, l.record); err != nil {
		return nil, fmt.Errorf("search: load documents: %w", err)
	}
	l.insert()
	for i := range x.lists {
		x.lists[i].trim()
	}
	if err := x.numbering.sweep(ctx, x.store, &words); err != nil {
		return nil, err
	}
	return l.stale, nil
}

// loading is the way of documents from the store into memory.
type loading struct {
	index *Index
	words *storedWords
	// Documents with words of their own, and the others, whose words have the store's numbers.
	own, others tally
	stale       []string
}

func (l *loading) record(r Record) error {
	packed, err := openTerms(r.Terms, &l.index.codec)
	t := &l.others
	if packed.own {
		t = &l.own
	}
	if err == nil {
		err = t.unpack(&packed, func(stored uint32) bool {
			return int(stored) < len(l.words.words) && l.words.words[stored] != ""
		})
	}
	if err != nil {
		l.stale = append(l.stale, r.ID)
		// Which words it has is not known, if it has any of the store's.
		l.index.numbering.unsure = l.index.numbering.unsure || len(r.Terms) > 0 && r.Terms[0] == termsVersion
		return nil
	}
	if t.end(&r, packed.lengths); len(t.sheaf.records) == loadSize {
		l.insert()
	}
	return nil
}

func (l *loading) insert() {
	for _, stored := range l.others.sheaf.used {
		e := &l.others.sheaf.entries[stored]
		e.stored = uint32(stored) + 1
		e.known = l.index.numbering.words[stored]
	}
	l.index.insert(&l.own.sheaf, l.own.words)
	l.index.insert(&l.others.sheaf, l.words.words)
}

// Restrict has Handler and FetchHandler answer members as if there were no documents but
// those that were published, and those of folders that they may see. It is called before
// the first of these.
func (x *Index) Restrict(readable func(asker p2p.ID) map[string]bool) { x.readable = readable }

// Name has conditions on folders mean those of a name, besides those of an ID. It is
// called before the first query.
func (x *Index) Name(nameOf func(folder string) string) { x.nameOf = nameOf }

// seenBy returns the folders that a member who asks may see; all: every one.
func (x *Index) seenBy(asker p2p.ID) (folders map[string]bool, all bool) {
	if x.readable == nil {
		return nil, true
	}
	return x.readable(asker), false
}

// hidden returns the folders of which there are documents, and which who asks q may not see,
// and how many documents that are; nil if none. The caller holds mu.
func (x *Index) hidden(q request) (folders map[string]bool, documents int) {
	if !q.restricted {
		return nil, 0
	}
	for f, n := range x.folders {
		if q.readable[f] {
			continue
		}
		if folders == nil {
			folders = map[string]bool{}
		}
		folders[f] = true
		documents += n
	}
	return folders, documents
}

// reread indexes documents again from their texts. A file without a readable text
// is removed, since the next scan brings it back. What was published is nowhere
// else: it stays in the store as it is, and is found by what can be read.
func (x *Index) reread(ctx context.Context, ids []string, told func(done, all int)) error {
	var read []Document
	size := 0
	for i, id := range ids {
		if i == 0 || len(read) == 0 {
			told(i, len(ids))
		}
		d, err := x.Document(ctx, id)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err == nil:
			read = append(read, d)
			size += len(d.Text)
		case d.Folder == "" && d.ID != "":
			err = x.insertUnread(d)
		default:
			err = x.store.Remove(ctx, []string{id})
		}
		if err != nil {
			return fmt.Errorf("search: read document %s again: %w", id, err)
		}
		if len(read) < batchSize && size < 4*MaxText {
			continue
		}
		if err := x.Put(ctx, read); err != nil {
			return fmt.Errorf("search: read documents again: %w", err)
		}
		read, size = nil, 0
	}
	if err := x.Put(ctx, read); err != nil {
		return fmt.Errorf("search: read documents again: %w", err)
	}
	if len(ids) > 0 {
		told(len(ids), len(ids))
	}
	return nil
}

// insertUnread adds what could be read of a document to memory alone.
func (x *Index) insertUnread(d Document) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	t := new(tally)
	if _, err := x.record(t, &d, nil); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.insert(&t.sheaf, t.words)
	return nil
}

// Folders returns the IDs of all folders of which there are documents.
func (x *Index) Folders() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.folders))
}

// Stats returns the present sizes.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := Stats{Documents: len(x.slots), Terms: x.vocabulary.Len(), Bytes: int64(x.bytes)}
	for i := range x.lists {
		s.Postings += int64(cap(x.lists[i].data))
	}
	return s
}

// Put adds documents, replacing those of the same ID. With an error, some may
// have been added, each of them whole. Errors: ErrUnusable.
func (x *Index) Put(ctx context.Context, documents []Document) error {
	if len(documents) == 0 {
		return nil
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	for batch := range slices.Chunk(documents, batchSize) {
		if err := x.putBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) putBatch(ctx context.Context, documents []Document) error {
	t, _ := x.tallies.Get().(*tally)
	if t == nil || len(t.words) > maxTally {
		t = new(tally)
	}
	defer x.tallies.Put(t)
	defer t.sheaf.empty()
	records, words, err := x.records(t, documents)
	if err != nil {
		return err
	}
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	old, err := x.store.Terms(ctx, x.known(ids))
	if err == nil {
		err = x.store.Put(ctx, records, words)
	}
	if err != nil {
		x.numbering.unsure = true
		return fmt.Errorf("search: put %d documents: %w", len(records), err)
	}
	x.mu.Lock()
	x.insert(&t.sheaf, t.words)
	for _, id := range ids {
		x.forget(old[id])
	}
	x.version++
	x.mu.Unlock()
	x.compact()
	return nil
}

// records makes the records of documents, of several with the same ID that of
// the last, and puts their words into t's sheaf. words are those that the store has to keep
// with them. The caller holds writing.
func (x *Index) records(t *tally, documents []Document) (records []Record, words []byte, err error) {
	last := make(map[string]int, len(documents))
	for i := range documents {
		last[documents[i].ID] = i
	}
	records = make([]Record, 0, len(last))
	var pack wordPack
	for i := range documents {
		if last[documents[i].ID] != i {
			continue
		}
		r, err := x.record(t, &documents[i], &pack)
		if err != nil {
			return nil, nil, err
		}
		records = append(records, r)
	}
	return records, pack.data, nil
}

// record makes the record of a document, and adds to pack the words that are new to the store.
func (x *Index) record(t *tally, document *Document, pack *wordPack) (Record, error) {
	d, err := document.check()
	if err != nil {
		return Record{}, err
	}
	r := Record{
		ID: d.ID, Title: d.Title, Folder: d.Folder, Path: d.Path, Type: d.Type,
		Size: d.Size, Modified: d.Modified.UTC(),
	}
	if len(d.Fields) > 0 {
		if r.Fields, err = json.Marshal(d.Fields); err != nil {
			return Record{}, fmt.Errorf("search: document %s: fields: %w", d.ID, err)
		}
	}
	if r.Text, err = x.codec.compress(d.Text); err != nil {
		return Record{}, fmt.Errorf("search: document %s: %w", d.ID, err)
	}
	l := t.read(&d)
	// What was published is kept apart from the words of files, and outlives them.
	own := d.Folder == "" || !x.number(t, pack)
	t.packed = t.appendTerms(t.packed[:0], l, own)
	r.Terms = x.codec.press(t.packed, len(t.stream))
	t.end(&r, l)
	return r, nil
}

// number sees that the words of the document that t has read have numbers in the store, and
// reports whether all have.
func (x *Index) number(t *tally, pack *wordPack) bool {
	for _, n := range t.seen {
		e := t.sheaf.entry(n)
		if e.stored != 0 {
			continue
		}
		if m, ok := x.vocabulary.Find(t.words[n]); ok {
			e.known, e.stored = m.Number+1, x.numbering.of(m.Number)
		}
		if e.stored != 0 {
			continue
		}
		stored, ok := x.numbering.next()
		if !ok {
			return false
		}
		e.stored = stored + 1
		pack.add(stored, t.words[n])
	}
	return true
}

// known returns those of ids that are in the index, each once.
func (x *Index) known(ids []string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var found []string
	for _, id := range ids {
		if _, ok := x.slots[id]; ok {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Remove forgets documents. Unknown IDs are no error.
func (x *Index) Remove(ctx context.Context, ids ...string) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	for batch := range slices.Chunk(x.known(ids), batchSize) {
		if err := x.removeBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) removeBatch(ctx context.Context, ids []string) error {
	old, err := x.store.Terms(ctx, ids)
	if err == nil {
		err = x.store.Remove(ctx, ids)
	}
	if err != nil {
		return fmt.Errorf("search: remove %d documents: %w", len(ids), err)
	}
	x.mu.Lock()
	for _, id := range ids {
		x.drop(id)
		x.forget(old[id])
	}
	x.version++ // after the last, as queries have had turns meanwhile
	x.mu.Unlock()
	x.compact()
	return nil
}

// RemoveFolder forgets all documents of a folder.
func (x *Index) RemoveFolder(ctx context.Context, folder string) error {
	var ids []string
	x.mu.RLock()
	for i := range x.docs {
		if d := &x.docs[i]; d.id != "" && d.folder == folder {
			ids = append(ids, d.id)
		}
	}
	x.mu.RUnlock()
	return x.Remove(ctx, ids...)
}

// Document returns a document with its text. Errors: ErrNotFound. With another
// error, what could be read is there all the same.
func (x *Index) Document(ctx context.Context, id string) (Document, error) {
	r, err := x.store.Get(ctx, id)
	if err != nil {
		return Document{}, err
	}
	d := Document{
		ID: r.ID, Title: r.Title, Folder: r.Folder, Path: r.Path, Type: r.Type,
		Size: r.Size, Modified: r.Modified,
	}
	if d.Text, err = x.codec.expand(r.Text); err != nil {
		return d, fmt.Errorf("search: document %s: %w", id, err)
	}
	if len(r.Fields) > 0 {
		if err := json.Unmarshal(r.Fields, &d.Fields); err != nil {
			return d, fmt.Errorf("search: document %s: fields: %w", id, err)
		}
	}
	return d, nil
}

// insert puts the documents of a sheaf into memory under new slots, in place of those
// of the same ID, and empties it. Nobody finds one before all of its words are there. words are
// those of the sheaf's numbers. The caller holds mu and writing.
func (x *Index) insert(s *sheaf, words []string) {
	x.version++
	first := uint32(len(x.docs))
	x.docs = append(x.docs, make([]doc, len(s.records))...)
	x.sizes = append(x.sizes, make([]size, len(s.records))...)
	for _, n := range s.used {
		e := &s.entries[n]
		number := e.known - 1
		if e.known != 0 {
			x.vocabulary.AddTo(number, e.documents)
		} else {
			number = x.vocabulary.Add([]byte(words[n]), e.documents)
		}
		if e.stored != 0 {
			x.numbering.link(number, e.stored-1)
		}
		for int(number) >= len(x.lists) {
			x.lists = append(x.lists, list{})
		}
		x.lists[number].extend(&e.list, first)
		x.breathe(e.documents)
	}
	for i := range s.records {
		r, l := &s.records[i], s.lengths[i]
		x.drop(r.ID)
		slot := first + uint32(i)
		x.docs[slot] = doc{
			id: r.ID, title: r.Title, folder: x.label(r.Folder), path: r.Path, kind: x.label(r.Type),
			size: r.Size, modified: r.Modified.UnixNano(), bytes: uint32(l.text), own: x.numbers(r),
		}
		x.sizes[slot] = size{words: uint32(l.words), group: x.groups.number(&x.docs[slot]), name: uint8(min(l.name, 255)), head: uint8(min(l.title, 255)), there: true}
		x.slots[r.ID] = slot
		if r.Folder != "" {
			x.folders[x.docs[slot].folder]++
		}
		x.words += l.words
		x.bytes += l.text
	}
	x.filled = len(x.docs)
	s.empty()
}

// numbers returns what a document has in fields of its own, as far as they are numbers. The caller holds
// mu.
func (x *Index) numbers(r *Record) map[string]int64 {
	if len(r.Fields) == 0 {
		return nil
	}
	var fields map[string]Value
	if err := json.Unmarshal(r.Fields, &fields); err != nil {
		return nil // Document says so
	}
	var own map[string]int64
	for name, v := range fields {
		if v.IsNumber {
			if own == nil {
				own = map[string]int64{}
			}
			own[x.label(name)] = query.Order(v.Number)
		}
	}
	return own
}

func (x *Index) label(s string) string {
	if one, ok := x.labels[s]; ok {
		return one
	}
	x.labels[s] = strings.Clone(s)
	return x.labels[s]
}

// drop takes a document out of memory, if it is there. Its words are still to be
// forgotten; its postings stay until compact, but nobody finds its slot any more.
// The caller holds mu.
func (x *Index) drop(id string) {
	slot, ok := x.slots[id]
	if !ok {
		return
	}
	d := &x.docs[slot]
	if x.folders[d.folder]--; x.folders[d.folder] <= 0 {
		delete(x.folders, d.folder) // also what was published has no folder
	}
	x.words -= uint64(x.sizes[slot].words)
	x.bytes -= uint64(d.bytes)
	x.docs[slot], x.sizes[slot] = doc{}, size{}
	delete(x.slots, id)
}

// forget takes the words of a document that was dropped from the vocabulary; those
// that cannot be read count as if the document was still there. The caller holds
// mu and writing.
func (x *Index) forget(packed []byte) {
	t, err := openTerms(packed, &x.codec)
	if err != nil {
		x.numbering.unsure = x.numbering.unsure || len(packed) > 0
		return
	}
	t.words(func(word []byte) {
		if number, gone := x.vocabulary.Remove(word, 1); gone {
			x.gone(number)
		}
		x.breathe(1)
	})
	if t.own {
		return
	}
	var all []uint32
	if err := t.each(func(stored, _, _ uint32) { all = append(all, stored) }); err != nil {
		x.numbering.unsure = true
		return
	}
	slices.Sort(all)
	for _, stored := range slices.Compact(all) {
		number, ok := x.numbering.find(stored)
		if ok && x.vocabulary.RemoveFrom(number, 1) {
			x.gone(number)
		}
		x.breathe(1)
	}
}

// gone forgets all there is of a word that is in no document.
func (x *Index) gone(number uint32) {
	x.lists[number] = list{}
	x.numbering.release(number)
}

// breathe lets go of mu for a moment once in a while, so that queries do not wait
// for the end of what is written. The caller holds mu and writing, so nobody else
// changes anything meanwhile.
func (x *Index) breathe(words int) {
	if x.held += words; x.held < heldWords {
		return
	}
	x.held = 0
	x.mu.Unlock()
	x.mu.Lock()
}

// compact numbers the slots anew once so many are empty that walking past them
// costs more than that. The caller holds writing.
func (x *Index) compact() {
	empty := len(x.docs) - len(x.slots)
	if empty >= batchSize && empty >= len(x.slots)/4 {
		x.squeeze()
	}
}

// squeeze leaves no slot empty. The caller holds writing, so what is there stays
// as it is; mu is needed only to put the copy in its place.
func (x *Index) squeeze() {
	const gone = math.MaxUint32
	to := make([]uint32, len(x.docs))
	docs, sizes := make([]doc, 0, len(x.slots)), make([]size, 0, len(x.slots))
	slots := make(map[string]uint32, len(x.slots))
	var groups groups
	for i, d := range x.docs {
		if d.id == "" {
			to[i] = gone
			continue
		}
		to[i] = uint32(len(docs))
		slots[d.id] = to[i]
		docs, sizes = append(docs, d), append(sizes, x.sizes[i])
		sizes[to[i]].group = groups.number(&d)
	}
	lists := make([]list, len(x.lists))
	for i := range x.lists {
		lists[i] = x.lists[i].renumber(to, gone)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.docs, x.sizes, x.slots, x.lists, x.groups, x.filled = docs, sizes, slots, lists, groups, len(docs)
	x.squeezed++
}
