-- Since when a worker has its health, and why: the detail keeps the worker's own answer and nothing of ours.
ALTER TABLE worker_registry ADD COLUMN health_since TEXT;
ALTER TABLE worker_registry ADD COLUMN health_reason TEXT;
-- The sweeper takes those that were checked longest ago; never checked ones (NULL) come first.
CREATE INDEX worker_registry_by_check ON worker_registry (checked_at);
