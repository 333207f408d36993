-- How many deletions and replacements of a held member were let through in the ten
-- minutes before. How many wait is counted when somebody asks.
ALTER TABLE replica_hold RENAME COLUMN held TO done;
UPDATE replica_hold SET done = 0;
