-- Secrets that live on beside their successor, so that the minute's sweep finds those that have ended.
CREATE INDEX api_keys_overlapping ON api_keys (prev_expires_at) WHERE prev_key_hash IS NOT NULL;
-- Live sessions of a key and of a user: ended ones stay for 30 days and must not be walked over at each sign-in.
CREATE INDEX api_keys_sessions_of_parent ON api_keys (parent_key_id, expires_at) WHERE kind = 'session';
CREATE INDEX api_keys_sessions_of_user ON api_keys (user_id, expires_at) WHERE kind = 'session';
-- Keys of one owner without sessions: lists, quotas.
CREATE INDEX api_keys_of_user ON api_keys (user_id, created_at, key_id) WHERE kind = 'key' AND user_id IS NOT NULL;
CREATE INDEX api_keys_of_project ON api_keys (project_id, created_at, key_id) WHERE kind = 'key' AND project_id IS NOT NULL;
