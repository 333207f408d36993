-- The files that this node can find. Both tables can be built again by a scan;
-- documents published without a file cannot, and are in state.db. When the file
-- is lost, table file is lost with it, so that the next scan reads everything.
CREATE TABLE search_document (
	number   INTEGER PRIMARY KEY,
	id       TEXT    NOT NULL UNIQUE,
	title    TEXT    NOT NULL,
	folder   TEXT    NOT NULL CHECK (folder <> ''), -- the folder's ID
	path     TEXT    NOT NULL, -- in the folder
	type     TEXT    NOT NULL, -- "markdown", "image", …
	size     INTEGER NOT NULL, -- bytes
	modified INTEGER NOT NULL, -- nanoseconds since 1970, UTC
	fields   BLOB,             -- JSON object of numbers and strings
	terms    BLOB    NOT NULL  -- its words, packed; read at every start
) STRICT;

-- The texts, zstd-compressed, apart from the documents because they are read for
-- a few hits only while the other table is read from one end to the other.
CREATE TABLE search_text (
	number INTEGER PRIMARY KEY REFERENCES search_document (number) ON DELETE CASCADE,
	text   BLOB NOT NULL
) STRICT;
