-- What members have said of their seeds, so that this node, which is a tracker for them, answers
-- again after a restart as long as it holds. All of it ends within 90 seconds unless it is said again.
CREATE TABLE tracker_member (
	id    BLOB PRIMARY KEY CHECK (length(id) = 32),
	epoch INTEGER NOT NULL, -- the member's run, 64 bits
	seq   INTEGER NOT NULL, -- of its last message, 64 bits
	ends  INTEGER NOT NULL  -- Unix milliseconds
) STRICT, WITHOUT ROWID;

-- The seeds that they have. The state is CBOR (package tracker).
CREATE TABLE tracker_source (
	seed   BLOB NOT NULL CHECK (length(seed) = 32),
	member BLOB NOT NULL CHECK (length(member) = 32),
	state  BLOB NOT NULL,
	PRIMARY KEY (seed, member)
) STRICT, WITHOUT ROWID;

-- What the seeds are, as they say. Where they differ there are several.
CREATE TABLE tracker_text (
	seed  BLOB NOT NULL CHECK (length(seed) = 32),
	n     INTEGER NOT NULL, -- in the order in which they came
	state BLOB NOT NULL,
	PRIMARY KEY (seed, n)
) STRICT;
