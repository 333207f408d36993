-- A row is now written before the search index hears of the file, so that neither
-- search nor a synchronisation waits for the other. What search has still to be told
-- is in the rows themselves: a crash in between tells it again.
--
-- Every change of a folder's rows gives it the next rev, which the rows that were
-- changed get too: what was told is noted only of rows that have not changed since.
ALTER TABLE file_folder ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;

-- Every file and directory of every folder as it was last seen. It is the list of
-- what is shared, and the cache by which a scan tells, from the state of a file
-- alone, that it need not be read again. What is gone stays as a row of kind 0 until
-- search was told; all but kind, told, was and rev is then what it last was.
CREATE TABLE file_told (
	folder   INTEGER NOT NULL REFERENCES file_folder,
	path     TEXT    NOT NULL, -- in the folder, with slashes; compared as bytes
	dir      TEXT    NOT NULL, -- the path up to its last slash, without it
	kind     INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- 0: gone, 1: file, 2: directory
	size     INTEGER NOT NULL, -- bytes; 0 for a directory
	modified INTEGER NOT NULL, -- Unix nanoseconds, as are the times below
	mode     INTEGER NOT NULL, -- permission bits
	hash     BLOB,             -- BLAKE3-256 of a file's content
	inode    INTEGER NOT NULL, -- 64 bits without a sign, as SQLite's with one
	changed  INTEGER NOT NULL, -- the inode's change time
	checked  INTEGER NOT NULL, -- when the content was about to be read: what was modified just before may have changed unseen
	told     INTEGER NOT NULL CHECK (told IN (0, 1)), -- 1: search knows this state
	was      INTEGER NOT NULL, -- bits of what search may know to be here: 1 a file, 2 a directory; 4: it is gone because it is ignored
	rev      INTEGER NOT NULL, -- of the last change
	PRIMARY KEY (folder, path)
) STRICT, WITHOUT ROWID;

INSERT INTO file_told (folder, path, dir, kind, size, modified, mode, hash, inode, changed, checked, told, was, rev)
SELECT folder, path, dir, kind, size, modified, mode, hash, inode, changed, checked, 1, kind, 0 FROM file;

DROP TABLE file;

ALTER TABLE file_told RENAME TO file;

-- What is directly in a directory, which a scan compares with the disk.
CREATE INDEX file_dir ON file (folder, dir);

-- What search has still to be told, ends apart from the rest.
CREATE INDEX file_untold ON file (folder, kind = 0, path) WHERE told = 0;

-- Where a directory was that has appeared under another path.
CREATE INDEX file_inode ON file (folder, inode) WHERE kind = 2;

-- A file with some content, to copy it from.
CREATE INDEX file_hash ON file (folder, hash) WHERE kind = 1;
