-- A deleted organization leaves a row, as its instances and users do: their tombstones refer to it, and an instance id
-- must never pass to another organization, because images and usage are filed under it.
ALTER TABLE organizations ADD COLUMN deleted_at TEXT;
