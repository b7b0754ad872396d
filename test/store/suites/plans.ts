import { expect, test } from 'vitest'
import { createStore } from '../../../relay/store/create-store.ts'
import type { Backend, Row, Statement } from '../../../relay/store/database.ts'
import { openBackend } from '../../../relay/store/open.ts'
import { insert, insertMany } from '../../../relay/store/sql/intake.ts'
import type { Store } from '../../../relay/store/store.ts'
import { aDelivery, aDispatched, aFailed, type Place } from '../place.ts'

const FINISHED = 30_000
/** What there is beside them of each other state, and of those with something that is due. */
const QUEUED = 2000
const WAITING = 20
/** What a statement may look at; those of each other state as well where it finds who waits, counts or lists them, or lists past them. */
const MAX_ROWS = 500
const OF_WAITING =
  /^WITH queued|SELECT 'queued'|AS newest$|^SELECT \* FROM deliveries\s+WHERE state = 'dispatched'/

export function planTests(place: Place): void {
  test.each([
    ['without statistics', false],
    ['with statistics of an hour without a queue', true],
  ])(`no statement scans a table, here with ${FINISHED} finished deliveries, %s`, async (_with, analyzed) => {
    const backend = await openBackend(await place.empty())
    const seen = new Map<string, Statement>()
    const note = (statements: Statement[]) => {
      for (const statement of statements) seen.set(statement.sql, statement)
    }
    const recording: Backend = {
      ...backend,
      run(statements) {
        note(statements)
        return backend.run(statements)
      },
      insert(delivery) {
        // PostgreSQL writes many at once: see whether that plan holds, too.
        note([insert(delivery)])
        if (place.kind === 'postgres') note([insertMany([delivery, aDelivery()]) as unknown as Statement])
        return backend.insert(delivery)
      },
    }
    await fill(backend, analyzed)
    await callEverything(createStore(recording, 600))

    expect(seen.size).toBeGreaterThan(30)
    await expectIndexes()
    // With those of now, the database may choose otherwise.
    await backend.run([{ sql: 'ANALYZE', params: [] }])
    await expectIndexes()
    await backend.close()

    async function expectIndexes() {
      const scans = []
      for (const statement of seen.values()) {
        const trouble = await troubleOf(backend, statement, place.kind)
        if (trouble) scans.push(`${trouble}: ${statement.sql.replace(/\s+/g, ' ')}`)
      }
      expect(scans).toEqual([])
      const scanning = { sql: `SELECT * FROM deliveries WHERE event_type = 'none'`, params: [] }
      expect(await troubleOf(backend, scanning, place.kind)).toMatch(/deliveries/)
    }
  })
}

async function fill(backend: Backend, analyzed: boolean): Promise<void> {
  const store = createStore(backend, 0)
  await backend.run([
    {
      sql: `
        INSERT INTO deliveries (id, identity, kind, repository, event_type, invocation, state, received_at,
          queued_at, updated_at, sent_at, github_run_id)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${FINISHED})
        SELECT 'old' || i, 'old:' || i, 'none', 'acme/' || (i % 10), 'e', '{}', 'finished', i, i, i, i, i FROM n`,
      params: [],
    },
  ])
  if (analyzed) await backend.run([{ sql: 'ANALYZE', params: [] }])
  for (const state of ['dispatched', 'running', 'failed']) {
    await backend.run([
      {
        sql: `
          INSERT INTO deliveries (id, identity, kind, repository, event_type, invocation, state, received_at,
            queued_at, updated_at, sent_at, due_at)
          WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${QUEUED})
          SELECT '${state}' || i, '${state}:' || i, 'none', 'acme/' || (i % 10), 'e', '{}', '${state}',
            ${FINISHED} + i, ${FINISHED} + i, ${FINISHED} + i, ${FINISHED} + i, 4000000000000 FROM n`,
        params: [],
      },
    ])
  }
  for (let i = 0; i < WAITING; i++) {
    const repository = `acme/${i % 10}`
    await aDispatched(store, { repository })
    const failed = await aFailed(store, 5000, { repository })
    await store.report(failed, [{ log: [] }], 5000)
  }
  await Promise.all(
    Array.from({ length: QUEUED }, (_, i) =>
      store.accept(aDelivery({ repository: `acme/${i % 10}`, replayKey: `k${i}` })),
    ),
  )
}

/** Each method once, and `list` in every form. */
async function callEverything(store: Store): Promise<void> {
  const given = aDelivery({ replayKey: 'bytes' })
  const id = given.id
  const now = 900_000
  const claimed = { id, lease: 0, state: 'queued' as const }
  const reports = [{ log: [] }]
  const change = {
    state: 'failed' as const,
    reason: 'no',
    attempts: [],
    dueAt: 1,
    sentAt: null,
    dispatchedAt: 1,
  }
  const calls: Record<keyof Omit<Store, 'close' | 'onWork'>, () => Promise<unknown>> = {
    accept: async () => [await store.accept(given), await store.accept(given)],
    claimQueued: async () => [await store.claimQueued(now, 1, 5)],
    claimWatched: () => store.claimWatched(now, 1, 5),
    claimTelling: () => store.claimTelling(now, 1, 5),
    record: async () => [
      await store.record(claimed, { ...change, githubRunId: 1, githubRunAttempt: 1 }, now, reports),
      await store.record(claimed, { dueAt: 1 }, now, [], {
        unsent: true,
        pause: { scope: 'token:1', until: now },
      }),
    ],
    markSent: () => store.markSent(claimed, now),
    pause: async () => [
      await store.pause({ scope: 'owner:acme', until: now + 1 }),
      await store.pause({ scope: 'token:1', until: now + 1 }),
    ],
    pauses: () => store.pauses(now),
    claimWaiting: async () => [
      await store.claimWaiting(now, 0, 5, { scope: null, after: 0 }),
      await store.claimWaiting(now, 0, 5, { scope: 'token:1', after: FINISHED }),
    ],
    told: () => store.told({ id, lease: 0 }, [1], null),
    report: async () => [
      await store.report(id, reports, now),
      await store.report(id, [], now),
      await store.report(id, reports, now, {
        sender: 's',
        number: 1,
        githubRunId: 1,
        githubRunAttempt: 1,
        finish: true,
      }),
    ],
    wakeDelivery: () => store.wakeDelivery(id, now),
    bindRun: () => store.bindRun(id, 1, 1, now),
    findByGithubRun: () => store.findByGithubRun('acme/1', 1),
    findBound: () => store.findBound('acme/1', [1, 2, 3]),
    findNamed: () => store.findNamed('acme/1', ['r_1', 'deploy', 'old5']),
    sentBetween: () => store.sentBetween('acme/1', ['e', 'deploy', 'f'], { from: 1, to: 1000, limit: 100 }),
    unmatched: () => store.unmatched('acme/1'),
    redeliver: () => store.redeliver(id, now),
    purge: () => store.purge(100, 5),
    get: () => store.get(id),
    list: async () => {
      for (const state of [undefined, 'queued', 'dispatched', 'running', 'finished', 'failed'] as const) {
        await store.list({ state, limit: 5 })
        await store.list({ state, repository: 'acme/1', before: 29_000, limit: 5 })
      }
    },
    counts: () => store.counts(),
    ping: () => store.ping(),
  }
  for (const call of Object.values(calls)) await call()
}

/** What is wrong with the plan of a statement; null when nothing is. */
async function troubleOf(
  backend: Backend,
  { sql, params }: Statement,
  kind: Place['kind'],
): Promise<string | null> {
  if (kind === 'sqlite') {
    const [rows = []] = await backend.run([{ sql: `EXPLAIN QUERY PLAN ${sql}`, params }])
    const small = /USING (COVERING )?INDEX deliveries_(queued|watched|telling|unmatched)\b/
    const scan = rows
      .map(row => String(row.detail))
      .find(detail => /^SCAN (deliveries|reports|report_senders|head)\b/.test(detail) && !small.test(detail))
    return scan ?? null
  }
  const [rows = []] = await backend.run([{ sql: `EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, params }])
  const [{ Plan: plan }] = Object.values(rows[0] as Row)[0] as [{ Plan: PlanNode }]
  const nodes = flatten(plan)
  const scan = nodes.find(
    node => node['Node Type'] === 'Seq Scan' && /deliveries|reports/.test(String(node['Relation Name'])),
  )
  if (scan) return `Seq Scan on ${scan['Relation Name']}`
  const looked = nodes
    .filter(node => /Scan$/.test(node['Node Type']) && node['Index Name'])
    .reduce(
      (sum, node) =>
        sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
      0,
    )
  const allowed = OF_WAITING.test(sql.trim()) ? MAX_ROWS + 6 * QUEUED : MAX_ROWS
  return looked > allowed ? `${looked} rows of deliveries looked at` : null
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
