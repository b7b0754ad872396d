import { expect, test } from 'vitest'
import type { Change, WaitCause } from '../../../relay/delivery/delivery.ts'
import type { Store } from '../../../relay/store/store.ts'
import {
  acceptAll,
  aDelivery,
  aDispatched,
  aFailed,
  apply,
  applyTo,
  aTransition,
  get,
  type Place,
} from '../place.ts'

export function claimTests(place: Place): void {
  test('claims only the oldest delivery per repository until that delivery leaves the queue', async () => {
    const store = await place.emptied()
    const repositories = ['acme/a', 'acme/a', 'acme/b']
    const [a1, a2, b1] = await acceptAll(store, ...repositories.map(repository => ({ repository })))
    const claimed = await claim(store, 1000)
    expect(claimed.map(({ id }) => id)).toEqual([a1, b1])
    expect(await claim(store, 1000)).toEqual([])
    await apply(store, claimed[0]!, aTransition({ change: { dueAt: 3000 } }), 1000)
    expect(await claim(store, 1000)).toEqual([])
    expect((await claim(store, 3000)).map(({ id }) => id)).toEqual([a1, b1])
    await applyTo(store, a1!, { change: { state: 'dispatched', dueAt: 9000 } })
    expect((await claim(store, 3000)).map(({ id }) => id)).toEqual([a2])
  })

  test('a long queue does not block other repositories: the least recently dispatched repository is claimed first', async () => {
    const store = await place.emptied()
    const queue = Array.from({ length: 5 }, () => ({ repository: 'acme/long', receivedAt: 1000 }))
    await acceptAll(store, ...queue, { repository: 'acme/other', receivedAt: 2000 })
    const order = []
    for (let now = 3000; now < 3004; now++) {
      const [claimed] = await store.claimQueued(now, 500, 1, 'owner:')
      order.push(claimed!.repository)
      const change: Change = { state: 'dispatched', attemptedAt: now, dueAt: 9000 }
      await apply(store, claimed!, aTransition({ change }), now)
    }
    expect(order).toEqual(['acme/long', 'acme/other', 'acme/long', 'acme/long'])
  })

  test('a delivery is claimed at once even if another one was received earlier in the same turn', async () => {
    const store = await place.open()
    const claims: ReturnType<typeof claim>[] = []
    let now = 1000
    store.onWork(() => claims.push(claim(store, now)))
    const accept = (repository: string) => store.accept(aDelivery({ repository, receivedAt: now }))
    const first = accept('acme/a')
    now++
    const accepted = await Promise.all([first, accept('acme/b')])
    const claimed = (await Promise.all(claims)).flat()
    expect(claimed.map(({ id }) => id)).toEqual(accepted.map(({ id }) => id))
  })

  test('the search for the next due time reads at most 1,000 queues per call, and the next call searches on', async () => {
    const store = await place.emptied()
    const later = Array.from({ length: 2100 }, (_, i) => ({
      ...{ repository: `acme/${i + 1000}`, receivedAt: 9000 - i },
    }))
    const due = [
      { repository: 'acme/long', receivedAt: 9000 },
      ...Array(50).fill({ repository: 'acme/long' }),
    ]
    await Promise.all([...later, ...due].map(each => store.accept(aDelivery(each))))
    const search = async (times: number) => {
      const found = []
      while (found.length < times) found.push((await store.nextDue(2000)).dispatch)
      return found
    }
    expect(await search(4)).toEqual([8001, 7001, 6901, 8001])
    const { id } = await store.accept(aDelivery({ repository: 'acme/zoo' }))
    expect(await search(4)).toEqual([7001, 1000, 1000, 1000])
    await applyTo(store, id, { change: { state: 'dispatched', dueAt: 9000 } })
    expect(await search(2)).toEqual([6901, 8001])
  })

  test('reading deliveries without a runner does not read the summaries of jobs, which can have megabytes', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const summary = { text: 'x'.repeat(1000), own: true, conclusion: 'success' } as const
    const reported = { attempt: 1, jobs: [], links: [], summary }
    await applyTo(store, id!, { change: { state: 'running', shownCause: 'runner', shownAt: 1000, reported } })
    const found = await store.withoutRunner(1_000_000)
    expect(found).toMatchObject([{ id, shownAt: 1000 }])
    expect(found[0]).not.toHaveProperty('reported')
  })

  test('a claim whose lease has expired cannot change the delivery', async () => {
    const store = await place.emptied()
    await acceptAll(store, {})
    const [first] = await claim(store, 1000)
    expect(await claim(store, 1499)).toEqual([])
    const [second] = await claim(store, 1500)
    expect(second).toMatchObject({ id: first!.id, version: first!.version + 1 })
    expect(await apply(store, first!, aTransition({ change: { state: 'failed' } }), 1500)).toBe(false)
    expect((await get(store, first!.id)).state).toBe('queued')
    expect(await apply(store, second!, aTransition({ change: { state: 'failed' } }), 1500)).toBe(true)
  })

  test('a claim for a dispatch records an attempt, unless the response to an earlier one is missing', async () => {
    const store = await place.emptied()
    await acceptAll(store, {})
    const first = { attempts: 1, firstAttemptAt: 1000, attemptedAt: 1000, awaitingResponseSince: 1000 }
    expect(await claim(store, 1000)).toMatchObject([{ ...first, isAttempt: true }])
    const [again] = await claim(store, 1500)
    expect(again).toMatchObject({ ...first, isAttempt: false })
    // The change releases the lease.
    await apply(store, again!, aTransition({ change: { awaitingResponseSince: null } }), 1501)
    const second = { attempts: 2, firstAttemptAt: 1000, attemptedAt: 1502, awaitingResponseSince: 1502 }
    expect(await claim(store, 1502)).toMatchObject([{ ...second, isAttempt: true }])
  })

  test('waking a polled delivery makes only that delivery due immediately, even if it is claimed', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const [queued] = await acceptAll(store, { receivedAt: 8000 })
    const [claimed] = await store.claimPolls(5000, 60_000, 10)
    let calls = 0
    store.onWork(() => calls++)
    for (const each of [id, queued!, 'unknown']) await store.wake(each, 5001)
    expect(calls).toBe(1)
    expect((await get(store, queued!)).dueAt).toBe(8000)
    expect(await apply(store, claimed!, aTransition({ change: { dueAt: 9000 } }), 5001)).toBe(false)
    expect((await store.claimPolls(5001, 500, 10)).map(each => each.id)).toEqual([id])
    const failed = await aFailed(store)
    await store.wake(failed, 9000)
    expect((await get(store, failed)).dueAt).toBeNull()
  })

  test('a rate-limit pause prevents claims for its credential (a token or an owner)', async () => {
    const store = await place.emptied()
    await acceptAll(store, { repository: 'acme/a' }, { repository: 'acme-labs/b' }, { repository: 'zeta/c' })
    const claimed = async (now: number, scope = 'owner:') =>
      (await store.claimQueued(now, 0, 10, scope)).map(each => each.repository)
    const close = (scope: string, pausedUntil: number) =>
      store.savePause({ scope, pausedUntil, cause: 'limit', reason: `closed until ${pausedUntil}` })
    await close('owner:acme', 3000)
    await close('owner:acme', 2000)
    await close('token:1', 5000)
    expect(await claimed(2999)).toEqual(['acme-labs/b', 'zeta/c'])
    expect(await claimed(2999, 'token:1')).toEqual([])
    expect(await claimed(2999, 'owner:another-key:')).toHaveLength(3)
    expect(await claimed(2999, 'token:2')).toHaveLength(3)
    expect(await claimed(3000)).toHaveLength(3)
    expect((await store.activePauses(2999)).toSorted((a, b) => a.pausedUntil - b.pausedUntil)).toEqual([
      { scope: 'owner:acme', pausedUntil: 3000, cause: 'limit', reason: 'closed until 3000' },
      { scope: 'token:1', pausedUntil: 5000, cause: 'limit', reason: 'closed until 5000' },
    ])
    expect(await store.activePauses(5000)).toEqual([])
    await store.purge(4000, 10)
    expect(await store.activePauses(0)).toMatchObject([{ scope: 'token:1' }])
  })

  test('finds waiting deliveries at any position in a queue until Port shows the cause, and again if a pause starts or ends', async () => {
    const store = await place.emptied()
    const ids = await acceptAll(store, ...Array.from({ length: 3 }, () => ({ repository: 'acme/a' })))
    const others = await acceptAll(
      store,
      { repository: 'zeta/z' },
      { repository: 'acme/b', runId: null, kind: 'none' },
      { repository: 'acme/c', receivedAt: 1500 },
    )
    const find = async (now: number, limit = 10, scope = 'owner:') =>
      (await store.findWaiting(now, 1000, limit, scope)).map(({ id }) => id).toSorted()
    const show = async (shownCause: WaitCause, ...shown: string[]) => {
      const change = { shownCause, shownUntil: shownCause === 'limit' ? 8000 : 0 }
      for (const id of shown) await applyTo(store, id, { change })
    }
    const all = [...ids, others[0]!].toSorted()
    expect(await find(1000)).toEqual(all)
    expect(await find(1000, 2)).toHaveLength(2)
    await show('queue', ids[0]!, ids[1]!, others[0]!)
    expect(await find(1000)).toEqual([ids[2]])
    await store.savePause({ scope: 'owner:acme', pausedUntil: 8000, cause: 'limit', reason: 'limited' })
    expect(await find(1000)).toEqual(ids.toSorted())
    expect(await find(8000)).toEqual([ids[2]])
    await show('limit', ...ids)
    expect(await find(1000)).toEqual([])
    expect(await find(17_999), 'the dispatch may be retried first').toEqual([])
    expect(await find(18_000)).toEqual(ids.toSorted())
    await store.savePause({ scope: 'owner:acme', pausedUntil: 80_000, cause: 'limit', reason: 'limited' })
    expect(await find(1000)).toEqual(ids.toSorted())
    const [first] = await claim(store, 8000)
    expect(await find(8000)).not.toContain(first!.id)
  })

  test('finds the oldest delivery of each queue, and queues from which nothing was dispatched since a time', async () => {
    const store = await place.emptied()
    const ids = await acceptAll(
      store,
      { repository: 'acme/a', receivedAt: 1 },
      { repository: 'acme/a', receivedAt: 2 },
      { repository: 'zeta/z', receivedAt: 500 },
    )
    const [a, , z] = ids
    const heads = async () =>
      [...(await store.heads(await Promise.all(ids.map(id => get(store, id)))))].map(([, { id }]) => id)
    const find = async (before: number) =>
      (await store.stalled(before, 10, 'owner:')).map(({ id, stalledSince }) => [id, stalledSince])
    expect((await heads()).toSorted()).toEqual([a, z].toSorted())
    expect(await find(1000)).toEqual([
      [a, 1],
      [z, 500],
    ])
    await applyTo(store, a!, { change: { firstAttemptAt: 300, attemptedAt: 900 } })
    expect(await find(400)).toEqual([[a, 300]])
    await applyTo(store, a!, { change: { state: 'failed', outcome: 'not_started' } })
    expect((await heads()).toSorted()).toEqual([ids[1], z].toSorted())
    expect(await find(1000), 'the delivery is the oldest since the last attempt').toEqual([
      [z, 500],
      [ids[1], 900],
    ])
    await store.savePause({ scope: 'owner:zeta', pausedUntil: 8000, cause: 'limit', reason: 'limited' })
    expect(await find(1000)).toEqual([[ids[1], 900]])
  })
}

const claim = (store: Store, now: number) => store.claimQueued(now, 500, 10, 'owner:')
