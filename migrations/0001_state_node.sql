-- Who this node is. One row, written once when the node first starts and never
-- changed: its seed is the ed25519 private key (RFC 8032), from which the node's
-- ID and every signature follow. Whoever reads it can pose as this node, which
-- is why the file is readable by its owner only.
CREATE TABLE node_identity (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	seed    BLOB    NOT NULL CHECK (length(seed) = 32),
	created INTEGER NOT NULL -- Unix seconds
) STRICT;

-- What a person has set on this node and what it must remember between starts,
-- such as its name. Values are text; the reader of a key gives it meaning.
CREATE TABLE node_setting (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
