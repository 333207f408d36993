-- How many deletions and replacements of a held member were let through in the ten
-- minutes before. How many wait is counted when somebody asks.
ALTER TABLE replica_hold RENAME COLUMN held TO done;
UPDATE replica_hold SET done = 0;

-- When a person has last decided about the member, in Unix milliseconds: what it did before
-- counts no more.
ALTER TABLE replica_hold ADD COLUMN decided INTEGER NOT NULL DEFAULT 0;

-- 1: it counts for the brake.
ALTER TABLE replica_trash ADD COLUMN counts INTEGER NOT NULL DEFAULT 0 CHECK (counts IN (0, 1));
