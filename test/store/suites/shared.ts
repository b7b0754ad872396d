import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, test } from 'vitest'
import { openPostgres } from '../../../relay/store/postgres/postgres.ts'
import type { Store } from '../../../relay/store/store.ts'
import { acceptAll, aDelivery, aDispatched, aFailed, type Place } from '../place.ts'

/** Several relays on one database. */
export function sharedTests(place: Place): void {
  async function two(dispatchRate = 0): Promise<[Store, Store]> {
    const address = await place.empty()
    const stores = await Promise.all([place.open(address, dispatchRate), place.open(address, dispatchRate)])
    return stores as [Store, Store]
  }

  test('relays that start together on an empty database make its tables once', async () => {
    const address = await place.empty()
    const stores = await Promise.all(Array.from({ length: 5 }, () => place.open(address)))
    await acceptAll(stores[0]!, {})
    for (const store of stores) expect(await store.list({ limit: 10 })).toHaveLength(1)
  })

  test('relays start together where transactions are repeatable reads unless they say otherwise', async () => {
    const address = await place.empty()
    const { url } = address as { url: string }
    const client = new pg.Client(url)
    await client.connect()
    const name = new URL(url).pathname.slice(1)
    await client.query(`ALTER DATABASE ${name} SET default_transaction_isolation = 'repeatable read'`)
    await client.end()
    const stores = await Promise.all(Array.from({ length: 5 }, () => place.open(address)))
    await acceptAll(stores[0]!, {})
    for (const store of stores) expect(await store.list({ limit: 10 })).toHaveLength(1)
  })

  test('the same delivery sent to both is accepted once', async () => {
    const stores = await two()
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => stores[i % 2]!.accept(aDelivery({ runId: `r_both${i % 20}` }))),
    )
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(20)
    expect(new Set(answers.map(({ id }) => id)).size).toBe(20)
  })

  test('batches that hold the same deliveries in another order are all answered', async () => {
    const stores = await two()
    for (let round = 0; round < 5; round++) {
      const given = Array.from({ length: 40 }, (_, i) => `r_round${round}_${i}`)
      const answers = await Promise.all(
        [given, given.toReversed()].flatMap((ids, s) =>
          ids.map(runId => stores[s]!.accept(aDelivery({ runId }))),
        ),
      )
      expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(40)
    }
  })

  test('each delivery is claimed by one, and in order, however both hurry', async () => {
    const stores = await two()
    const given = Array.from({ length: 120 }, (_, i) => ({ repository: `acme/${i % 7}` }))
    await Promise.all(given.map(each => stores[0].accept(aDelivery(each))))
    const order = new Map<string, number[]>()
    let done = 0
    const relay = async (store: Store) => {
      while (done < given.length) {
        for (const claimed of await store.claimQueued(2000, 60_000, 3)) {
          expect(await store.markSent(claimed, 2000)).toBe(true)
          order.set(claimed.repository, [...(order.get(claimed.repository) ?? []), claimed.seq])
          expect(await store.record(claimed, { state: 'dispatched', dueAt: 9000 }, 2000)).toBe(true)
          done++
        }
      }
    }
    await Promise.all([relay(stores[0]), relay(stores[0]), relay(stores[1]), relay(stores[1])])
    expect(done).toBe(given.length)
    for (const seqs of order.values()) expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
  })

  test('watching, telling and deleting are shared out too', async () => {
    const stores = await two()
    for (let i = 0; i < 30; i++) {
      const id = await aFailed(stores[0])
      if (i % 2) await stores[0].report(id, [{ log: [] }], 3000)
    }
    const tellings = await Promise.all([0, 1, 0, 1].map(s => stores[s]!.claimTelling(3000, 9000, 10)))
    expect(new Set(tellings.flat().map(({ id }) => id)).size).toBe(tellings.flat().length)
    const deleted = await Promise.all([0, 1, 0, 1].map(s => stores[s]!.purge(9000, 10)))
    const rest = await stores[0].purge(9000, 100)
    expect(deleted.reduce((sum, each) => sum + each) + rest).toBe(15)
  })

  test('the dispatch rate is that of both together', async () => {
    const stores = await two(60)
    await acceptAll(stores[0], ...Array.from({ length: 50 }, (_, i) => ({ repository: `acme/${i}` })))
    const claim = async (now: number) => {
      const claims = await Promise.all(
        Array.from({ length: 8 }, (_, i) => stores[i % 2]!.claimQueued(now, 1e9, 5)),
      )
      return new Set(claims.flat().map(({ id }) => id)).size
    }
    expect(await claim(1_000_000)).toBe(20)
    expect(await claim(1_000_500)).toBe(0)
    expect(await claim(1_003_000)).toBe(3)
  })

  test('a pause that one relay met holds for the other, and those that wait are told by one of them', async () => {
    const [one, other] = await two()
    await acceptAll(one, ...Array.from({ length: 30 }, () => ({ repository: 'acme/a' })))
    const [claimed] = await one.claimQueued(1000, 500, 1, 'token:1')
    const pause = { scope: 'token:1', until: 60_000 }
    await one.record(claimed!, { dueAt: 60_000, attempts: [{ at: 1, outcome: 'waits' }] }, 1000, [], {
      pause,
    })
    await acceptAll(one, { repository: 'zeta/z' })
    expect(await other.claimQueued(1000, 0, 10, 'token:1')).toMatchObject([
      { repository: 'zeta/z', pausedUntil: 60_000 },
    ])
    expect(await other.pauses(1000)).toEqual([pause])
    const taken = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        [one, other][i % 2]!.claimWaiting(1000, 500, 10, { scope: 'token:1', after: 0 }),
      ),
    )
    const ids = taken.flat().map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    const rest = await other.claimWaiting(1000, 500, 100, { scope: 'token:1', after: 0 })
    expect(ids.length + rest.length).toBe(30)
  })

  test('a relay whose clock is not the time of the database is not started', async () => {
    const { url } = (await place.empty()) as { url: string }
    for (const apart of [90_000, -90_000]) {
      await expect(openPostgres(url, () => Date.now() + apart)).rejects.toThrow(
        /^The clock of this machine says \S+Z and that of the PostgreSQL server \S+Z: .+ within 10 s, .+ NTP\.$/,
      )
    }
    const backend = await openPostgres(url, () => Date.now() + 5_000)
    await backend.close()
  })

  test('a run bound through one relay is bound for the other', async () => {
    const stores = await two()
    const [id] = await acceptAll(stores[0], {})
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => stores[i % 2]!.bindRun(id!, i, 1, 2000)),
    )
    expect(answers.filter(answer => answer === 'bound')).toHaveLength(1)
    expect(answers.filter(answer => answer === 'other')).toHaveLength(9)
  })

  test('a run that two relays bind to two deliveries at the same time is bound to one of them', async () => {
    const [one, other] = await two()
    for (let run = 1; run <= 20; run++) {
      const repository = `acme/${run}`
      const reporting = await aDispatched(one, { repository })
      const watched = await aDispatched(one, { repository })
      const claimed = (await other.claimWatched(5000, 500, 100)).find(({ id }) => id === watched)
      await Promise.all([
        one.bindRun(reporting, run, 1, 5000),
        run % 2
          ? other.bindRun(watched, run, 1, 5000)
          : other.record(claimed!, { state: 'running', githubRunId: run, dueAt: 9000 }, 5000),
      ])
      expect(await one.findBound(repository, [run])).toHaveLength(1)
    }
  })

  test('what one accepts wakes the other at once', async () => {
    const [one, other] = await two()
    const woken = Promise.withResolvers<string>()
    other.onWork(() => woken.resolve('woken'))
    await acceptAll(one, {})
    expect(await Promise.race([woken.promise, sleep(2000)])).toBe('woken')
  })
}
