-- The sequence numbers of this node's own writes to the distributed table: all below
-- next may have been used. It must never go back, or what the node writes would be older
-- than what it has written, and refused. One row.
CREATE TABLE sequence (
	id   INTEGER PRIMARY KEY CHECK (id = 1),
	next INTEGER NOT NULL -- 64 bits without sign
) STRICT;
