-- The records of the distributed table that this node keeps for its network. They are
-- kept by other nodes too: if this database is lost, they bring them again.
--
-- What is at an address is found by its packed form: the location, 32 bytes; then the
-- domain and the content, each 0x01 if it is zero and else 0x02 and its 32 bytes; then
-- the version, likewise, of 20 bytes. So the order of the packed forms is that of the
-- addresses, and what is common to several addresses is the beginning of their forms
-- and in order before them.

-- A row for each location that has anything, and one for each record. A location and its
-- records are neighbours, so that a new record with a location of its own, as most
-- have, changes one page and not two.
CREATE TABLE dht_cell (
	at     BLOB    PRIMARY KEY, -- a location; or the address of a record
	n      INTEGER NOT NULL,    -- of a location: how many records; of a record: its row in dht_record
	claims INTEGER,             -- of a location: how many rows in dht_claim
	sum    BLOB    CHECK (length(sum) = 16) -- of a location: over its records, expired or not
) STRICT, WITHOUT ROWID;

-- What the records say, in the order in which they came: new ones are written one beside
-- the other, wherever their addresses are. What is large is last, so that it is not
-- read by those who do not want it.
CREATE TABLE dht_record (
	n       INTEGER PRIMARY KEY,
	expires INTEGER NOT NULL, -- Unix milliseconds; 0: never
	header  BLOB    NOT NULL, -- CBOR, as its author has signed it
	proof   BLOB    NOT NULL, -- packed, see package store
	value   BLOB              -- NULL: none, or an empty one
) STRICT;
CREATE INDEX dht_record_expires ON dht_record (expires) WHERE expires > 0;

-- To whom domains and entries belong.
CREATE TABLE dht_claim (
	at      BLOB    PRIMARY KEY, -- location and domain; of an entry, its content too
	owner   BLOB    NOT NULL,    -- ed25519 public key
	expires INTEGER NOT NULL     -- Unix milliseconds; 0: never
) STRICT, WITHOUT ROWID;
CREATE INDEX dht_claim_expires ON dht_claim (expires) WHERE expires > 0;

-- What each author has here.
CREATE TABLE dht_author (
	author  BLOB    PRIMARY KEY CHECK (length(author) = 32),
	records INTEGER NOT NULL,
	bytes   INTEGER NOT NULL -- of their values
) STRICT, WITHOUT ROWID;
