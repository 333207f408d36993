-- The files of folders of which search has no text, or not all of it, and why. A file
-- is tried again when it changes, and when a version of the program reads more.
CREATE TABLE unread (
	folder  TEXT    NOT NULL, -- the folder's ID
	path    TEXT    NOT NULL, -- in the folder
	reason  TEXT    NOT NULL, -- see package extract
	detail  TEXT    NOT NULL, -- for people
	version INTEGER NOT NULL, -- of package extract
	PRIMARY KEY (folder, path)
) STRICT, WITHOUT ROWID;

-- Until now the texts of documents were not read: search is told of those files again.
UPDATE file SET told = 0
WHERE kind = 1 AND (folder, path) IN (
	SELECT file_folder.n, search_document.path
	FROM search_document JOIN file_folder ON file_folder.id = search_document.folder
	WHERE search_document.type NOT IN ('image', 'audio', 'video', 'archive')
		AND search_document.number NOT IN (SELECT number FROM search_text));
