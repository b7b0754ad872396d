/**
 * SQLite's schema, a step for each version; `user_version` says how many were taken. Steps are only ever
 * added. The partial indexes hold what waits, never what is done, so a million finished deliveries cost
 * the hot path nothing.
 */
export const MIGRATIONS = [
  `
  CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL UNIQUE,
    replay_key TEXT,
    run_id TEXT,
    kind TEXT NOT NULL,
    action TEXT,
    repository TEXT NOT NULL,
    event_type TEXT NOT NULL,
    invocation TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts TEXT NOT NULL DEFAULT '[]',
    received_at INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    due_at INTEGER,
    woken INTEGER NOT NULL DEFAULT 0,
    lease INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    sent_at INTEGER,
    dispatched_at INTEGER,
    github_run_id INTEGER,
    github_run_attempt INTEGER,
    tell_at INTEGER,
    tell_lease INTEGER NOT NULL DEFAULT 0,
    tell_until INTEGER NOT NULL DEFAULT 0,
    tell_tries INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE UNIQUE INDEX deliveries_replay ON deliveries (replay_key) WHERE replay_key IS NOT NULL;
  CREATE INDEX deliveries_queued ON deliveries (repository, seq) WHERE state = 'queued';
  CREATE INDEX deliveries_watched ON deliveries (due_at) WHERE state IN ('dispatched', 'running');
  CREATE INDEX deliveries_telling ON deliveries (tell_at) WHERE tell_at IS NOT NULL;
  CREATE INDEX deliveries_unmatched ON deliveries (lower(repository), seq)
    WHERE state = 'dispatched' AND github_run_id IS NULL;
  CREATE INDEX deliveries_github_run ON deliveries (github_run_id) WHERE github_run_id IS NOT NULL;
  CREATE INDEX deliveries_state ON deliveries (state, seq) WHERE state <> 'queued';
  CREATE INDEX deliveries_repository ON deliveries (repository, state, seq) WHERE state <> 'queued';
  CREATE INDEX deliveries_old ON deliveries (updated_at)
    WHERE state IN ('finished', 'failed') AND tell_at IS NULL;
  CREATE TABLE reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX reports_delivery ON reports (delivery, seq);
  CREATE TABLE report_senders (
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (delivery, sender)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE pace (tokens REAL NOT NULL, at INTEGER NOT NULL) STRICT;
  INSERT INTO pace VALUES (0, 0);
  `,
  `
  ALTER TABLE deliveries ADD COLUMN past_runs TEXT NOT NULL DEFAULT '[]';
  CREATE INDEX deliveries_sent ON deliveries (lower(repository), event_type, sent_at) WHERE sent_at IS NOT NULL;
  CREATE TABLE pauses (scope TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `,
]
