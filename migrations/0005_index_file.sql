-- Numbers for folders, so that the rows below do not each repeat an ID.
CREATE TABLE file_folder (
	n  INTEGER PRIMARY KEY,
	id TEXT    NOT NULL UNIQUE
) STRICT;

-- Every file and directory of every folder as it was last seen. It is the list of
-- what is shared, and the cache by which a scan tells, from the state of a file
-- alone, that it need not be read again. A row is written after the search index
-- has accepted the file, so a file without a row is one that is still to be told.
CREATE TABLE file (
	folder   INTEGER NOT NULL REFERENCES file_folder,
	path     TEXT    NOT NULL, -- in the folder, with slashes; compared as bytes
	dir      TEXT    NOT NULL, -- the path up to its last slash, without it
	kind     INTEGER NOT NULL CHECK (kind IN (1, 2)), -- 1: file, 2: directory
	size     INTEGER NOT NULL, -- bytes; 0 for a directory
	modified INTEGER NOT NULL, -- Unix nanoseconds, as are the times below
	mode     INTEGER NOT NULL, -- permission bits
	hash     BLOB,             -- BLAKE3-256 of a file's content
	inode    INTEGER NOT NULL, -- 64 bits without a sign, as SQLite's with one
	changed  INTEGER NOT NULL, -- the inode's change time
	checked  INTEGER NOT NULL, -- when the content was about to be read: what was modified just before may have changed unseen
	PRIMARY KEY (folder, path)
) STRICT, WITHOUT ROWID;

-- What is directly in a directory, which a scan compares with the disk.
CREATE INDEX file_dir ON file (folder, dir);
