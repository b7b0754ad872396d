import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import type { Store } from '../../../relay/store/store.ts'
import { until } from '../../../simulator/http-server.ts'
import {
  type Address,
  aDelivery,
  aDispatched,
  aFailed,
  aLine,
  apply,
  applyTo,
  aRun,
  aTransition,
  get,
  type Place,
  runSql,
} from '../place.ts'

/** Tests several relays on one database. */
export function sharedTests(place: Place): void {
  async function two(given?: Address): Promise<[Store, Store]> {
    const address = given ?? (await place.empty())
    return Promise.all([place.open(address), place.open(address)])
  }

  test('batches that contain the same deliveries in different orders complete without a deadlock', async () => {
    const stores = await two()
    for (let round = 0; round < 5; round++) {
      const given = Array.from({ length: 40 }, (_, i) => `r_round${round}_${i}`)
      const accepted = [given, given.toReversed()].flatMap((runIds, i) =>
        runIds.map(runId => stores[i]!.accept(aDelivery({ runId }))),
      )
      const responses = await Promise.all(accepted)
      expect(responses.filter(({ duplicate }) => !duplicate)).toHaveLength(40)
    }
  })

  test('if two relays claim concurrently, only one of them claims each delivery, and each queue is claimed in order', async () => {
    const stores = await two()
    const given = Array.from({ length: 120 }, (_, i) => ({ repository: `acme/${i % 7}` }))
    await Promise.all(given.map(each => stores[0].accept(aDelivery(each))))
    const order = new Map<string, number[]>()
    let done = 0
    const relay = async (store: Store) => {
      while (done < given.length) {
        for (const claimed of await store.claimQueued(2000, 60_000, 3, 'owner:')) {
          order.set(claimed.repository, [...(order.get(claimed.repository) ?? []), claimed.seq])
          const dispatched = aTransition({ change: { state: 'dispatched', dueAt: 9000 } })
          expect(await apply(store, claimed, dispatched, 2000)).toBe(true)
          done++
        }
      }
    }
    await Promise.all([relay(stores[0]), relay(stores[0]), relay(stores[1]), relay(stores[1])])
    expect(done).toBe(given.length)
    for (const seqs of order.values()) expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
  })

  test('if an older delivery appears while a newer one is being claimed, the older one is claimed after the dispatch of the newer one', async () => {
    const address = await place.empty()
    const [one, other] = await two(address)
    await runSql(
      address,
      `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END'`,
      `CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON deliveries DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW WHEN (NEW.lease_until > 0) EXECUTE FUNCTION wait()`,
    )
    const insertion = await held(
      address,
      `INSERT INTO deliveries (id, dedupe_key, sent_as, kind, repository, event_type, invocation, state, received_at, queued_at, updated_at, due_at)
       VALUES ('older', '', '', 'none', 'acme/shop', 'deploy', '{}', 'queued', 1, 1, 1, 1)`,
    )
    const { id: newer } = await one.accept(aDelivery())
    const commit = await held(address, 'SELECT pg_advisory_xact_lock(7)')
    const claim = async (store: Store) => store.claimQueued(2000, 60_000, 10, 'owner:')
    const claims = [claim(one)]
    await commit.waiting(1)
    await insertion.release()
    claims.push(claim(other))
    await commit.waiting(2)
    await commit.release()
    expect(await Promise.all(claims)).toMatchObject([[{ id: newer }], []])
    await applyTo(one, newer, { change: { state: 'dispatched', dueAt: 9000 } }, 2000)
    expect(await claim(other)).toMatchObject([{ id: 'older' }])
  })

  test.each([
    [[10], [10, 20]],
    [
      [30, 20],
      [20, 10],
    ],
  ])(
    'if two deliveries bind the runs %j and %j concurrently, one delivery gets all its runs and the other is unchanged',
    async (...wanted) => {
      const store = await place.open()
      const bound = async (n: number) => {
        const repository = `acme/${n}`
        const ids = [await aDispatched(store, { repository }), await aDispatched(store, { repository })]
        const responses = await Promise.all(
          wanted.map((runs, i) =>
            applyTo(store, ids[i]!, { change: { state: 'running', runs: runs.map(run => aRun(run)) } }),
          ),
        )
        const found = await Promise.all(ids.map(id => get(store, id)))
        const isRight = found.every(({ state, runs }, i) =>
          responses[i] ? state === 'running' && runs.length === wanted[i]!.length : state === 'dispatched',
        )
        return isRight && responses[0] !== responses[1]
      }
      const right = await Promise.all(Array.from({ length: 40 }, (_, n) => bound(n)))
      expect(right.filter(each => !each)).toHaveLength(0)
    },
  )

  /** Holds a query's locks until `release`. `waiting` resolves once this many other queries wait for a lock. */
  async function held(address: Address, sql: string) {
    const client = new pg.Client((address as { url: string }).url)
    await client.connect()
    onTestFinished(() => client.end())
    await client.query('BEGIN')
    await client.query(sql)
    const waiting = (amount: number) =>
      until(async () => {
        const { rows } = await client.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )
        return rows.length >= amount
      }, `${amount} queries wait for a lock`)
    return { waiting, release: () => client.query('COMMIT') }
  }

  test('a report that two relays receive concurrently is applied once', async () => {
    const address = await place.empty()
    const stores = await two(address)
    const id = await aDispatched(stores[0])
    const { waiting, release } = await held(address, `SELECT 1 FROM deliveries WHERE id = '${id}' FOR UPDATE`)
    const receipt = { sender: 'a', number: 1, lines: 1, bytes: 10 }
    const applied = stores.map(store => applyTo(store, id, { messages: [aLine('one')] }, 2000, receipt))
    await waiting(2)
    await release()
    await Promise.all(applied)
    const [page] = await stores[0].claimOutboxes(2000, 10, 10)
    expect(page?.messages).toHaveLength(1)
  })

  test('a freeze that another relay ends at the same time freezes no delivery', async () => {
    const address = await place.empty()
    const [one, other] = await two(address)
    const delivery = (await one.get((await one.accept(aDelivery())).id))!
    const freeze = await one.addFreeze({ repositories: '*', reason: '', since: 1, endsAt: null })
    const { waiting, release } = await held(address, 'SELECT 1 FROM freezes FOR UPDATE')
    const ended = other.endFreeze(freeze.id, 'release')
    await waiting(1)
    const frozen = apply(one, delivery, aTransition({ change: { frozenBy: freeze.id } }), 2000)
    await waiting(2)
    await release()
    expect(await Promise.all([ended, frozen])).toEqual([true, false])
  })

  test("a redelivery and the sending of the delivery's old messages do not deadlock", async () => {
    const address = await place.empty()
    const [one, other] = await two(address)
    const id = await aFailed(one)
    await applyTo(one, id, { messages: [aLine('old')] })
    const [page] = await one.claimOutboxes(2000, 10_000, 10)
    const { waiting, release } = await held(address, 'SELECT 1 FROM outbox FOR UPDATE')
    const redelivered = applyTo(other, id, { change: { state: 'queued' }, requeue: true }, 3000)
    await waiting(1)
    const settled = one.settleOutbox(page!, { done: page!.messages.map(({ seq }) => seq) }, null, 3000)
    await waiting(2)
    await release()
    expect(await Promise.all([redelivered, settled])).toEqual([true, false])
  })

  test("all relays use the database's clock instead of their own clocks", async () => {
    const address = await place.empty()
    const real = Date.now
    onTestFinished(() => {
      Date.now = real
    })
    const [ahead, right] = [await openAt(120_000), await openAt(0)]
    expect(Math.abs(ahead.clock() - right.clock())).toBeLessThan(60_000)

    function openAt(offset: number): Promise<Store> {
      Date.now = () => real() + offset
      return place.open(address)
    }
  })
}
