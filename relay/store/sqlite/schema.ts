/** The first version of SQLite's schema, before the changes in `migrations.ts`. Partial indexes on open work keep finished deliveries from slowing down processing. */
export const SCHEMA = `
  CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    dedupe_key TEXT NOT NULL UNIQUE,
    sent_as TEXT NOT NULL,
    signature TEXT,
    run_id TEXT,
    kind TEXT NOT NULL,
    action TEXT,
    repository TEXT NOT NULL,
    event_type TEXT,
    workflow TEXT,
    ref TEXT,
    state TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
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
    awaiting_response_since INTEGER,
    shown_cause TEXT NOT NULL DEFAULT '',
    shown_until INTEGER NOT NULL DEFAULT 0,
    shown_reason TEXT NOT NULL DEFAULT '',
    shown_at INTEGER NOT NULL DEFAULT 0,
    frozen_by INTEGER NOT NULL DEFAULT 0,
    unfrozen_at INTEGER,
    dispatched_at INTEGER,
    cancel_requested_at INTEGER,
    cancel_sent_at INTEGER,
    cancel_forced INTEGER NOT NULL DEFAULT 0,
    waiting_for TEXT,
    decisions TEXT NOT NULL DEFAULT '',
    outputs TEXT NOT NULL DEFAULT '',
    reported TEXT,
    finishing_at INTEGER,
    run_webhook INTEGER NOT NULL DEFAULT 0,
    report_workflow_status INTEGER NOT NULL DEFAULT 1,
    rerun_at INTEGER,
    events INTEGER NOT NULL DEFAULT 0,
    report_lines INTEGER NOT NULL DEFAULT 0,
    report_bytes INTEGER NOT NULL DEFAULT 0,
    trace_due_at INTEGER,
    notified_at INTEGER,
    invocation TEXT NOT NULL
  ) STRICT;
  -- insert, findSame
  CREATE UNIQUE INDEX deliveries_signature ON deliveries (signature) WHERE signature IS NOT NULL;
  -- claimQueued, nextDue, heads, stalled, list, hold
  CREATE INDEX deliveries_queued ON deliveries (repository, seq) WHERE state = 'queued' AND frozen_by = 0;
  -- claimQueued, list, release, frozenBy
  CREATE INDEX deliveries_frozen ON deliveries (frozen_by, repository, seq) WHERE state = 'queued' AND frozen_by > 0;
  -- findWaiting
  CREATE INDEX deliveries_waiting ON deliveries (shown_cause, shown_until, queued_at)
    WHERE state = 'queued' AND kind <> 'none' AND frozen_by = 0;
  CREATE INDEX deliveries_unshown ON deliveries (seq)
    WHERE state = 'queued' AND kind <> 'none' AND frozen_by > 0 AND shown_cause = '';
  -- claimPolls
  CREATE INDEX deliveries_polled ON deliveries (due_at) WHERE state IN ('dispatched', 'running');
  -- withoutRunner
  CREATE INDEX deliveries_without_runner ON deliveries (shown_at)
    WHERE state = 'running' AND shown_cause = 'runner';
  -- findUnbound
  CREATE INDEX deliveries_dispatched ON deliveries (repository, seq) WHERE state = 'dispatched';
  -- attemptedBetween
  CREATE INDEX deliveries_attempted ON deliveries (repository, attempted_at) WHERE attempted_at IS NOT NULL;
  -- list, counts, outcomes
  CREATE INDEX deliveries_state ON deliveries (state, outcome, seq) WHERE state <> 'queued';
  -- list
  CREATE INDEX deliveries_repository ON deliveries (repository, state, outcome, seq) WHERE state <> 'queued';
  -- purge
  CREATE INDEX deliveries_finished ON deliveries (updated_at) WHERE state IN ('finished', 'failed', 'cancelled');
  -- claimTraces
  CREATE INDEX deliveries_traced ON deliveries (trace_due_at) WHERE trace_due_at IS NOT NULL;

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
    reports_conclusion INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (repository, github_run_id)
  ) STRICT, WITHOUT ROWID;
  -- apply, columns
  CREATE INDEX runs_delivery ON runs (delivery);

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
  -- claimOutboxes, settleOutbox
  CREATE INDEX outbox_delivery ON outbox (delivery, seq);

  CREATE TABLE outboxes (
    delivery TEXT PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  -- claimOutboxes
  CREATE INDEX outboxes_due ON outboxes (due_at);

  CREATE TABLE report_senders (
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (delivery, sender)
  ) STRICT, WITHOUT ROWID;

  -- The responses to cancellations. "digest" is the digest of the cancellation's signature.
  CREATE TABLE cancellations (
    digest TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  -- purge
  CREATE INDEX cancellations_expired ON cancellations (expires_at);

  CREATE TABLE rate_limit_pauses (
    scope TEXT PRIMARY KEY,
    paused_until INTEGER NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- Deploy freezes. The column "ending" says what happens to the deliveries after the freeze. It is empty until then.
  CREATE TABLE freezes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    repositories TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    ends_at INTEGER,
    ending TEXT NOT NULL DEFAULT ''
  ) STRICT;

  -- One row: the client ID of the Port organization that this database belongs to.
  CREATE TABLE organization (client_id TEXT) STRICT;
  INSERT INTO organization VALUES (NULL);

  CREATE TABLE hours (
    hour INTEGER PRIMARY KEY,
    accepted INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    not_started INTEGER NOT NULL,
    unknown INTEGER NOT NULL
  ) STRICT;

  -- One row: the relay that sends alerts, the end of its lease, and the known problems.
  CREATE TABLE alerts (holder TEXT NOT NULL, lease_until INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
  INSERT INTO alerts VALUES ('', 0, '{"problems":[],"sentAt":0}');

  -- One row: GitHub's clock minus the database's clock (0 for a small difference), and when the difference started.
  CREATE TABLE clock (difference INTEGER NOT NULL, since INTEGER NOT NULL) STRICT;
  INSERT INTO clock VALUES (0, 0);

  CREATE TABLE revoked_sessions (id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`
