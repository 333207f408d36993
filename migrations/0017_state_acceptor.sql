-- How far this node's memory as an acceptor has come (paxos.Age): it grows with each change of
-- the table register, in the same transaction. Others remember it, so that this node learns
-- from them when this file was put back to an earlier time. One row, or none before the
-- first change.
CREATE TABLE acceptor (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	life    INTEGER NOT NULL CHECK (life BETWEEN 0 AND 255), -- how often that was found out
	changes INTEGER NOT NULL                                 -- of all lives together
) STRICT;

-- The greatest such ages that this node has seen of other members, with their signatures.
CREATE TABLE acceptor_seen (
	member  BLOB PRIMARY KEY CHECK (length(member) = 32),
	life    INTEGER NOT NULL,
	changes INTEGER NOT NULL,
	sig     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
