-- What the contents of files are made of (package chunk), so that a file is brought up to
-- date by its changes. Only contents of more than a few chunks have a row. It is made when
-- a file is read, or when it is asked for; without it nothing is lost but time.
CREATE TABLE content (
	n        INTEGER PRIMARY KEY,
	hash     BLOB    NOT NULL UNIQUE, -- BLAKE3-256 of the content
	saved    INTEGER NOT NULL,        -- Unix seconds, of late
	manifest BLOB    NOT NULL         -- packed, see package chunk
) STRICT;

-- By which a content is found that has chunks of another one: those of its sketch, a few
-- of all.
CREATE TABLE content_sketch (
	key     INTEGER NOT NULL, -- the first 8 bytes of the chunk's BLAKE3-256: what is copied is checked
	content INTEGER NOT NULL REFERENCES content,
	PRIMARY KEY (key, content)
) STRICT, WITHOUT ROWID;

-- Whose sketch goes when it goes.
CREATE INDEX content_sketch_content ON content_sketch (content);
