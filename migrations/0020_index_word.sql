-- The words of the files that this node can find, each under a number, by which
-- search_document.terms means it: a document that had its words with it would take three times
-- the room. A pack holds the words that came with some documents, and is kept in the transaction
-- in which they are. Of a number that is in several packs the last one counts, so the order matters.
CREATE TABLE search_word (
	number INTEGER PRIMARY KEY, -- of the pack
	pack   BLOB NOT NULL        -- read at every start, by package search
) STRICT;
