-- What these lists and counts cost does not grow with the house.

-- A user's live keys are counted without a walk over the sessions.
CREATE INDEX api_keys_live_of_user ON api_keys (user_id, expires_at) WHERE kind = 'key' AND revoked_at IS NULL;
-- When a user was last seen, by a key or a session.
CREATE INDEX api_keys_last_use_of_user ON api_keys (user_id, last_used_at) WHERE last_used_at IS NOT NULL;
-- The places in a chain that a span of time takes up.
CREATE INDEX audit_log_by_time ON audit_log (org_id, at);
-- Before a key rotation: workers by the keys that they name, those that were never asked, those that told of old values.
CREATE INDEX worker_registry_by_keys ON worker_registry (json_extract(health_detail, '$.kek_ids'), name, instance_id)
  WHERE json_type(health_detail, '$.kek_ids') = 'array';
CREATE INDEX worker_registry_unasked ON worker_registry (name, instance_id) WHERE health_detail IS NULL;
CREATE INDEX worker_registry_with_old_rows ON worker_registry (instance_id, name)
  WHERE json_extract(health_detail, '$.old_kek_rows') > 0;
