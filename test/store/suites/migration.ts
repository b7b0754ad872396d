import { expect, test } from 'vitest'
import { transition } from '../../../relay/delivery/transition.ts'
import { MIGRATIONS as OF_POSTGRES } from '../../../relay/store/postgres/schema.ts'
import { MIGRATIONS as OF_SQLITE } from '../../../relay/store/sqlite/schema.ts'
import { execute, type LandedDelivery, writeLanded } from '../landed-database.ts'
import { type Address, acceptAll, aDelivery, applyTo, aRun, get, type Place } from '../place.ts'

const MIGRATIONS = { sqlite: OF_SQLITE, postgres: OF_POSTGRES }
const POLICY = { startTimeout: 600_000, runTimeout: 86_400_000, serverUrl: 'https://github.com' }

export function migrationTests(place: Place): void {
  test('what was written is there after the store was closed and opened again', async () => {
    const address = await place.empty()
    const first = await place.open(address)
    const [id] = await acceptAll(first, {})
    await first.close()
    const second = await place.open(address)
    expect((await second.get(id!))?.id).toBe(id)
  })

  test('a database that a newer relay wrote is refused', async () => {
    const address = await place.empty()
    await (await place.open(address)).close()
    await setVersion(address, 1000)
    await expect(place.open(address)).rejects.toThrow(
      /cannot be opened \(it is of schema version 1000, and this relay knows up to \d+: start the newer relay/,
    )
    await setVersion(address, MIGRATIONS[place.kind].length)
    await expect(place.open(address)).resolves.toBeTruthy()
  })

  test('a database of the first version is brought up to date, with what is in it', async () => {
    const address = await place.empty()
    const first = MIGRATIONS[place.kind][0]
    const version =
      place.kind === 'sqlite' ? 'PRAGMA user_version = 1' : 'CREATE TABLE relay_schema AS SELECT 1 AS version'
    const old = `
      INSERT INTO deliveries (id, identity, kind, repository, event_type, invocation, state, received_at, queued_at,
        updated_at, due_at)
      VALUES ('old', 'run:old', 'action_run', 'acme/shop', 'deploy', '{}', 'queued', 1000, 1000, 1000, 1000)`
    await execute(address, `${first}; ${old}; ${version}`)
    const store = await place.open(address)
    expect((await store.claimQueued(2000, 10, 1, null)).map(({ id }) => id)).toEqual(['old'])
  })

  test('deliveries of the version before keep state, order, attempts and runs, whatever they were about', async () => {
    const address = await place.empty()
    await writeLanded(address, DELIVERIES)
    const store = await place.open(address)

    const listed = await store.list({}, { limit: 100 })
    expect(listed.map(({ id }) => id).reverse()).toEqual(DELIVERIES.map(({ id }) => id))
    for (const delivery of listed) {
      const before = DELIVERIES.find(({ id }) => id === delivery.id)!
      expect(delivery).toMatchObject({
        dedupeKey: `run:${before.run_id}`,
        state: before.state,
        organisation: 'default',
        eventType: 'deploy',
        workflow: null,
        repository: before.repository.toLowerCase(),
      })
      expect([delivery.receivedAt, delivery.queuedAt, delivery.updatedAt]).toEqual([5000, 5000, 5000])
    }
    expect(await get(store, 'never-tried')).toMatchObject({ attempts: 0, unansweredSince: null, dueAt: 5000 })
    expect(await get(store, 'deferred')).toMatchObject({
      ...{ attempts: 2, firstAttemptAt: 6000, attemptedAt: null, unansweredSince: null },
      ...{ waitingNotified: true, dueAt: 9000 },
    })
    expect(await store.history('deferred')).toMatchObject([
      { at: 4000, details: { outcome: 'of the course before' } },
      { at: 6000, details: { outcome: 'later' } },
      { at: 7000, details: { outcome: 'later' } },
    ])
    expect(await get(store, 'lost-answer')).toMatchObject({
      attempts: 1,
      attemptedAt: 6000,
      unansweredSince: 6000,
    })
    expect(await get(store, 'died-sending')).toMatchObject({
      attempts: 0,
      attemptedAt: 6000,
      unansweredSince: 6000,
    })
    expect(await get(store, 'dispatched')).toMatchObject({
      dispatchedAt: 6100,
      unansweredSince: null,
      runs: [],
    })
    expect((await get(store, 'running')).runs).toMatchObject([
      { id: 12_345_678_901, attempt: 2, past: false, status: 'unknown' },
    ])
    expect((await get(store, 'failed')).runs.map(({ id, past }) => [id, past])).toEqual([
      [70, true],
      [71, true],
    ])
    expect(await store.invocation('never-tried')).toBe('{"inputs":{"a":1}}')
    expect(await store.accept(aDelivery({ runId: 'r_deferred' }))).toMatchObject({
      id: 'deferred',
      duplicate: true,
    })
  })

  test('deliveries of the version before go on where they stood: due, in order, to be redelivered, to be purged', async () => {
    const address = await place.empty()
    await writeLanded(address, DELIVERIES)
    const store = await place.open(address)
    const queued = async (now: number) =>
      (await store.claimQueued(now, 100_000, 10, null)).map(({ id }) => id)
    expect((await queued(5000)).toSorted()).toEqual(['died-sending', 'lost-answer', 'never-tried'])
    expect(await queued(9000)).toEqual(['deferred'])
    expect((await store.claimPolls(9000, 10, 10)).map(({ id }) => id).toSorted()).toEqual([
      'dispatched',
      'running',
    ])
    expect((await store.findUnbound('acme/d')).map(({ id }) => id)).toEqual(['dispatched'])
    expect(await store.attemptedBetween('acme/d', 6000, 6000, '')).toMatchObject([{ eventType: 'deploy' }])
    expect(await store.counts()).toEqual({ queued: 5, dispatched: 1, running: 1, failed: 1 })
    const [again] = await acceptAll(store, { repository: 'acme/f' })

    const failed = await get(store, 'failed')
    const redelivered = transition(failed, { type: 'redelivered' }, 10_000, POLICY)
    expect(await applyTo(store, 'failed', redelivered!, 10_000)).toBe(true)
    expect((await get(store, 'failed')).seq).toBeGreaterThan((await get(store, again!)).seq)
    expect(await applyTo(store, 'dispatched', { change: { runs: [aRun(70)] } })).toBe(true)
    const taken = await applyTo(store, again!, { change: { runs: [aRun(71)] } })
    expect([taken, await store.purge(9_000_000, 10)]).toEqual([false, 1])
    expect(await store.get('finished')).toBeNull()
  })

  test('messages of every shape wait on in their order, and a report that was received stays so', async () => {
    const address = await place.empty()
    await writeLanded(address, [
      { ...OPEN, id: 'first', run_id: 'r_first', messages: MESSAGES, tell_tries: 3, senders: { a: 4 } },
      { ...OPEN, id: 'second', run_id: 'r_second', messages: [MESSAGES[0]!] },
      { ...OPEN, id: 'silent', run_id: 'r_silent' },
    ])
    const store = await place.open(address)
    const pages = await store.claimOutboxes(9000, 1000, 10)
    const first = pages.find(({ delivery }) => delivery === 'first')
    expect(pages).toHaveLength(2)
    expect(first).toMatchObject({
      runId: 'r_first',
      repository: 'acme/r',
      attempts: 3,
      organisation: 'default',
    })
    expect(first?.messages.map(({ message }) => message)).toEqual(MESSAGES)
    expect(await store.reportUsage('first', 'a')).toMatchObject({ lastNumber: 4 })
    const receipt = { sender: 'a', number: 4, lines: 1, bytes: 1 }
    await applyTo(store, 'first', { messages: [{ log: [] }] }, 9000, receipt)
    const seqs = first!.messages.map(({ seq }) => seq)
    expect(await store.settleOutbox(first!, { done: seqs }, null, 9000)).toBe(true)
    expect(await store.claimOutboxes(9000, 10, 10)).toEqual([])
  })

  test('pauses become closed gates, and the rate goes on where it stood', async () => {
    const address = await place.empty()
    await writeLanded(address, [], { pauses: { 'owner:acme': 3000 }, tokens: 3.5 })
    const store = await place.open(address, 60)
    expect(await store.closedPauses(2999)).toMatchObject([{ scope: 'owner:acme', closedUntil: 3000 }])
    await acceptAll(store, {})
    expect(await store.takePermits(1500, 100)).toBe(4)
  })
}

const OPEN = { repository: 'Acme/r', state: 'running', at: 5000, due_at: 8000, github_run_id: 5 }
const MESSAGES = [
  { log: [{ level: 'INFO', message: 'dispatched' }] },
  { update: { statusLabel: 'Waiting for GitHub', link: ['https://github.com'] }, unlessStarted: true },
  { entity: { blueprint: 'service', properties: { identifier: "it's" } } },
  { update: { conclusion: 'failure', summary: 'No', externalRunId: '5' } },
]
const DELIVERIES: LandedDelivery[] = [
  {
    id: 'never-tried',
    repository: 'acme/a',
    state: 'queued',
    due_at: 5000,
    invocation: { inputs: { a: 1 } },
  },
  {
    ...{ id: 'deferred', repository: 'Acme/B', state: 'queued', due_at: 9000 },
    attempts: [
      { at: 4000, outcome: 'of the course before' },
      { at: 6000, outcome: 'later' },
      { at: 7000, outcome: 'later' },
    ],
  },
  { id: 'behind', repository: 'acme/b', state: 'queued', due_at: 5000 },
  {
    ...{ id: 'lost-answer', repository: 'acme/c', state: 'queued', due_at: 5000, sent_at: 6000 },
    attempts: [{ at: 6500, outcome: 'GitHub answered 502; looking whether a run appears' }],
  },
  { id: 'died-sending', repository: 'acme/c2', state: 'queued', due_at: 5000, sent_at: 6000 },
  {
    id: 'dispatched',
    repository: 'acme/d',
    state: 'dispatched',
    due_at: 8000,
    sent_at: 6000,
    dispatched_at: 6100,
  },
  {
    ...{
      id: 'running',
      repository: 'acme/e',
      state: 'running',
      due_at: 8000,
      sent_at: 6000,
      dispatched_at: 6100,
    },
    ...{ github_run_id: 12_345_678_901, github_run_attempt: 2, lease: 7 },
  },
  {
    id: 'failed',
    repository: 'acme/f',
    state: 'failed',
    reason: 'No workflow',
    sent_at: 6000,
    past_runs: [70, 71],
  },
  { id: 'finished', repository: 'acme/f', state: 'finished', sent_at: 6000, github_run_id: 80 },
].map(each => ({ at: 5000, run_id: `r_${each.id}`, ...each }))

function setVersion(address: Address, version: number): Promise<void> {
  const sqlite = `PRAGMA user_version = ${version}`
  return execute(address, address.kind === 'sqlite' ? sqlite : `UPDATE relay_schema SET version = ${version}`)
}
