-- Runs of the deploy tool. It writes here by itself, also while config-service is being replaced; config-service reads.
CREATE TABLE deployments (
  deployment_id TEXT NOT NULL PRIMARY KEY,
  account_id TEXT NOT NULL,
  -- NULL is the platform's own set. No foreign key: the row is written before the instance exists and outlives it.
  instance_id TEXT,
  status TEXT NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'rolled_back', 'rollback_blocked')),
  actor TEXT NOT NULL,
  -- `cli` or `github:<run>`.
  source TEXT NOT NULL,
  git_sha TEXT,
  artifact_hash TEXT,
  config_hash TEXT,
  plan_hash TEXT,
  plan TEXT CHECK (plan IS NULL OR json_valid(plan)),
  journal TEXT CHECK (journal IS NULL OR json_valid(journal)),
  anchor TEXT CHECK (anchor IS NULL OR json_valid(anchor)),
  secrets_mark TEXT CHECK (secrets_mark IS NULL OR json_valid(secrets_mark)),
  result TEXT CHECK (result IS NULL OR json_valid(result)),
  -- After this time another run may take over.
  lease_expires_at TEXT,
  created_at TEXT NOT NULL,
  ended_at TEXT,
  CONSTRAINT running_deployments_have_a_lease CHECK (status <> 'running' OR lease_expires_at IS NOT NULL)
) STRICT;
-- The lock: one deployment at a time in an account.
CREATE UNIQUE INDEX deployments_running ON deployments (account_id) WHERE status = 'running';
CREATE INDEX deployments_by_instance ON deployments (instance_id, created_at, deployment_id);

-- Lists walk an organization's prices newest first.
CREATE INDEX price_overrides_listed ON price_overrides (org_id, price_id);
-- What holds now or later, past any number of ended rows.
CREATE INDEX price_overrides_open ON price_overrides (org_id, coalesce(valid_to, '9999'));
-- The sweeper looks for those that begin or end.
CREATE INDEX price_overrides_beginning ON price_overrides (valid_from);
CREATE INDEX price_overrides_ending ON price_overrides (valid_to) WHERE valid_to IS NOT NULL;

-- When the body was last compared with its parts; '' is never.
ALTER TABLE instance_effective ADD COLUMN recounted_at TEXT NOT NULL DEFAULT '';
CREATE INDEX instance_effective_by_recount ON instance_effective (recounted_at);
