-- Who offers a folder that this node has joined: the ID of a node. NULL: this node
-- itself.
ALTER TABLE folder ADD COLUMN creator BLOB CHECK (creator IS NULL OR length(creator) = 32);
