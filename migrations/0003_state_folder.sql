-- The directories that this node shares. What is in them is not here but in
-- index.db, since a scan finds it again; what a person has decided is.
CREATE TABLE folder (
	id      TEXT    PRIMARY KEY, -- 26 characters; also in .shoal/id of the directory
	label   TEXT    NOT NULL,    -- for people; not unique
	path    TEXT    NOT NULL, -- absolute, without symbolic links
	access  TEXT    NOT NULL CHECK (access IN ('read', 'write')), -- of other members
	created INTEGER NOT NULL, -- Unix milliseconds
	paused  INTEGER NOT NULL CHECK (paused IN (0, 1)),
	marked  INTEGER NOT NULL CHECK (marked IN (0, 1)), -- 0: the directory cannot be written, so that it has no .shoal/id
	inode   INTEGER NOT NULL -- of the directory: what it is known by if it is not marked
) STRICT, WITHOUT ROWID;
