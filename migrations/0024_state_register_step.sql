-- How the epochs of registers came about, of which this node is or was an acceptor (package
-- paxos): for each epoch the votes of a majority of the acceptors of the one before, which it
-- shows to those who know older ones only. Written in the transaction that goes to the epoch.
CREATE TABLE register_step (
    key   BLOB    NOT NULL CHECK (length(key) = 32),
    epoch INTEGER NOT NULL,
    step  BLOB    NOT NULL, -- paxos.Step, CBOR
    PRIMARY KEY (key, epoch)
) STRICT, WITHOUT ROWID;
