-- D1 `control`: organizations, instances, people, keys, audit. Times are RFC 3339 in UTC with milliseconds, which sort
-- as text; JSON is checked to be JSON. `version` is the row's ETag.

-- A batch is refused by `INSERT INTO guard(ok) VALUES ((SELECT ..))`: the scalar subquery of a missing row is NULL and
-- fails, where `INSERT .. SELECT .. WHERE` would insert nothing and pass.
CREATE VIEW guard (ok) AS SELECT 1 WHERE 0;
CREATE TRIGGER guard_refuses INSTEAD OF INSERT ON guard WHEN NEW.ok IS NOT 1
BEGIN
  SELECT RAISE(ABORT, 'guard_failed');
END;

CREATE TABLE organizations (
  org_id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  billing_email TEXT NOT NULL,
  created_at TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE instances (
  instance_id TEXT NOT NULL PRIMARY KEY CHECK (length(instance_id) BETWEEN 1 AND 40),
  org_id TEXT NOT NULL REFERENCES organizations (org_id),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  config TEXT NOT NULL CHECK (json_valid(config)),
  created_at TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('deploying', 'active', 'paused', 'deleting', 'deleted')),
  paused_reason TEXT,
  paused_at TEXT,
  pause_override_until TEXT,
  self_hosted INTEGER NOT NULL DEFAULT 0 CHECK (self_hosted IN (0, 1)),
  worker_urls TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(worker_urls)),
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  config_version INTEGER NOT NULL DEFAULT 1 CHECK (config_version >= 1),
  published_version INTEGER NOT NULL DEFAULT 0,
  published_at TEXT,
  updated_at TEXT NOT NULL,
  deleted_at TEXT
) STRICT;
CREATE INDEX instances_by_org ON instances (org_id, instance_id) WHERE status <> 'deleted';
-- All rows of an organization, tombstones included: for the foreign key.
CREATE INDEX instances_of_org ON instances (org_id, instance_id);
CREATE INDEX instances_unpublished ON instances (instance_id) WHERE published_version < config_version;
CREATE INDEX instances_by_publication ON instances (published_at) WHERE status <> 'deleted';

-- Exactly what the KV copy and callers get, provider keys sealed.
CREATE TABLE instance_effective (
  instance_id TEXT NOT NULL PRIMARY KEY REFERENCES instances (instance_id),
  config_version INTEGER NOT NULL CHECK (config_version >= 1),
  body TEXT NOT NULL CHECK (json_valid(body)),
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
  created_at TEXT NOT NULL
) STRICT;

CREATE TABLE users (
  user_id TEXT NOT NULL PRIMARY KEY,
  email TEXT NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
  role TEXT NOT NULL CHECK (role IN ('user', 'admin', 'superadmin')),
  org_id TEXT REFERENCES organizations (org_id),
  created_at TEXT NOT NULL,
  name TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'deleted')),
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  updated_at TEXT NOT NULL,
  CONSTRAINT superadmins_have_no_organization CHECK ((role = 'superadmin') = (org_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX users_by_email ON users (coalesce(org_id, ''), lower(email)) WHERE status <> 'deleted';
CREATE INDEX users_by_org ON users (org_id, user_id);

CREATE TABLE user_instance_access (
  user_id TEXT NOT NULL REFERENCES users (user_id),
  instance_id TEXT NOT NULL REFERENCES instances (instance_id),
  created_at TEXT NOT NULL,
  granted_by TEXT NOT NULL,
  PRIMARY KEY (user_id, instance_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_instance_access_by_instance ON user_instance_access (instance_id, user_id);

CREATE TABLE projects (
  project_id TEXT NOT NULL PRIMARY KEY,
  instance_id TEXT NOT NULL REFERENCES instances (instance_id),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings)),
  created_at TEXT NOT NULL,
  created_by TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deleted')),
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX projects_by_name ON projects (instance_id, lower(name)) WHERE status = 'active';
CREATE INDEX projects_by_instance ON projects (instance_id, project_id);

-- A session is a key that ends soon and acts as its parent.
CREATE TABLE api_keys (
  key_id TEXT NOT NULL PRIMARY KEY CHECK (length(key_id) = 12),
  user_id TEXT REFERENCES users (user_id),
  project_id TEXT REFERENCES projects (project_id),
  key_hash TEXT NOT NULL CHECK (length(key_hash) = 64),
  created_at TEXT NOT NULL,
  kind TEXT NOT NULL DEFAULT 'key' CHECK (kind IN ('key', 'session')),
  parent_key_id TEXT REFERENCES api_keys (key_id),
  name TEXT NOT NULL DEFAULT '',
  last4 TEXT NOT NULL,
  pepper_id TEXT NOT NULL,
  scopes TEXT NOT NULL CHECK (json_valid(scopes)),
  -- NULL: all instances of the owner.
  instance_ids TEXT CHECK (instance_ids IS NULL OR json_valid(instance_ids)),
  secret_version INTEGER NOT NULL DEFAULT 1 CHECK (secret_version >= 1),
  secret_first_used_at TEXT,
  prev_key_hash TEXT,
  prev_pepper_id TEXT,
  prev_expires_at TEXT,
  rotated_at TEXT,
  expires_at TEXT,
  last_used_at TEXT,
  revoked_at TEXT,
  revoked_by TEXT,
  revoke_reason TEXT,
  created_by TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  CONSTRAINT one_owner CHECK ((user_id IS NULL) <> (project_id IS NULL)),
  CONSTRAINT sessions_have_parents CHECK ((kind = 'session') = (parent_key_id IS NOT NULL)),
  CONSTRAINT sessions_end CHECK (kind = 'key' OR expires_at IS NOT NULL)
) STRICT;
CREATE INDEX api_keys_by_user ON api_keys (user_id, key_id);
CREATE INDEX api_keys_by_project ON api_keys (project_id, key_id);
CREATE INDEX api_keys_by_parent ON api_keys (parent_key_id);
CREATE INDEX api_keys_sessions ON api_keys (expires_at) WHERE kind = 'session';
-- Lists are newest first and never walk over sessions.
CREATE INDEX api_keys_listed ON api_keys (created_at, key_id) WHERE kind = 'key';
CREATE INDEX api_keys_by_pepper ON api_keys (pepper_id);

CREATE TABLE provider_credentials (
  credential_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES organizations (org_id),
  instance_id TEXT NOT NULL REFERENCES instances (instance_id),
  provider TEXT NOT NULL CHECK (length(provider) BETWEEN 1 AND 40),
  slot TEXT NOT NULL DEFAULT 'current' CHECK (slot IN ('current', 'previous')),
  -- Where the key may be sent: the host of the provider's base URL when it was entered.
  host TEXT NOT NULL,
  ciphertext TEXT NOT NULL CHECK (ciphertext LIKE 'v1.%'),
  kek_id TEXT NOT NULL,
  last4 TEXT NOT NULL DEFAULT '',
  set_at TEXT NOT NULL,
  set_by TEXT NOT NULL,
  retire_at TEXT,
  last_used_at TEXT,
  last_error TEXT,
  last_error_at TEXT,
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  created_at TEXT NOT NULL,
  CONSTRAINT previous_keys_end CHECK (slot = 'current' OR retire_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX provider_credentials_current ON provider_credentials (instance_id, provider) WHERE slot = 'current';
CREATE INDEX provider_credentials_by_instance ON provider_credentials (instance_id, provider, slot);
CREATE INDEX provider_credentials_by_kek ON provider_credentials (kek_id);
CREATE INDEX provider_credentials_retiring ON provider_credentials (retire_at) WHERE slot = 'previous';

CREATE TABLE price_overrides (
  price_id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES organizations (org_id),
  -- NULL: all instances of the organization.
  instance_id TEXT REFERENCES instances (instance_id),
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  row TEXT NOT NULL CHECK (json_valid(row)),
  valid_from TEXT NOT NULL,
  valid_to TEXT,
  created_by TEXT NOT NULL,
  created_at TEXT NOT NULL,
  CONSTRAINT prices_end_after_they_begin CHECK (valid_to IS NULL OR valid_to > valid_from)
) STRICT;
CREATE INDEX price_overrides_by_model ON price_overrides (org_id, provider, model, valid_from);
CREATE INDEX price_overrides_by_instance ON price_overrides (instance_id);

CREATE TABLE worker_registry (
  name TEXT NOT NULL,
  -- '' is the platform.
  instance_id TEXT NOT NULL DEFAULT '',
  version TEXT NOT NULL,
  git_sha TEXT NOT NULL,
  url TEXT NOT NULL,
  openapi_url TEXT,
  openapi_sha256 TEXT,
  capabilities TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(capabilities)),
  bindings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(bindings)),
  health TEXT NOT NULL DEFAULT 'unknown' CHECK (health IN ('unknown', 'healthy', 'degraded', 'unhealthy')),
  health_detail TEXT CHECK (health_detail IS NULL OR json_valid(health_detail)),
  failures INTEGER NOT NULL DEFAULT 0,
  successes INTEGER NOT NULL DEFAULT 0,
  checked_at TEXT,
  registered_at TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (instance_id, name)
) STRICT;

CREATE TABLE worker_versions (
  instance_id TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  git_sha TEXT NOT NULL,
  registered_at TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (instance_id, name, version)
) STRICT;

-- One hash chain per organization; 'platform' is the chain of what belongs to none.
CREATE TABLE audit_log (
  org_id TEXT NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  at TEXT NOT NULL,
  actor TEXT NOT NULL CHECK (json_valid(actor)),
  action TEXT NOT NULL,
  target_type TEXT NOT NULL,
  target_id TEXT NOT NULL,
  instance_id TEXT,
  before TEXT CHECK (before IS NULL OR json_valid(before)),
  after TEXT CHECK (after IS NULL OR json_valid(after)),
  request_id TEXT NOT NULL,
  ip TEXT,
  prev_hash TEXT NOT NULL CHECK (length(prev_hash) = 64),
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  PRIMARY KEY (org_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_log_by_target ON audit_log (org_id, target_type, target_id, seq);
CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'audit_log_is_append_only');
END;
CREATE TRIGGER audit_log_is_never_deleted BEFORE DELETE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'audit_log_is_append_only');
END;

CREATE TABLE audit_checkpoints (
  org_id TEXT NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  mac TEXT NOT NULL CHECK (length(mac) = 64),
  pepper_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (org_id, seq)
) STRICT, WITHOUT ROWID;

-- The answer that an Idempotency-Key stands for; rows live 24 hours.
CREATE TABLE idempotency (
  principal TEXT NOT NULL,
  route TEXT NOT NULL,
  key TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  request_sha256 TEXT NOT NULL CHECK (length(request_sha256) = 64),
  status INTEGER NOT NULL CHECK (status BETWEEN 200 AND 299),
  -- JSON, or an envelope when `sealed`.
  response TEXT NOT NULL,
  sealed INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1)),
  created_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  PRIMARY KEY (principal, route, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

CREATE TABLE kek_rotations (
  rotation_id TEXT NOT NULL PRIMARY KEY,
  to_kek TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  cursor TEXT NOT NULL DEFAULT '',
  done INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  dry_run INTEGER NOT NULL DEFAULT 0 CHECK (dry_run IN (0, 1)),
  started_by TEXT NOT NULL,
  created_at TEXT NOT NULL,
  ended_at TEXT,
  error TEXT
) STRICT;
CREATE UNIQUE INDEX kek_rotations_running ON kek_rotations (state) WHERE state = 'running';
