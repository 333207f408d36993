-- The links by which somebody outside fetches a seed of this node. A pass goes with its seed.
CREATE TABLE seed_pass (
	id       BLOB    PRIMARY KEY CHECK (length(id) = 16),
	secret   BLOB    NOT NULL CHECK (length(secret) = 16),
	seed     BLOB    NOT NULL REFERENCES seed (id) ON DELETE CASCADE,
	network  BLOB    NOT NULL CHECK (length(network) = 32), -- this node's, when it was made
	max_uses INTEGER NOT NULL,
	created  INTEGER NOT NULL, -- Unix seconds
	expires  INTEGER NOT NULL, -- Unix seconds
	ended    INTEGER NOT NULL CHECK (ended IN (0, 1)) -- withdrawn before its time
) STRICT, WITHOUT ROWID;

CREATE INDEX seed_pass_seed ON seed_pass (seed);

-- Which nodes a pass has let in. A row is written before its node is.
CREATE TABLE seed_pass_use (
	n     INTEGER PRIMARY KEY, -- in the order in which they came
	pass  BLOB    NOT NULL REFERENCES seed_pass (id) ON DELETE CASCADE,
	guest BLOB    NOT NULL CHECK (length(guest) = 32), -- ID of the node
	at    INTEGER NOT NULL, -- Unix seconds
	UNIQUE (pass, guest)
) STRICT;

-- Of a download that a member of another network lets this node have: the link, which is secret, or nothing.
ALTER TABLE seed ADD COLUMN via TEXT NOT NULL DEFAULT '';
