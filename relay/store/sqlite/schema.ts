/**
 * SQLite's schema, a step for each version; `user_version` counts those that were taken. Steps are only ever
 * added. The partial indexes hold what waits, never what is done, so a million finished deliveries cost
 * the hot path nothing.
 */
/** The tables that the third step adds. */
export const TABLES = `
  CREATE TABLE runs (
    repository TEXT NOT NULL,
    github_run_id INTEGER NOT NULL,
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    past INTEGER NOT NULL,
    status TEXT NOT NULL,
    conclusion TEXT,
    url TEXT NOT NULL,
    reports_end INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, github_run_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE events (
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    body TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE outboxes (
    delivery TEXT PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE used_tokens (jti TEXT PRIMARY KEY, delivery TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE gates (scope TEXT PRIMARY KEY, closed_until INTEGER NOT NULL, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE rate_limiter (tokens REAL NOT NULL, refilled_at INTEGER NOT NULL, granted INTEGER NOT NULL) STRICT;
`

export const INDEXES = `
  -- claimQueued, findUnannounced, takePermits, list
  CREATE INDEX deliveries_queued ON deliveries (repository, seq) WHERE state = 'queued';
  -- claimWatched
  CREATE INDEX deliveries_watched ON deliveries (due_at) WHERE state IN ('dispatched', 'running');
  -- findUnbound
  CREATE INDEX deliveries_dispatched ON deliveries (repository, seq) WHERE state = 'dispatched';
  -- attemptedBetween
  CREATE INDEX deliveries_attempted ON deliveries (repository, attempted_at) WHERE attempted_at IS NOT NULL;
  -- list, counts
  CREATE INDEX deliveries_state ON deliveries (state, seq) WHERE state <> 'queued';
  -- list
  CREATE INDEX deliveries_repository ON deliveries (repository, state, seq) WHERE state <> 'queued';
  -- purge
  CREATE INDEX deliveries_ended ON deliveries (updated_at) WHERE state IN ('finished', 'failed', 'cancelled');
  -- apply, columns
  CREATE INDEX runs_delivery ON runs (delivery);
  -- page, settle
  CREATE INDEX outbox_delivery ON outbox (delivery, seq);
  -- purge
  CREATE INDEX used_tokens_expired ON used_tokens (expires_at);
  -- claimOutboxes
  CREATE INDEX outboxes_due ON outboxes (due_at);
`

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
  /* Typed columns, runs and events in tables of their own, and an outbox. */
  `
  DROP INDEX deliveries_replay; DROP INDEX deliveries_queued; DROP INDEX deliveries_watched; DROP INDEX deliveries_telling;
  DROP INDEX deliveries_unmatched; DROP INDEX deliveries_github_run; DROP INDEX deliveries_state;
  DROP INDEX deliveries_repository; DROP INDEX deliveries_old; DROP INDEX deliveries_sent;
  ALTER TABLE deliveries RENAME TO old_deliveries;
  ALTER TABLE report_senders RENAME TO old_senders;
  CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    dedupe_key TEXT NOT NULL UNIQUE,
    replay_key TEXT,
    run_id TEXT,
    kind TEXT NOT NULL,
    action TEXT,
    organisation TEXT NOT NULL DEFAULT 'default',
    repository TEXT NOT NULL,
    event_type TEXT,
    workflow TEXT,
    ref TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    received_at INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    due_at INTEGER,
    version INTEGER NOT NULL DEFAULT 0,
    change_id INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    attempted_at INTEGER,
    unanswered_since INTEGER,
    waiting_notified INTEGER NOT NULL DEFAULT 0,
    dispatched_at INTEGER,
    cancel_requested_at INTEGER,
    cancel_sent_at INTEGER,
    cancel_forced INTEGER NOT NULL DEFAULT 0,
    waiting_for TEXT,
    decisions TEXT NOT NULL DEFAULT '',
    events INTEGER NOT NULL DEFAULT 0,
    report_lines INTEGER NOT NULL DEFAULT 0,
    report_bytes INTEGER NOT NULL DEFAULT 0,
    invocation TEXT NOT NULL
  ) STRICT;
  INSERT INTO deliveries (seq, id, dedupe_key, replay_key, run_id, kind, action, organisation, repository, event_type, state, reason,
    received_at, queued_at, updated_at, due_at, version, attempts, first_attempt_at, attempted_at, unanswered_since,
    waiting_notified, dispatched_at, events, invocation)
  SELECT seq, id, identity, replay_key, run_id, kind, action, 'default', lower(repository), event_type,
    CASE WHEN state = 'running' AND github_run_id IS NULL THEN 'dispatched' ELSE state END, reason,
    received_at, queued_at, updated_at, due_at, lease,
    (SELECT count(*) FROM json_each(attempts) WHERE value ->> 'at' >= queued_at),
    (SELECT min(value ->> 'at') FROM json_each(attempts) WHERE value ->> 'at' >= queued_at),
    sent_at, CASE WHEN state = 'queued' THEN sent_at END,
    EXISTS (SELECT 1 FROM json_each(attempts) WHERE value ->> 'at' >= queued_at),
    dispatched_at, json_array_length(attempts), invocation
  FROM old_deliveries;
  -- accept
  CREATE UNIQUE INDEX deliveries_replay ON deliveries (replay_key) WHERE replay_key IS NOT NULL;
  ${TABLES}
  INSERT INTO rate_limiter SELECT tokens, at, 0 FROM pace;
  INSERT INTO gates SELECT scope, until, 'GitHub limits how fast this credential may work' FROM pauses;
  INSERT OR IGNORE INTO runs (repository, github_run_id, delivery, attempt, evidence, past, status, conclusion, url)
    SELECT lower(repository), github_run_id, id, coalesce(github_run_attempt, 1),
      CASE WHEN github_run_attempt IS NULL THEN 'port' ELSE 'report' END, 0, 'unknown', NULL, ''
    FROM old_deliveries WHERE github_run_id IS NOT NULL;
  INSERT OR IGNORE INTO runs (repository, github_run_id, delivery, attempt, evidence, past, status, conclusion, url)
    SELECT lower(repository), past.value, old_deliveries.id, 1, 'title', 1, 'unknown', NULL, ''
    FROM old_deliveries, json_each(past_runs) AS past;
  INSERT INTO events
    SELECT old_deliveries.id, attempt.key + 1, attempt.value ->> 'at', 'attempted', json_object('outcome', attempt.value ->> 'outcome')
    FROM old_deliveries, json_each(attempts) AS attempt;
  INSERT INTO outbox (delivery, body, bytes, created_at)
    SELECT delivery, body, length(body), created_at FROM reports WHERE delivery IN (SELECT id FROM deliveries) ORDER BY seq;
  INSERT INTO outboxes (delivery, due_at, attempts)
    SELECT id, tell_at, tell_tries FROM old_deliveries WHERE tell_at IS NOT NULL AND id IN (SELECT delivery FROM outbox);
  CREATE TABLE report_senders (
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (delivery, sender)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO report_senders SELECT delivery, sender, last FROM old_senders;
  DROP TABLE old_senders; DROP TABLE old_deliveries; DROP TABLE reports; DROP TABLE pace; DROP TABLE pauses;
  ${INDEXES}
  `,
  /* What happened in each hour, for the dashboard. */
  `
  CREATE TABLE hours (
    hour INTEGER PRIMARY KEY,
    accepted INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL
  ) STRICT;
  `,
  /* Sessions of the dashboard that were signed out before they expire. */
  `
  CREATE TABLE revoked_sessions (id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  `,
  /* Signatures of webhooks that were used; a column `replay_key`, which is no longer written, had some of them. */
  `
  DROP INDEX deliveries_replay;
  CREATE TABLE signatures (
    digest TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    delivery TEXT,
    status INTEGER,
    body TEXT
  ) STRICT, WITHOUT ROWID;
  -- forgetSignatures
  CREATE INDEX signatures_expired ON signatures (expires_at);
  `,
]
