import { expect, test } from 'vitest'
import { type Change, OUTCOMES, STATES } from '../../../relay/delivery/delivery.ts'
import type { Backend, Row, Statement } from '../../../relay/store/database.ts'
import { openBackend } from '../../../relay/store/open.ts'
import { INSERT, insertMany, toRow } from '../../../relay/store/sql/intake.ts'
import type { Filter, Store } from '../../../relay/store/store.ts'
import { createStore } from '../../../relay/store/store.ts'
import {
  aDelivery,
  aDispatched,
  aFailed,
  aLine,
  applyTo,
  aRun,
  aSigned,
  aTransition,
  NO_OUTCOME,
  type Place,
} from '../place.ts'

/** More rows than any statement may read, except one of `OF_OUTCOMES`. */
const FINISHED = 20_000
/** The number of dispatched, of running, of failed, and of queued deliveries. */
const QUEUED = 2000
/** The number of deliveries with due work. */
const WAITING = 20
/** The number of frozen deliveries, which claims don't read. */
const FROZEN = 10_000
/** The maximum number of rows that a statement can read. `OF_WAITING` can also read all open deliveries. */
const MAX_ROWS = 500
const OF_WAITING =
  /AS queued,|AS newest|AS frozen,|AS deliveries FROM freezes|^UPDATE deliveries SET due_at = \?1, lease_until = 0|WHERE state = 'dispatched' AND repository/
/** With statistics of an empty table, PostgreSQL reads more deliveries of an outcome than the limit. */
const OF_OUTCOMES = /^SELECT .* AS succeeded,/
/** This statement can read every outbox, because every outbox has waiting messages. */
const OF_OUTBOXES = /^UPDATE outboxes SET due_at = \?1, lease_until = 0, version/

/** What a statement other than those of `apply` may write to a delivery: leases, due times, and attempts. */
const UNDECIDED = new Set([
  ...['version', 'lease_until', 'due_at', 'trace_due_at', 'notified_at', 'change_id'],
  ...['attempts', 'attempted_at', 'first_attempt_at', 'awaiting_response_since'],
])

/** Returns the columns that a statement may not write, because `transition` decides them. */
function decidedIn(sql: string): string[] {
  const [, set = ''] = /UPDATE deliveries SET\s(.*?)\sWHERE\s/s.exec(sql) ?? []
  const written = [...set.matchAll(/(\w+) = /g)].map(([, column]) => column!)
  return [...written, ...(/INTO events\b/.test(sql) ? ['events'] : [])].filter(each => !UNDECIDED.has(each))
}

export function planTests(place: Place): void {
  test(`no statement scans a table of ${FINISHED} finished deliveries, even if the statistics are of an empty table`, async () => {
    const backend = await openBackend(await place.empty())
    const seen = new Map<string, Statement>()
    const decided: string[] = []
    let method = ''
    const note = (statements: Statement[]) => {
      for (const statement of statements) seen.set(statement.sql, statement)
      const columns = statements.flatMap(({ sql }) => decidedIn(sql))
      if (columns.length > 0) decided.push(`${method}: ${columns.join(' ')}`)
    }
    const recording: Backend = {
      ...backend,
      run(statements) {
        note(statements)
        return backend.run(statements)
      },
      async claim(statement, attempts) {
        note([statement])
        const rows = await backend.claim(statement, attempts)
        // After a lost response, the store reads the claim back.
        if (/^UPDATE deliveries .* change_id = /s.test(statement.sql)) throw new Error('lost')
        return rows
      },
      insert(delivery) {
        const inserts = [insertMany([delivery]), insertMany([delivery, aDelivery()])]
        note(
          place.kind === 'postgres' ? (inserts as Statement[]) : [{ sql: INSERT, params: toRow(delivery) }],
        )
        return backend.insert(delivery)
      },
    }
    await fill(backend)
    await callEverything(createStore(recording), name => {
      method = name
    })

    expect(decided.length).toBeGreaterThan(2)
    expect(decided.filter(each => !each.startsWith('apply: '))).toEqual([])
    expect(seen.size).toBeGreaterThan(30)
    await expectIndexes()
    // With current statistics, the database can choose another plan.
    await backend.run([{ sql: 'ANALYZE', params: [] }])
    await expectIndexes()
    await backend.close()

    async function expectIndexes() {
      const scans = []
      for (const statement of seen.values()) {
        if (OF_OUTBOXES.test(statement.sql)) continue
        const failure = await failureOf(backend, statement, place.kind)
        if (failure) scans.push(`${failure}: ${statement.sql.replace(/\s+/g, ' ')}`)
      }
      expect(scans).toEqual([])
      const scanning = { sql: `SELECT * FROM deliveries WHERE event_type = 'none'`, params: [] }
      expect(await failureOf(backend, scanning, place.kind)).toMatch(/deliveries/)
    }
  })
}

const OUTCOME: Record<string, string> = { finished: 'succeeded', failed: 'not_started' }

async function fill(backend: Backend): Promise<void> {
  const store = createStore(backend)
  await backend.run([{ sql: 'ANALYZE', params: [] }])
  await insertAll('finished', FINISHED)
  const of = (columns: string, values: string, table: string) => ({
    sql: `INSERT INTO ${table} (${columns}) SELECT ${values} FROM deliveries WHERE state = 'finished'`,
    params: [],
  })
  await backend.run([
    of(
      'repository, github_run_id, delivery, attempt, evidence, past, status, url',
      `repository, seq, id, 1, 'title', 0, 'completed', ''`,
      'runs',
    ),
    of('delivery, number, at, type, details', `id, 1, 1, 'runFinished', '{}'`, 'events'),
    of('delivery, sender, last', `id, 's', 1`, 'report_senders'),
    of('digest, expires_at, status, body', `id, 4000000000000, 200, ''`, 'cancellations'),
  ])
  for (const state of ['dispatched', 'running', 'failed']) await insertAll(state, QUEUED)
  const { id } = await store.addFreeze({ repositories: 'frozen/*', reason: 'no', since: 1, endsAt: null })
  await insertAll('queued', FROZEN, 'frozen', id)
  for (let i = 0; i < WAITING; i++) {
    const repository = `acme/${i % 10}`
    await aDispatched(store, { repository })
    await applyTo(store, await aFailed(store, 5000, { repository }), { messages: [aLine('one')] })
  }
  const queue = Array.from({ length: QUEUED }, (_, i) =>
    aSigned(`k${i}`, '/webhook', { repository: `acme/${i % 10}` }),
  )
  await Promise.all(queue.map(store.accept))

  async function insertAll(state: string, amount: number, owner = 'acme', frozenBy = 0): Promise<void> {
    const sql = `
      INSERT INTO deliveries (id, dedupe_key, sent_as, kind, repository, event_type, invocation, state, outcome, received_at,
        queued_at, updated_at, attempted_at, frozen_by, due_at)
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${amount})
      SELECT '${state}' || i, '${state}:' || i, '', 'none', '${owner}/' || (i % 10), 'e', '{}', '${state}',
        '${OUTCOME[state] ?? ''}', i, i, i, i, ${frozenBy}, CASE WHEN '${state}' IN ('dispatched', 'running') THEN 4000000000000 END FROM n`
    await backend.run([{ sql, params: [] }])
  }
}

/** Calls each method once, and `list` with every kind of filter. */
export async function callEverything(store: Store, onCall = (_method: string) => {}): Promise<void> {
  const given = aDelivery()
  const id = given.id
  const now = 900_000
  const receipt = { sender: 's', number: 1, lines: 1, bytes: 1 }
  const page = { delivery: id, version: 0 }
  const freeze = {
    ...{ id: 1, repositories: 'acme/1', reason: 'no', since: now, endsAt: null, ending: '' as const },
    deliveries: 1,
  }
  const calls: Record<keyof Omit<Store, 'close' | 'onWork' | 'clock'>, () => Promise<unknown>> = {
    accept: async () => [await store.accept(given), await store.accept(given)],
    findCancellation: () => store.findCancellation(aSigned('another')),
    saveCancellation: () =>
      store.saveCancellation({ digest: 'bytes', expiresAt: now }, { status: 200, body: '' }),
    claimQueued: () => store.claimQueued(now, 1, 5, 'owner:'),
    findWaiting: () => store.findWaiting(now, now, 5, 'owner:'),
    heads: async () => store.heads([(await store.get(id))!, { ...(await store.get(id))!, state: 'queued' }]),
    stalled: () => store.stalled(now, 5, 'owner:'),
    relays: () => store.relays(),
    schemaVersion: () => store.schemaVersion(),
    withoutRunner: () => store.withoutRunner(now),
    claimPolls: () => store.claimPolls(now, 1, 5),
    apply: async () => {
      const change: Change = { state: 'failed', reason: 'no', dueAt: 1, runs: [aRun(1), aRun(2)] }
      const history = { type: 'runFinished' as const, details: {} }
      await applyTo(store, id, { change, messages: [aLine('one')], history }, now, receipt)
      await applyTo(store, id, { change: { state: 'queued' }, requeue: true }, now)
      // Deliveries that get the same change share statements.
      const frozen = { change: { frozenBy: 1 }, messages: [aLine('one')], history }
      for (const given of [frozen, { change: { frozenBy: 0 } }]) {
        const found = frozen === given ? await store.freezable(['acme/1'], 5) : await store.frozenBy(1, 5)
        const all = found.map(delivery => ({ delivery, transition: aTransition(given) }))
        await store.apply(all, now)
      }
    },
    wake: () => store.wake(id, now),
    addFreeze: () => store.addFreeze(freeze),
    freezes: () => store.freezes(),
    queues: () => store.queues(),
    freezable: () => store.freezable(['acme/1'], 5),
    frozenBy: () => store.frozenBy(1, 5),
    endFreeze: () => store.endFreeze(1, 'release'),
    deleteFreeze: () => store.deleteFreeze(2),
    challengeKey: () => store.challengeKey(),
    organization: () => store.organization('client-id'),
    nextDue: () => store.nextDue(now),
    findRuns: () => store.findRuns('acme/1', [1, 2, 3]),
    findByTitle: () => store.findByTitle('acme/1', ['r_1', 'finished5']),
    attemptedBetween: () => store.attemptedBetween('acme/1', 1, 1000, id),
    findUnbound: () => store.findUnbound('acme/1'),
    reportUsage: () => store.reportUsage(id, 's'),
    claimTraces: () => store.claimTraces(now, 1, 5),
    settleTraces: () => store.settleTraces([{ id, traceDueAt: now }]),
    claimOutboxes: () => store.claimOutboxes(now, 1, 5),
    settleOutbox: () => store.settleOutbox(page, { done: [1] }, null, now),
    savePause: async () => {
      for (const scope of ['owner:acme', 'token:1']) {
        await store.savePause({ scope, pausedUntil: now + 1, cause: 'limit', reason: 'limited' })
      }
    },
    activePauses: () => store.activePauses(now),
    clockDifference: () => store.clockDifference(),
    saveClockDifference: () => store.saveClockDifference({ difference: 0, since: 0 }),
    purge: () => store.purge(100, 5),
    repairDueTimes: () => store.repairDueTimes(now),
    get: () => store.get(id),
    invocation: () => store.invocation(id),
    history: () => store.history(id),
    list: async () => {
      const narrowed: Filter[] = [
        ...[{}, { state: 'failed', outcome: 'not_started' } as const],
        ...[...STATES.map(state => ({ state })), ...OUTCOMES.map(outcome => ({ outcome }))],
      ]
      for (const of of narrowed) {
        for (const repository of [undefined, 'acme/1']) {
          const filter = { ...of, ...(repository && { repository }) }
          await store.list(filter, { limit: 5 })
          await store.list({ ...filter, action: 'none', since: 5 }, { limit: 5 })
          await store.listedTo({ ...filter, action: 'none' })
          await store.list({ ...filter, runId: 'r_1' }, { before: 19_000, limit: 5 })
        }
      }
    },
    claimAlerts: () => store.claimAlerts('relay', now, 1),
    saveAlerts: () => store.saveAlerts('relay', { problems: [], sentAt: 0 }),
    waitingMessages: () => store.waitingMessages(id),
    countHours: () => store.countHours([{ hour: 1, accepted: 1, ...NO_OUTCOME }], 0),
    hours: () => store.hours(1),
    listedTo: () => store.listedTo({ since: 5 }),
    invocations: () => store.invocations([id, 'finished5'], 1000),
    counts: () => store.counts(),
    outcomes: () => store.outcomes(),
    backlog: () => store.backlog(now),
    revokeSession: () => store.revokeSession('session', now),
    isSessionRevoked: () => store.isSessionRevoked('session'),
    ping: () => store.ping(),
  }
  for (const [method, call] of Object.entries(calls)) {
    onCall(method)
    await call()
  }
}

/** Returns the problem with a statement's query plan, or null. */
async function failureOf(
  backend: Backend,
  { sql, params }: Statement,
  kind: Place['kind'],
): Promise<string | null> {
  if (kind === 'sqlite') {
    const [rows = []] = await backend.run([{ sql: `EXPLAIN QUERY PLAN ${sql}`, params }])
    const small =
      /USING (COVERING )?INDEX deliveries_(queued|awaiting|polled|dispatched|unshown)\b|^SCAN outboxes USING (COVERING )?INDEX outboxes_due|^SCAN outbox USING COVERING INDEX/
    const large = /^SCAN (deliveries|head|runs|events|outbox|outboxes|report_senders)\b/
    const scan = rows.map(row => String(row.detail)).find(detail => large.test(detail) && !small.test(detail))
    return scan ?? null
  }
  const [rows = []] = await backend.run([{ sql: `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, params }])
  const [{ Plan: plan }] = Object.values(rows[0] as Row)[0] as [{ Plan: PlanNode }]
  const nodes = flatten(plan)
  const table = /deliveries|runs|events|outbox|report_senders/
  const isScan = (node: PlanNode) =>
    node['Node Type'] === 'Seq Scan' && table.test(String(node['Relation Name']))
  const scan = nodes.find(isScan)
  if (scan) return `Seq Scan on ${scan['Relation Name']}`
  const rowsOf = (node: PlanNode) =>
    (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']
  const looked = nodes
    .filter(node => /Scan$/.test(node['Node Type']) && node['Index Name'])
    .reduce((sum, node) => sum + rowsOf(node), 0)
  const others = OF_OUTCOMES.test(sql)
    ? FINISHED + 2 * QUEUED
    : OF_WAITING.test(sql.trim())
      ? // A bitmap scan also counts entries of earlier states that PostgreSQL hasn't removed yet.
        11 * QUEUED + FROZEN
      : 0
  const allowed = MAX_ROWS + others
  return looked > allowed ? `${looked} rows of deliveries read` : null
}

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: PlanNode[]
}

const flatten = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flatten)]
