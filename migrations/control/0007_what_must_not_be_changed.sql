-- Checkpoints prove what the audit log was: like its entries they are added and never changed or deleted.
CREATE TRIGGER audit_checkpoints_are_never_changed BEFORE UPDATE ON audit_checkpoints
BEGIN
  SELECT RAISE(ABORT, 'audit_checkpoints_are_append_only');
END;
CREATE TRIGGER audit_checkpoints_are_never_deleted BEFORE DELETE ON audit_checkpoints
BEGIN
  SELECT RAISE(ABORT, 'audit_checkpoints_are_append_only');
END;

-- A key rotation finds envelopes by `kek_id`: a row that names another key than its envelope would be passed over, and
-- unreadable once that key is gone.
CREATE TRIGGER provider_credentials_name_their_key AFTER INSERT ON provider_credentials
WHEN instr(NEW.ciphertext, 'v1.' || NEW.kek_id || '.') <> 1
BEGIN
  SELECT RAISE(ABORT, 'provider_credentials_name_their_key');
END;
CREATE TRIGGER provider_credentials_keep_their_key AFTER UPDATE OF ciphertext, kek_id ON provider_credentials
WHEN instr(NEW.ciphertext, 'v1.' || NEW.kek_id || '.') <> 1
BEGIN
  SELECT RAISE(ABORT, 'provider_credentials_name_their_key');
END;
-- Rows from before these triggers, or written past them: rotations look here too.
CREATE INDEX provider_credentials_damaged ON provider_credentials (instance_id)
  WHERE instr(ciphertext, 'v1.' || kek_id || '.') <> 1;
