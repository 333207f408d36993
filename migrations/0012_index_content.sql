-- What the contents of files are made of (package chunk), so that a file is brought up to
-- date by its changes. Only contents of more than a few chunks have a row. It is made when
-- a file is read, or when it is asked for; without it nothing is lost but time.
CREATE TABLE content (
	n        INTEGER PRIMARY KEY,
	hash     BLOB    NOT NULL UNIQUE, -- BLAKE3-256 of the content
	saved    INTEGER NOT NULL,        -- Unix seconds
	manifest BLOB    NOT NULL         -- packed, see package chunk
) STRICT;

-- Where a chunk is, to copy it from. Of a chunk that a content has more than once, the
-- first place.
CREATE TABLE content_chunk (
	key     INTEGER NOT NULL, -- the first 8 bytes of the chunk's BLAKE3-256: what is copied is checked
	content INTEGER NOT NULL REFERENCES content,
	offset  INTEGER NOT NULL, -- in the content, in bytes
	PRIMARY KEY (key, content)
) STRICT, WITHOUT ROWID;
