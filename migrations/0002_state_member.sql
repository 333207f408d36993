-- Which network this node belongs to. One row: a node is in one network per data
-- directory. The ID is that of the network's root key, which nobody holds any
-- more. The row changes, together with everything below and in one transaction,
-- when the node leaves its own network for another.
CREATE TABLE member_network (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	network BLOB    NOT NULL CHECK (length(network) = 32)
) STRICT;

-- The roster: the signed statements about who may be in the network, how each
-- node is reached and which folders are offered. The set only grows, except that
-- a newer contact of the same node, or offer of the same folder, takes the place
-- of the older one. The genesis has the smallest seq, and whatever a statement
-- rests on has a smaller seq than the statement. Number and predecessor of what
-- this node signs next follow from its statements in this table, which is why
-- none leaves the node before it is here.
CREATE TABLE member_statement (
	seq  INTEGER PRIMARY KEY, -- order of arrival
	hash BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32), -- of kind and body
	kind INTEGER NOT NULL, -- 1 genesis, 2 admission, 3 revocation, 4 contact, 5 offer
	body BLOB    NOT NULL, -- CBOR, as it was signed
	sig  BLOB    NOT NULL CHECK (length(sig) = 64)
) STRICT;

-- The invitations that this node made. Only their inviter stores them, because
-- only the inviter redeems them. The secret admits whoever knows it, as often as
-- max_uses says, until the invitation expires or has ended.
CREATE TABLE member_invite (
	id       BLOB    PRIMARY KEY CHECK (length(id) = 16),
	secret   BLOB    NOT NULL CHECK (length(secret) = 16),
	role     TEXT    NOT NULL, -- 'member' or 'admin'
	max_uses INTEGER NOT NULL,
	created  INTEGER NOT NULL, -- Unix seconds
	expires  INTEGER NOT NULL, -- Unix seconds
	ended    INTEGER NOT NULL  -- 1: withdrawn before its time
) STRICT, WITHOUT ROWID;

-- The uses of invitations: which node was admitted by which statement. A row is
-- written in the transaction that adds the admission, so a use can be neither
-- lost nor spent for nothing, and a joiner who asks again gets the same answer.
CREATE TABLE member_redemption (
	seq       INTEGER PRIMARY KEY,
	invite    BLOB    NOT NULL REFERENCES member_invite (id) ON DELETE CASCADE,
	member    BLOB    NOT NULL CHECK (length(member) = 32), -- ID of the node
	admission BLOB    NOT NULL CHECK (length(admission) = 32), -- hash of the statement
	UNIQUE (invite, member)
) STRICT;
