package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/shoal-p2p/shoal/p2p"
	"github.com/shoal-p2p/shoal/p2p/dht"
	"github.com/shoal-p2p/shoal/p2p/wire"
)

// dhtWriter changes dht.db in a transaction. What is in its fields is written by flush
// and end.
type dhtWriter struct {
	ctx context.Context // that does not end: see DB.Write
	tx  *sql.Tx

	store     *dhtStore
	s         *dhtStatements
	locations map[p2p.Key]*dhtLocation
	authors   map[p2p.ID]*dht.Usage // what is more than before, or less
	author    *dht.Usage            // of the last one that was counted
	authorKey ed25519.PublicKey

	// Arguments of statements.
	putRecords, putClaims       []any
	cutRecordRows, cutClaimRows []any

	stale    [][]byte // rows of dht_cell whose records are gone
	rows     int      // of dht_cell that are not written
	wroteAll bool     // none is
	partial  bool     // the table is not complete for all that
}

// loaded is what a name has before decide.
type loaded struct {
	rows    []int64 // in dht_record, of records
	records []dht.Held
	entry   dht.Claim
	domain  *dht.Claim // nil: that of the name before
	shared  *dht.Claim // what decide changes
}

// change lets c decide, and changes what is decided. An error of c is kept there.
func (w *dhtWriter) change(c *dhtChange) error {
	before := make([]loaded, len(c.names))
	if err := w.load(c.names, before); err != nil {
		return err
	}
	cells := make([]*dht.Cell, len(c.names))
	kept := make([]dht.Cell, len(c.names))
	for i := range before {
		b := &before[i]
		if b.domain == nil {
			b.shared = before[i-1].shared
		} else {
			shared := *b.domain
			b.shared = &shared
		}
		kept[i] = dht.Cell{Name: c.names[i], Domain: b.shared, Entry: b.entry, Records: slices.Clone(b.records)}
		cells[i] = &kept[i]
	}
	if c.err = c.decide(cells); c.err != nil {
		return nil
	}
	for i, cell := range cells {
		cell.Name = c.names[i]
		if c.err = cell.Check(); c.err != nil {
			return nil
		}
	}
	for i, cell := range cells {
		w.apply(&before[i], cell)
	}
	if err := w.flush(); err != nil {
		return err
	}
	for i := range before {
		if err := w.applyDomain(&before[i], &c.names[i]); err != nil {
			return err
		}
	}
	return w.flush()
}

// applyDomain notes how the claim on a domain has changed. The records of the domain are
// written already: they tell when it ends where the changed cells could not.
func (w *dhtWriter) applyDomain(b *loaded, name *dht.Name) error {
	if b.domain == nil {
		return nil // it was the same for the name before
	}
	if b.shared.Stale {
		held, err := w.domain(name)
		if err != nil {
			return err
		}
		b.shared.Recount(dht.ProtectDomain, slices.Values(held))
	}
	if !b.domain.Equal(*b.shared) {
		w.claim(w.locations[name.Location], packDomain(name), *b.domain, *b.shared)
	}
	return nil
}

// domain reads the headers of all records of a domain.
func (w *dhtWriter) domain(name *dht.Name) (held []dht.Held, err error) {
	take := func(r *sql.Rows) error {
		var h dht.Held
		var header sql.RawBytes
		if err := r.Scan(&h.Expires, &header); err != nil {
			return err
		}
		if err := wire.Unmarshal(header, &h.Header); err != nil {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		held = append(held, h)
		return nil
	}
	from := packDomain(name)
	to := after(from)
	err = w.each(take, `SELECT r.expires, r.header FROM dht_cell c CROSS JOIN dht_record r ON r.n = c.n WHERE c.at > ? AND c.at < ?`, from, to)
	for _, c := range w.locations[name.Location].span(from, to) {
		if err == nil {
			err = w.each(take, `SELECT expires, header FROM dht_record WHERE n = ?`, c.n)
		}
	}
	return held, err
}

// load reads what there is under names.
func (w *dhtWriter) load(names []dht.Name, before []loaded) error {
	var locations []p2p.Key
	for i := range names {
		if i == 0 || names[i].Location != names[i-1].Location {
			locations = append(locations, names[i].Location)
		}
	}
	if err := w.loadLocations(locations); err != nil {
		return err
	}
	var cells, rows, claims []any
	claimOf := map[string]*dht.Claim{}
	for i := range names {
		name, b := &names[i], &before[i]
		newDomain := i == 0 || names[i-1].Location != name.Location || names[i-1].Domain != name.Domain
		if newDomain {
			b.domain = new(dht.Claim)
		}
		l := w.locations[name.Location]
		if l.records == 0 && l.claims == 0 {
			continue // as most that come
		}
		at := packName(name)
		if l.records > 0 {
			to := after(at)
			cells = append(cells, i, at, to)
			for _, c := range l.span(at, to) {
				rows = append(rows, i, c.n)
			}
		}
		if l.claims == 0 {
			continue
		}
		claimOf[string(at)] = &b.entry
		claims = append(claims, at)
		if newDomain {
			at := packDomain(name)
			claimOf[string(at)] = b.domain
			claims = append(claims, at)
		}
	}
	load := func(rows *sql.Rows) error {
		i, n, h, err := scanHeld(rows)
		if err != nil {
			return err
		}
		b := &before[i]
		at := 0
		for at < len(b.records) && b.records[at].Version.Compare(h.Version) < 0 {
			at++
		}
		b.rows = slices.Insert(b.rows, at, n)
		b.records = slices.Insert(b.records, at, h)
		return nil
	}
	if err := w.s.cells.query(w.ctx, w.tx, cells, load); err != nil {
		return err
	}
	if err := w.s.rows.query(w.ctx, w.tx, rows, load); err != nil {
		return err
	}
	return w.s.claims.query(w.ctx, w.tx, claims, func(rows *sql.Rows) error {
		var at sql.RawBytes
		var c dht.Claim
		var owner []byte
		var master int64
		if err := rows.Scan(&at, &owner, &c.Expires, &master); err != nil {
			return err
		}
		c.Owner, c.Master = owner, uint64(master)
		*claimOf[string(at)] = c
		return nil
	})
}

// loadLocations reads the rows of those locations that are not known yet.
func (w *dhtWriter) loadLocations(locations []p2p.Key) error {
	var args []any
	for i := range locations {
		at := &locations[i]
		if w.locations[*at] != nil {
			continue
		}
		l, there := w.store.fresh.at(*at)
		l.changed, l.removed = false, false
		w.locations[*at] = &l
		if !there {
			args = append(args, at[:])
		}
	}
	return w.s.locations.query(w.ctx, w.tx, args, func(rows *sql.Rows) error {
		var at, sum sql.RawBytes
		var l dhtLocation
		if err := rows.Scan(&at, &l.records, &l.claims, &sum); err != nil {
			return err
		}
		copy(l.sum[:], sum)
		*w.locations[p2p.Key(at)] = l
		return nil
	})
}

// scanHeld reads a row of dhtStatements.cells.
func scanHeld(rows *sql.Rows) (i int, n int64, h dht.Held, err error) {
	var expires int64
	var header sql.RawBytes
	var proof, value []byte
	if err = rows.Scan(&i, &n, &expires, &header, &proof, &value); err != nil {
		return i, n, h, err
	}
	h, err = unpackHeld(expires, header, proof, value)
	return i, n, h, err
}

// apply notes how a cell has changed.
func (w *dhtWriter) apply(before *loaded, c *dht.Cell) {
	l := w.locations[c.Name.Location]
	var name []byte // packed, once it is needed
	for was, is := range dht.Changed(before.records, c.Records) {
		if name == nil {
			name = packName(&c.Name)
		}
		var row int64
		if was != nil {
			i := slices.IndexFunc(before.records, func(h dht.Held) bool { return h.Version == was.Version })
			row = before.rows[i]
			w.count(l, &was.Header, was.Encode(), -1)
		}
		if is == nil {
			w.cutRecord(l, row, packAddress(name, &was.Version))
			continue
		}
		if was == nil {
			w.store.last++ // also if this fails: nobody else may ever have it
			row = w.store.last
			w.rows++
			l.added = append(l.added, freshCell{packAddress(name, &is.Version), row})
		}
		header := is.Encode()
		w.count(l, &is.Header, header, 1)
		w.putRecords = append(w.putRecords, row, is.Expires, header, packProof(&is.Proof), is.Value)
	}
	if !before.entry.Equal(c.Entry) {
		w.claim(l, packName(&c.Name), before.entry, c.Entry)
	}
}

// cutRecord notes that a row of dht_record is gone, and with it that of dht_cell.
func (w *dhtWriter) cutRecord(l *dhtLocation, row int64, at []byte) {
	w.cutRecordRows = append(w.cutRecordRows, row)
	if !l.remove(at) {
		w.stale = append(w.stale, at)
	}
}

// count adds n times a record to what is known of its location and its author.
func (w *dhtWriter) count(l *dhtLocation, h *dht.Header, encoded []byte, n int) {
	l.sum.Merge(dht.SumOfHeader(encoded))
	l.records += int64(n)
	l.changed = true
	if w.author == nil || !bytes.Equal(w.authorKey, h.Author) {
		w.author, w.authorKey = w.usage(p2p.IDOf(h.Author)), h.Author
	}
	w.author.Records += n
	w.author.Bytes += int64(n) * int64(h.Size)
}

// usage returns where what an author has is counted.
func (w *dhtWriter) usage(author p2p.ID) *dht.Usage {
	u := w.authors[author]
	if u == nil {
		u = new(dht.Usage)
		w.authors[author] = u
	}
	return u
}

// claim notes how a claim has changed.
func (w *dhtWriter) claim(l *dhtLocation, at []byte, was, is dht.Claim) {
	if !was.IsZero() {
		l.claims--
	}
	if is.IsZero() {
		w.cutClaimRows = append(w.cutClaimRows, at)
	} else {
		l.claims++
		w.putClaims = append(w.putClaims, at, []byte(is.Owner), is.Expires, int64(is.Master))
	}
	l.changed = true
}

// each calls fn for each row of a query.
func (w *dhtWriter) each(fn func(*sql.Rows) error, query string, args ...any) error {
	rows, err := w.tx.QueryContext(w.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// cut notes that the records of some rows are gone, and returns how many there were.
func (w *dhtWriter) cut(rows []any) (n int, err error) {
	var found []dht.Header
	var numbers []int64
	err = w.s.headers.query(w.ctx, w.tx, rows, func(r *sql.Rows) error {
		var row int64
		var encoded sql.RawBytes
		if err := r.Scan(&row, &encoded); err != nil {
			return err
		}
		var h dht.Header
		if err := wire.Unmarshal(encoded, &h); err != nil {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		found, numbers = append(found, h), append(numbers, row)
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := w.loadLocations(locationsOf(found)); err != nil {
		return 0, err
	}
	for i := range found {
		h := &found[i]
		l := w.locations[h.Location]
		name := h.Name()
		w.count(l, h, h.Encode(), -1)
		w.cutRecord(l, numbers[i], packAddress(packName(&name), &h.Version))
	}
	return len(found), nil
}

// numbers returns the rows that a query finds.
func (w *dhtWriter) numbers(query string, args ...any) (rows []any, err error) {
	err = w.each(func(r *sql.Rows) error {
		var n int64
		err := r.Scan(&n)
		rows = append(rows, n)
		return err
	}, query, args...)
	return rows, err
}

// locationsOf returns the locations of headers.
func locationsOf(headers []dht.Header) []p2p.Key {
	locations := make([]p2p.Key, len(headers))
	for i := range headers {
		locations[i] = headers[i].Location
	}
	return locations
}

// locationOf returns the location that a packed address begins with.
func locationOf(at []byte) (location p2p.Key) {
	copy(location[:], at)
	return location
}

// cutClaims notes that the claims are gone that a query finds.
func (w *dhtWriter) cutClaims(query string, args ...any) error {
	var locations []p2p.Key
	err := w.each(func(r *sql.Rows) error {
		var at []byte
		err := r.Scan(&at)
		locations = append(locations, locationOf(at))
		w.cutClaimRows = append(w.cutClaimRows, at)
		return err
	}, query, args...)
	if err != nil {
		return err
	}
	if err := w.loadLocations(locations); err != nil {
		return err
	}
	for _, at := range locations {
		w.locations[at].claims--
		w.locations[at].changed = true
	}
	return nil
}

// dropLocation notes that at most limit records of a location are gone, and if that is all,
// its claims too. It returns how many records.
func (w *dhtWriter) dropLocation(location p2p.Key, limit int) (n int, err error) {
	if err := w.loadLocations([]p2p.Key{location}); err != nil {
		return 0, err
	}
	from := location[:]
	rows, err := w.numbers(`SELECT c.n FROM dht_cell c CROSS JOIN dht_record r ON r.n = c.n WHERE c.at > ? AND c.at < ? LIMIT ?`, from, after(from), limit)
	if err != nil {
		return 0, err
	}
	for _, c := range w.locations[location].cells {
		if len(rows) < limit {
			rows = append(rows, c.n)
		}
	}
	if n, err = w.cut(rows); n == limit || err != nil {
		return n, err
	}
	return n, w.cutClaims(`SELECT at FROM dht_claim WHERE at > ? AND at < ?`, from, after(from))
}

// flush writes what is noted but for the rows of locations, cells and authors.
func (w *dhtWriter) flush() error {
	for _, l := range w.locations {
		l.settle()
	}
	for _, todo := range [...]struct {
		statement *wide
		args      *[]any
	}{
		{&w.s.cutRecords, &w.cutRecordRows},
		{&w.s.cutClaims, &w.cutClaimRows},
		{&w.s.putRecords, &w.putRecords},
		{&w.s.putClaims, &w.putClaims},
	} {
		if err := todo.statement.exec(w.ctx, w.tx, *todo.args); err != nil {
			return err
		}
		*todo.args = nil
	}
	return nil
}

// end writes the rows of authors, and of locations and cells if there are many.
func (w *dhtWriter) end() error {
	var count, less []any
	for _, author := range slices.SortedFunc(maps.Keys(w.authors), func(a, b p2p.ID) int { return bytes.Compare(a[:], b[:]) }) {
		u := w.authors[author]
		if *u == (dht.Usage{}) {
			continue
		}
		count = append(count, author[:], u.Records, u.Bytes)
		if u.Records < 0 {
			less = append(less, author[:])
		}
	}
	if err := w.s.countAuthors.exec(w.ctx, w.tx, count); err != nil {
		return err
	}
	if err := w.s.cutAuthors.exec(w.ctx, w.tx, less); err != nil {
		return err
	}
	for _, l := range w.locations {
		if l.changed {
			w.rows++
		}
	}
	if !w.wroteAll && w.store.rows+w.rows >= w.store.maxFresh {
		if err := w.writeFresh(); err != nil {
			return err
		}
	}
	if complete := w.complete(); complete != w.store.complete {
		_, err := w.tx.ExecContext(w.ctx, `UPDATE dht_index SET complete = ?`, complete)
		return err
	}
	return nil
}

// complete reports whether dht_cell has all of its rows when w is committed.
func (w *dhtWriter) complete() bool {
	return !w.partial && (w.wroteAll || w.store.complete && w.rows == 0)
}

// tx1 reads the only row of a query.
func tx1(w *dhtWriter, query string, dest any) error {
	return w.tx.QueryRowContext(w.ctx, query).Scan(dest)
}
