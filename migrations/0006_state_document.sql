-- The documents that a person has published without a file, whole. No scan finds
-- them again, so they are here and not in index.db, and a document is published
-- when its row is on the disk.
CREATE TABLE document (
	id       TEXT    PRIMARY KEY,
	title    TEXT    NOT NULL,
	type     TEXT    NOT NULL, -- "document", …
	size     INTEGER NOT NULL, -- bytes
	modified INTEGER NOT NULL, -- nanoseconds since 1970, UTC
	fields   BLOB,             -- JSON object of numbers and strings
	terms    BLOB    NOT NULL, -- its words, packed, as in search_document of index.db: made from the rest, and made again if they cannot be read
	text     BLOB              -- zstd-compressed; last, since the others are read at every start without it
) STRICT;
