-- What this node knows of each synchronised folder, and how far what is known is
-- on its disk: see package replica. Nobody could compute it again, and a node that
-- forgot it would take what others have deleted for new.
--
-- incarnation, counter and seq are unsigned numbers of 64 bits in signed columns.
-- An entry is named by the event that made it, (member, incarnation, counter); here
-- and inside the packed values it is (actor, counter). What is in a column "data"
-- is packed by package replica.

-- The replicas. What belongs to one is deleted little by little after it is
-- forgotten; that its row goes last makes it sure that all of it goes.
CREATE TABLE replica (
	n           INTEGER PRIMARY KEY,
	folder      TEXT    UNIQUE,   -- NULL: forgotten
	top         INTEGER NOT NULL, -- replica_dir.n of the folder
	aside       INTEGER NOT NULL, -- replica_dir.n of what is between two names
	incarnation INTEGER NOT NULL,
	counter     INTEGER NOT NULL, -- of this node's last event
	seq         INTEGER NOT NULL, -- of the newest entry
	nonce       BLOB    NOT NULL CHECK (length(nonce) = 16), -- of this run
	before      BLOB    NOT NULL CHECK (length(before) = 16), -- of the run before
	files       INTEGER NOT NULL  -- rows of replica_row with file = 1
) STRICT;

-- The steps that are under way on the disk. It has no column in replica because it
-- is long and changes at other times.
CREATE TABLE replica_journal (
	replica INTEGER PRIMARY KEY REFERENCES replica (n),
	data    BLOB    NOT NULL
) STRICT;

-- Short numbers for the pairs of member and incarnation that occur in a replica.
-- The pair of zeros stands for the folder itself where it is a parent. A number is
-- of one replica only, so that what names an actor needs no further folder.
CREATE TABLE replica_actor (
	n           INTEGER PRIMARY KEY,
	replica     INTEGER NOT NULL REFERENCES replica (n),
	member      BLOB    NOT NULL CHECK (length(member) = 32),
	incarnation INTEGER NOT NULL,
	UNIQUE (replica, member, incarnation)
) STRICT;

-- What all members together have done, an entry each. seq is when this node came
-- to know its state: other members ask for all after a number.
CREATE TABLE replica_entry (
	actor   INTEGER NOT NULL,
	counter INTEGER NOT NULL,
	replica INTEGER NOT NULL,
	seq     INTEGER NOT NULL,
	need    INTEGER, -- bytes that are to come until the disk is so; NULL: it is
	data    BLOB    NOT NULL,
	PRIMARY KEY (actor, counter)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX replica_entry_seq ON replica_entry (replica, seq);
CREATE INDEX replica_entry_pending ON replica_entry (replica, seq, need) WHERE need IS NOT NULL;

-- Where entries want to be: each place of each entry, as it is in its data too.
CREATE TABLE replica_place (
	parent_actor   INTEGER NOT NULL,
	parent_counter INTEGER NOT NULL,
	name           TEXT    NOT NULL,
	actor          INTEGER NOT NULL,
	counter        INTEGER NOT NULL,
	PRIMARY KEY (parent_actor, parent_counter, name, actor, counter)
) STRICT, WITHOUT ROWID;

-- Numbers of the directories that have, or had, a row in them; and two of each
-- replica with up = 0: the folder, with the name '', and what is between two names.
-- Rows know their directory by its number, so that it moves with all that is in it
-- by a change of its own row here and in replica_row.
CREATE TABLE replica_dir (
	n       INTEGER PRIMARY KEY,
	replica INTEGER NOT NULL,
	up      INTEGER NOT NULL, -- n of the directory that it is in
	name    TEXT    NOT NULL
) STRICT;
-- The replica is in it for the sake of those with up = 0.
CREATE UNIQUE INDEX replica_dir_name ON replica_dir (up, name, replica);

-- What is committed for this disk, a row for each path.
CREATE TABLE replica_row (
	dir     INTEGER NOT NULL, -- replica_dir.n
	name    TEXT    NOT NULL,
	actor   INTEGER, -- with counter, the entry that its first ref names; NULL: none
	counter INTEGER,
	file    INTEGER NOT NULL CHECK (file IN (0, 1)),
	data    BLOB    NOT NULL,
	PRIMARY KEY (dir, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX replica_row_entry ON replica_row (actor, counter) WHERE actor IS NOT NULL;

-- The other entries that rows name. Few name more than one.
CREATE TABLE replica_ref (
	actor   INTEGER NOT NULL,
	counter INTEGER NOT NULL,
	dir     INTEGER NOT NULL,
	name    TEXT    NOT NULL,
	PRIMARY KEY (actor, counter, dir, name),
	FOREIGN KEY (dir, name) REFERENCES replica_row (dir, name) ON UPDATE CASCADE ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX replica_ref_row ON replica_ref (dir, name);

-- How far the entries of other members are taken over, and how far they have
-- applied those of this node.
CREATE TABLE replica_cursor (
	replica        INTEGER NOT NULL REFERENCES replica (n),
	member         BLOB    NOT NULL CHECK (length(member) = 32),
	incarnation    INTEGER NOT NULL, -- of the member's replica, whose numbers seq counts
	seq            INTEGER NOT NULL,
	applied        INTEGER NOT NULL,
	of_incarnation INTEGER NOT NULL, -- of this node's replica, whose numbers applied counts
	PRIMARY KEY (replica, member)
) STRICT, WITHOUT ROWID;

-- The newest word of each member, signed, of how many events it has made.
CREATE TABLE replica_claim (
	actor   INTEGER PRIMARY KEY REFERENCES replica_actor (n),
	counter INTEGER NOT NULL,
	sig     BLOB    NOT NULL
) STRICT;

-- What was replaced or deleted, so that a person can have it back. AUTOINCREMENT,
-- because a number must never mean something else later.
CREATE TABLE replica_trash (
	n        INTEGER PRIMARY KEY AUTOINCREMENT,
	replica  INTEGER NOT NULL REFERENCES replica (n),
	path     TEXT    NOT NULL,
	kind     TEXT    NOT NULL,
	hash     BLOB    CHECK (length(hash) = 32), -- NULL: no content
	size     INTEGER NOT NULL,
	mode     INTEGER NOT NULL,
	modified INTEGER NOT NULL, -- nanoseconds since 1970
	deleted  INTEGER NOT NULL CHECK (deleted IN (0, 1)), -- 0: replaced
	member   BLOB    NOT NULL CHECK (length(member) = 32), -- who did it
	time     INTEGER NOT NULL, -- Unix milliseconds
	name     TEXT    NOT NULL  -- of the file in the trash; '': its bytes are not here
) STRICT;
CREATE INDEX replica_trash_replica ON replica_trash (replica);
CREATE INDEX replica_trash_hash ON replica_trash (replica, hash) WHERE name <> '' AND hash IS NOT NULL;

-- What was decided by rule and a person may want otherwise.
CREATE TABLE replica_conflict (
	replica INTEGER NOT NULL REFERENCES replica (n),
	path    TEXT    NOT NULL,
	kind    TEXT    NOT NULL,
	others  TEXT    NOT NULL, -- JSON array of paths or names, sorted
	PRIMARY KEY (replica, path, kind, others)
) STRICT, WITHOUT ROWID;

-- The brakes: whose deletions and replacements wait for a person.
CREATE TABLE replica_hold (
	replica  INTEGER NOT NULL REFERENCES replica (n),
	member   BLOB    NOT NULL CHECK (length(member) = 32),
	since    INTEGER NOT NULL, -- Unix milliseconds
	held     INTEGER NOT NULL,
	limit_   INTEGER NOT NULL,
	released BLOB    NOT NULL, -- a vector, packed: up to where a person has let everything through
	PRIMARY KEY (replica, member)
) STRICT, WITHOUT ROWID;
