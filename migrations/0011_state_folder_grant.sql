-- What single members may do with a folder, where that is not what all may, and folders
-- that nobody sees who was not named.
CREATE TABLE folder_granted (
	id      TEXT    PRIMARY KEY, -- 26 characters; also in .shoal/id of the directory
	label   TEXT    NOT NULL,    -- for people; not unique
	path    TEXT    NOT NULL, -- absolute, without symbolic links
	access  TEXT    NOT NULL CHECK (access IN ('none', 'read', 'write')), -- of other members
	created INTEGER NOT NULL, -- Unix milliseconds
	paused  INTEGER NOT NULL CHECK (paused IN (0, 1)),
	marked  INTEGER NOT NULL CHECK (marked IN (0, 1)), -- 0: the directory cannot be written, so that it has no .shoal/id
	inode   INTEGER NOT NULL, -- of the directory: what it is known by if it is not marked
	creator BLOB    CHECK (creator IS NULL OR length(creator) = 32), -- who offers it; NULL: this node
	grants  BLOB    CHECK (grants IS NULL OR length(grants) % 33 = 0) -- by member: its ID, and 0 for none, 1 for read, 2 for write
) STRICT, WITHOUT ROWID;

INSERT INTO folder_granted (id, label, path, access, created, paused, marked, inode, creator)
SELECT id, label, path, access, created, paused, marked, inode, creator FROM folder;

DROP TABLE folder;

ALTER TABLE folder_granted RENAME TO folder;
