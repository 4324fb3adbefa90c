-- D1 `ledger`: usage, jobs and images. A projection: the limiter objects are the truth in flight, so every row here
-- can be written twice. Times are milliseconds since the epoch, money is micro-dollars, missing texts are ''.

-- One row an attempt that reached a provider; what was billed changes only by a further row of phase `correction`.
CREATE TABLE usage_logs (
  log_id TEXT NOT NULL PRIMARY KEY,
  instance_id TEXT NOT NULL,
  timestamp INTEGER NOT NULL,
  provider TEXT NOT NULL,
  tokens_used INTEGER NOT NULL DEFAULT 0,
  cost INTEGER,
  org_id TEXT NOT NULL DEFAULT '',
  project_id TEXT NOT NULL DEFAULT '',
  key_id TEXT NOT NULL DEFAULT '',
  job_id TEXT NOT NULL DEFAULT '',
  lease_id TEXT NOT NULL,
  attempt_no INTEGER NOT NULL DEFAULT 1,
  request_id TEXT NOT NULL DEFAULT '',
  work TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL DEFAULT 0,
  images INTEGER NOT NULL DEFAULT 0,
  outcome TEXT NOT NULL,
  billed TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('charge', 'correction')),
  cost_basis TEXT NOT NULL,
  estimate INTEGER,
  overrun INTEGER NOT NULL DEFAULT 0,
  price_version TEXT NOT NULL DEFAULT '',
  latency_ms INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE UNIQUE INDEX usage_logs_by_lease ON usage_logs (lease_id, phase);
CREATE INDEX usage_logs_by_time ON usage_logs (instance_id, timestamp);
CREATE INDEX usage_logs_by_job ON usage_logs (job_id);

CREATE TABLE usage_daily (
  instance_id TEXT NOT NULL,
  day TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  project_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  calls INTEGER NOT NULL DEFAULT 0,
  images INTEGER NOT NULL DEFAULT 0,
  tokens_used INTEGER NOT NULL DEFAULT 0,
  cost INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (instance_id, day, provider, model, project_id, key_id)
) WITHOUT ROWID;

-- A repeated flush inserts nothing into usage_logs, so it adds nothing here.
CREATE TRIGGER usage_logs_rollup AFTER INSERT ON usage_logs
BEGIN
  INSERT INTO usage_daily (instance_id, day, provider, model, project_id, key_id, calls, images, tokens_used, cost)
  VALUES (NEW.instance_id, strftime('%Y-%m-%d', NEW.timestamp / 1000, 'unixepoch'), NEW.provider, NEW.model,
          NEW.project_id, NEW.key_id, NEW.calls, NEW.images, NEW.tokens_used, coalesce(NEW.cost, 0))
  ON CONFLICT (instance_id, day, provider, model, project_id, key_id) DO UPDATE SET
    calls = calls + excluded.calls,
    images = images + excluded.images,
    tokens_used = tokens_used + excluded.tokens_used,
    cost = cost + excluded.cost;
END;

-- The newest known state of each job; a row of a lower version changes nothing.
CREATE TABLE jobs (
  job_id TEXT NOT NULL PRIMARY KEY,
  instance_id TEXT NOT NULL,
  org_id TEXT NOT NULL DEFAULT '',
  project_id TEXT NOT NULL DEFAULT '',
  key_id TEXT NOT NULL DEFAULT '',
  request_id TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'unknown', 'succeeded', 'failed', 'cancelled', 'dead')),
  stage TEXT NOT NULL DEFAULT '',
  version INTEGER NOT NULL,
  priority INTEGER NOT NULL DEFAULT 5,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  object_name TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  images_requested INTEGER NOT NULL DEFAULT 0,
  images_stored INTEGER NOT NULL DEFAULT 0,
  estimate INTEGER,
  cost INTEGER,
  request TEXT NOT NULL DEFAULT '{}',
  result TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  error_code TEXT NOT NULL DEFAULT '',
  -- {"<attempt_no>": [events]}: attempts live in different objects and arrive in any order.
  timeline TEXT NOT NULL DEFAULT '{}',
  webhook TEXT NOT NULL DEFAULT '',
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  parent_job_id TEXT NOT NULL DEFAULT '',
  replayed_by TEXT NOT NULL DEFAULT '',
  hidden INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  finished_at INTEGER
) WITHOUT ROWID;
CREATE INDEX jobs_by_time ON jobs (instance_id, created_at);
CREATE INDEX jobs_by_project ON jobs (instance_id, project_id, created_at);
CREATE INDEX jobs_dead ON jobs (instance_id, error_code, created_at) WHERE state IN ('dead', 'unknown');
CREATE INDEX jobs_open ON jobs (updated_at) WHERE state IN ('queued', 'running', 'unknown');

CREATE TABLE images (
  -- An own integer key: the full-text index refers to it, and an implicit rowid may change.
  seq INTEGER PRIMARY KEY,
  image_id TEXT NOT NULL UNIQUE,
  job_id TEXT NOT NULL,
  instance_id TEXT NOT NULL,
  project_id TEXT NOT NULL DEFAULT '',
  bucket TEXT NOT NULL,
  r2_path TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt TEXT NOT NULL DEFAULT '',
  seed INTEGER,
  width INTEGER NOT NULL DEFAULT 0,
  height INTEGER NOT NULL DEFAULT 0,
  format TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL DEFAULT '',
  quality TEXT NOT NULL DEFAULT '',
  visibility TEXT NOT NULL,
  tags TEXT NOT NULL DEFAULT '[]',
  cost INTEGER,
  keep INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'deleting', 'deleted', 'missing')),
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  UNIQUE (bucket, r2_path)
);
CREATE INDEX images_by_project ON images (instance_id, project_id, created_at);

CREATE VIRTUAL TABLE images_fts USING fts5 (prompt, tags, content = 'images', content_rowid = 'seq');
CREATE TRIGGER images_fts_insert AFTER INSERT ON images
BEGIN
  INSERT INTO images_fts (rowid, prompt, tags) VALUES (NEW.seq, NEW.prompt, NEW.tags);
END;
CREATE TRIGGER images_fts_delete AFTER DELETE ON images
BEGIN
  INSERT INTO images_fts (images_fts, rowid, prompt, tags) VALUES ('delete', OLD.seq, OLD.prompt, OLD.tags);
END;
CREATE TRIGGER images_fts_update AFTER UPDATE OF prompt, tags ON images
BEGIN
  INSERT INTO images_fts (images_fts, rowid, prompt, tags) VALUES ('delete', OLD.seq, OLD.prompt, OLD.tags);
  INSERT INTO images_fts (rowid, prompt, tags) VALUES (NEW.seq, NEW.prompt, NEW.tags);
END;

-- The limiter objects that have ever flushed, so that the sweeper finds work of providers no longer configured.
CREATE TABLE limiter_objects (
  name TEXT NOT NULL PRIMARY KEY,
  instance_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  open INTEGER NOT NULL DEFAULT 0,
  waits INTEGER NOT NULL DEFAULT 0,
  last_flush_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Messages that could not be read, kept for seven days.
CREATE TABLE queue_rejects (
  id TEXT NOT NULL PRIMARY KEY,
  queue TEXT NOT NULL,
  body TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX queue_rejects_by_time ON queue_rejects (at);

-- Where periodic work stands; a run that dies repeats harmlessly.
CREATE TABLE maintenance (
  job TEXT NOT NULL PRIMARY KEY,
  last_run_at INTEGER NOT NULL,
  cursor TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- Which job an Idempotency-Key stands for; rows live 24 hours.
CREATE TABLE idempotency_keys (
  instance_id TEXT NOT NULL,
  project_id TEXT NOT NULL DEFAULT '',
  route TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  job_id TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (instance_id, project_id, route, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
