-- The directories into which another copy of the file is put when it is whole, as a JSON list of paths: of downloads that
-- were asked for more than once, to different places.
ALTER TABLE seed ADD COLUMN also TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(also));
