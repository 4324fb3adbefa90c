-- When the secret that opened a session ends: by then the session does, and what is made through it. NULL while that
-- secret is the current one of its key, and of keys.
ALTER TABLE api_keys ADD COLUMN secret_ends_at TEXT;

-- Whether a superadmin registered the worker last: what the others say about themselves decides nothing for everybody.
ALTER TABLE worker_registry ADD COLUMN by_platform INTEGER NOT NULL DEFAULT 0 CHECK (by_platform IN (0, 1));
UPDATE worker_registry SET by_platform = 1 WHERE instance_id = '';
-- Whose the others are, so that the checks of a minute are shared out: '' for the platform.
ALTER TABLE worker_registry ADD COLUMN org_id TEXT NOT NULL DEFAULT '';
UPDATE worker_registry SET org_id = coalesce((SELECT i.org_id FROM instances i WHERE i.instance_id = worker_registry.instance_id), '');
CREATE INDEX worker_registry_of_platform ON worker_registry (checked_at) WHERE by_platform = 1;
CREATE INDEX worker_registry_of_organization ON worker_registry (org_id, checked_at) WHERE by_platform = 0;
CREATE INDEX worker_registry_platform_keys ON worker_registry (json_extract(health_detail, '$.kek_ids'), name, instance_id)
  WHERE json_type(health_detail, '$.kek_ids') = 'array' AND by_platform = 1;
CREATE INDEX worker_registry_platform_unasked ON worker_registry (name, instance_id)
  WHERE health_detail IS NULL AND by_platform = 1;
CREATE INDEX worker_registry_platform_old_rows ON worker_registry (instance_id, name)
  WHERE json_extract(health_detail, '$.old_kek_rows') > 0 AND by_platform = 1;
