-- What this node remembers as an acceptor of registers (package paxos): what it has
-- promised and accepted. A row is durable before its answer leaves, and is never deleted: an
-- acceptor that forgets what it has promised breaks the register. If this table is put
-- back to an earlier time, the node must get a new identity.
CREATE TABLE register (
	key   BLOB PRIMARY KEY CHECK (length(key) = 32),
	state BLOB NOT NULL -- CBOR, see package store
) STRICT, WITHOUT ROWID;
