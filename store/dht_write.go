package store

import (
	"bytes"
	"context"
	"database/sql"
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
	s   *dhtStatements

	last      int64 // row of dht_record; 0: not known
	locations map[p2p.Key]*dhtLocation
	authors   map[p2p.ID]dht.Usage // what is more than before, or less

	// Arguments of statements.
	putRecords, putCells, putClaims []any
	cutRecordRows, cutCellRows      []any
	cutClaimRows                    []any
}

// dhtLocation is the row of a location.
type dhtLocation struct {
	records, claims int64
	sum             dht.Sum
	changed         bool
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
	if w.last == 0 {
		if err := tx1(w, `SELECT coalesce(max(n), 0) FROM dht_record`, &w.last); err != nil {
			return err
		}
	}
	for i, cell := range cells {
		w.apply(&before[i], cell)
	}
	return w.flush()
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
	var cells, claims []any
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
			cells = append(cells, i, at, after(at))
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
	err := w.s.cells.query(w.ctx, w.tx, cells, func(rows *sql.Rows) error {
		i, n, h, err := scanHeld(rows)
		if err != nil {
			return err
		}
		before[i].rows = append(before[i].rows, n)
		before[i].records = append(before[i].records, h)
		return nil
	})
	if err != nil {
		return err
	}
	return w.s.claims.query(w.ctx, w.tx, claims, func(rows *sql.Rows) error {
		var at sql.RawBytes
		var c dht.Claim
		var owner []byte
		if err := rows.Scan(&at, &owner, &c.Expires); err != nil {
			return err
		}
		c.Owner = owner
		*claimOf[string(at)] = c
		return nil
	})
}

// loadLocations reads the rows of those locations that are not known yet.
func (w *dhtWriter) loadLocations(locations []p2p.Key) error {
	var args []any
	for i := range locations {
		if w.locations[locations[i]] == nil {
			w.locations[locations[i]] = &dhtLocation{}
			args = append(args, locations[i][:])
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
			w.cutRecordRows = append(w.cutRecordRows, row)
			w.cutCellRows = append(w.cutCellRows, packAddress(name, &was.Version))
			continue
		}
		if was == nil {
			w.last++
			row = w.last
			w.putCells = append(w.putCells, packAddress(name, &is.Version), row)
		}
		header := is.Encode()
		w.count(l, &is.Header, header, 1)
		w.putRecords = append(w.putRecords, row, is.Expires, header, packProof(&is.Proof), is.Value)
	}
	if !before.entry.Equal(c.Entry) {
		w.claim(l, packName(&c.Name), before.entry, c.Entry)
	}
	if before.domain != nil && !before.domain.Equal(*before.shared) {
		w.claim(l, packDomain(&c.Name), *before.domain, *before.shared)
	}
}

// count adds n times a record to what is known of its location and its author.
func (w *dhtWriter) count(l *dhtLocation, h *dht.Header, encoded []byte, n int) {
	l.sum.Merge(dht.SumOfHeader(encoded))
	l.records += int64(n)
	l.changed = true
	author := p2p.IDOf(h.Author)
	u := w.authors[author]
	u.Records += n
	u.Bytes += int64(n) * int64(h.Size)
	w.authors[author] = u
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
		w.putClaims = append(w.putClaims, at, []byte(is.Owner), is.Expires)
	}
	l.changed = true
}

// cut notes that the records are gone that a query finds, which has their rows and their
// headers, and returns how many.
func (w *dhtWriter) cut(query string, args ...any) (n int, err error) {
	var found []dht.Header
	rows, err := w.tx.QueryContext(w.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		var encoded sql.RawBytes
		if err := rows.Scan(&row, &encoded); err != nil {
			return 0, err
		}
		var h dht.Header
		if err := wire.Unmarshal(encoded, &h); err != nil {
			return 0, err
		}
		found = append(found, h)
		w.cutRecordRows = append(w.cutRecordRows, row)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	locations := make([]p2p.Key, len(found))
	for i := range found {
		locations[i] = found[i].Location
	}
	if err := w.loadLocations(locations); err != nil {
		return 0, err
	}
	for i := range found {
		h := &found[i]
		name := h.Name()
		w.count(w.locations[h.Location], h, h.Encode(), -1)
		w.cutCellRows = append(w.cutCellRows, packAddress(packName(&name), &h.Version))
	}
	return len(found), nil
}

// cutClaims notes that the claims are gone that a query finds.
func (w *dhtWriter) cutClaims(query string, args ...any) error {
	var locations []p2p.Key
	rows, err := w.tx.QueryContext(w.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at []byte
		if err := rows.Scan(&at); err != nil {
			return err
		}
		var location p2p.Key
		copy(location[:], at)
		locations = append(locations, location)
		w.cutClaimRows = append(w.cutClaimRows, at)
	}
	if err := rows.Err(); err != nil {
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

// flush writes what is noted but for the rows of locations and authors.
func (w *dhtWriter) flush() error {
	for _, todo := range [...]struct {
		statement *wide
		args      *[]any
	}{
		{&w.s.cutRecords, &w.cutRecordRows},
		{&w.s.cutCells, &w.cutCellRows},
		{&w.s.cutClaims, &w.cutClaimRows},
		{&w.s.putRecords, &w.putRecords},
		{&w.s.putCells, &w.putCells},
		{&w.s.putClaims, &w.putClaims},
	} {
		if err := todo.statement.exec(w.ctx, w.tx, *todo.args); err != nil {
			return err
		}
		*todo.args = nil
	}
	return nil
}

// end writes the rows of locations and authors.
func (w *dhtWriter) end() error {
	var put, cut []any
	for _, at := range slices.SortedFunc(maps.Keys(w.locations), p2p.Key.Compare) {
		switch l := w.locations[at]; {
		case !l.changed:
		case l.records == 0 && l.claims == 0:
			cut = append(cut, at[:])
		default:
			put = append(put, at[:], l.records, l.claims, l.sum[:])
		}
	}
	if err := w.s.cutCells.exec(w.ctx, w.tx, cut); err != nil {
		return err
	}
	if err := w.s.putLocations.exec(w.ctx, w.tx, put); err != nil {
		return err
	}
	var count, less []any
	for _, author := range slices.SortedFunc(maps.Keys(w.authors), func(a, b p2p.ID) int { return bytes.Compare(a[:], b[:]) }) {
		u := w.authors[author]
		if u == (dht.Usage{}) {
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
	return w.s.authors.exec(w.ctx, w.tx, less)
}

// one reads the only row of a query.
func tx1(w *dhtWriter, query string, dest any) error {
	return w.tx.QueryRowContext(w.ctx, query).Scan(dest)
}
