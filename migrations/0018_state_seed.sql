-- The seeds of this node: files that it shares with all members, and downloads.
CREATE TABLE seed (
	id       BLOB    PRIMARY KEY CHECK (length(id) = 32), -- BLAKE3-256 of the file, or the ID of a seed of the old form
	n        INTEGER NOT NULL UNIQUE, -- in the order in which they were added
	text     BLOB    NOT NULL, -- of the seed, or a link to it while more is not known
	dir      TEXT    NOT NULL, -- absolute: where the file is, or will be
	name     TEXT    NOT NULL, -- of the file in it
	own      INTEGER NOT NULL CHECK (own IN (0, 1)), -- the file goes with the seed
	whole    INTEGER NOT NULL CHECK (whole IN (0, 1)), -- all of it is there
	paused   INTEGER NOT NULL CHECK (paused IN (0, 1)),
	reading  INTEGER NOT NULL CHECK (reading IN (0, 1)), -- only what somebody reads is fetched; forgotten some time after that
	settling TEXT    NOT NULL, -- the name that the file is just being given, or nothing
	error    TEXT    NOT NULL, -- why a download stands still, or nothing
	size     INTEGER NOT NULL, -- of the file when it was verified last, in bytes
	modified INTEGER NOT NULL, -- the same, ns since 1970
	added    INTEGER NOT NULL, -- Unix milliseconds
	ended    INTEGER NOT NULL  -- when all was there, Unix milliseconds; 0: not yet
) STRICT, WITHOUT ROWID;

-- What changes often of a seed: which pieces are there, and what it took and gave in bytes. A row goes
-- with that in seed.
CREATE TABLE seed_progress (
	id      BLOB    PRIMARY KEY CHECK (length(id) = 32),
	have    BLOB    NOT NULL, -- a bit for each piece, the first in the lowest bit of the first byte; of what is whole: nothing
	wire    INTEGER NOT NULL, -- that came over the network
	reused  INTEGER NOT NULL, -- that were in other files here
	wasted  INTEGER NOT NULL, -- that came twice, or wrong
	sent    INTEGER NOT NULL, -- that went to others
	resumed INTEGER NOT NULL  -- that an interrupted attempt had left
) STRICT, WITHOUT ROWID;

-- What a seed is made of. A row goes with that in seed.
CREATE TABLE seed_made (
	id       BLOB PRIMARY KEY CHECK (length(id) = 32),
	pieces   BLOB, -- the values of the pieces, 32 bytes each; NULL: not known, or in the text
	manifest BLOB  -- the chunks of the file (package chunk); NULL: not known
) STRICT;
