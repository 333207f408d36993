-- Where this node's documents are published: at which words in the table of which network
-- (p2p/publish). It is noted before anything is put there, so that it can be taken away, also
-- after a restart. Nobody else knows it.
CREATE TABLE published (
	document TEXT PRIMARY KEY,
	network  BLOB NOT NULL CHECK (length(network) = 32),
	entry    BLOB NOT NULL -- JSON: what the document was, its words, packed, and until when it is there
) STRICT, WITHOUT ROWID;
