import { expect, test } from 'vitest'
import { acceptAll, aDispatched, aFailed, type Place } from '../place.ts'

export function claimTests(place: Place): void {
  test('of each repository the oldest is claimed, and no other until that has left the queue', async () => {
    const store = await place.emptied()
    const [a1, a2, b1] = await acceptAll(
      store,
      { repository: 'acme/a' },
      { repository: 'acme/a' },
      { repository: 'acme/b' },
    )
    const claimed = await store.claimQueued(1000, 500, 10)
    expect(claimed.map(({ id }) => id)).toEqual([a1, b1])
    expect(await store.claimQueued(1000, 500, 10)).toEqual([])
    await store.record(claimed[0]!, { dueAt: 3000 }, 1000)
    expect(await store.claimQueued(1000, 500, 10)).toEqual([])
    const [again] = await store.claimQueued(3000, 500, 10)
    expect(again?.id).toBe(a1)
    await store.record(again!, { state: 'dispatched', dueAt: 9000 }, 3000)
    expect((await store.claimQueued(3000, 500, 10)).map(({ id }) => id)).toContain(a2)
  })

  test('no more than asked for, those first that are due first', async () => {
    const store = await place.emptied()
    await acceptAll(
      store,
      ...[1003, 1001, 1002].map(receivedAt => ({ repository: `acme/${receivedAt}`, receivedAt })),
    )
    expect((await store.claimQueued(2000, 500, 2)).map(each => each.receivedAt)).toEqual([1001, 1002])
    expect((await store.claimQueued(2000, 500, 2)).map(each => each.receivedAt)).toEqual([1003])
  })

  test('a lease expires, and then the old one is worth nothing', async () => {
    const store = await place.emptied()
    await acceptAll(store, {})
    const [first] = await store.claimQueued(1000, 500, 10)
    expect(await store.claimQueued(1499, 500, 10)).toEqual([])
    const [second] = await store.claimQueued(1500, 500, 10)
    expect(second).toMatchObject({ id: first!.id, lease: first!.lease + 1 })
    expect(await store.markSent(first!, 1500)).toBe(false)
    expect(await store.record(first!, { state: 'failed' }, 1500, [{ log: [] }])).toBe(false)
    expect(await store.markSent(second!, 1600)).toBe(true)
    expect(await store.get(first!.id)).toMatchObject({ state: 'queued', sentAt: 1600 })
    expect(await store.claimTelling(9000, 10, 10)).toEqual([])
  })

  test('what is dispatched or running is claimed when it is due', async () => {
    const store = await place.emptied()
    const early = await aDispatched(store)
    const late = await aDispatched(store)
    const [claimed] = await store.claimWatched(5000, 500, 1)
    expect(claimed?.id).toBe(early)
    await store.record(claimed!, { state: 'running', dueAt: 7000 }, 5000)
    expect((await store.claimWatched(5000, 500, 10)).map(({ id }) => id)).toEqual([late])
    expect(await store.claimWatched(5499, 500, 10)).toEqual([])
    expect((await store.claimWatched(7000, 500, 10)).map(({ id }) => id)).toEqual([late, early])
  })

  test('a burst of 20 goes out at once, then as many as the rate gives back', async () => {
    const store = await place.open(undefined, 60)
    await acceptAll(store, ...Array.from({ length: 40 }, (_, i) => ({ repository: `acme/${i}` })))
    const claim = async (now: number) => (await store.claimQueued(now, 1e9, 100)).length
    expect(await claim(1_000_000)).toBe(20)
    expect(await claim(1_000_000)).toBe(0)
    expect(await claim(1_000_999)).toBe(0)
    expect(await claim(1_001_000)).toBe(1)
    expect(await claim(1_004_500)).toBe(3)
    expect(await claim(1_005_000)).toBe(1)
    expect(await claim(900_000)).toBe(0)
    expect(await claim(1_900_000)).toBe(15)
  })

  test('a clock that was ahead once, and was set right, does not stop the dispatching until then', async () => {
    const store = await place.open(undefined, 1)
    await acceptAll(store, ...Array.from({ length: 30 }, (_, i) => ({ repository: `acme/${i}` })))
    const claim = async (now: number) => (await store.claimQueued(now, 1e9, 100)).length
    const ahead = 1_790_000_000_000
    expect(await claim(ahead)).toBe(20)
    expect(await claim(ahead - 600_000)).toBe(0)
    expect(await claim(ahead - 86_400_000)).toBe(1)
    expect(await claim(ahead - 86_400_000)).toBe(0)
    expect(await claim(ahead - 86_400_000 + 120_000)).toBe(2)
  })

  test('what is claimed and not sent costs nothing of the rate', async () => {
    const store = await place.open(undefined, 60)
    await acceptAll(store, ...Array.from({ length: 25 }, (_, i) => ({ repository: `acme/${i}` })))
    const claimed = await store.claimQueued(1_000_000, 1e9, 100)
    expect(claimed).toHaveLength(20)
    for (const each of claimed.slice(0, 3)) {
      await store.record(each, { dueAt: 5_000_000 }, 1_000_000, [], { unsent: true })
      // The lease is given back, and with it the right to give anything back.
      await store.record(each, {}, 1_000_000, [], { unsent: true })
    }
    expect(await store.claimQueued(1_000_000, 1e9, 100)).toHaveLength(3)
    expect(await store.claimQueued(1_000_000, 1e9, 100)).toHaveLength(0)
  })

  test('a delivery is claimed with the pause of its credential, that of one token or of its owner', async () => {
    const store = await place.emptied()
    await acceptAll(store, { repository: 'Acme/a' }, { repository: 'acme-labs/b' }, { repository: 'zeta/c' })
    const paused = async (scope?: string | null) => {
      const claimed = await store.claimQueued(1000, 0, 10, scope)
      return Object.fromEntries(claimed.map(each => [each.repository, each.pausedUntil]))
    }
    expect(await paused()).toEqual({ 'Acme/a': 0, 'acme-labs/b': 0, 'zeta/c': 0 })
    await store.pause({ scope: 'owner:acme', until: 3000 })
    await store.pause({ scope: 'owner:acme', until: 2000 })
    await store.pause({ scope: 'token:1', until: 5000 })
    expect(await paused()).toEqual({ 'Acme/a': 3000, 'acme-labs/b': 0, 'zeta/c': 0 })
    expect(await paused(null)).toEqual(await paused())
    expect(await paused('token:1')).toEqual({ 'Acme/a': 5000, 'acme-labs/b': 5000, 'zeta/c': 5000 })
    expect(await paused('token:2')).toEqual({ 'Acme/a': 0, 'acme-labs/b': 0, 'zeta/c': 0 })
    expect((await store.pauses(2999)).toSorted((a, b) => a.until - b.until)).toEqual([
      { scope: 'owner:acme', until: 3000 },
      { scope: 'token:1', until: 5000 },
    ])
    expect(await store.pauses(3000)).toEqual([{ scope: 'token:1', until: 5000 }])
    await store.purge(4000, 10)
    expect(await store.pauses(0)).toEqual([{ scope: 'token:1', until: 5000 }])
  })

  test('a pause is written with the step that met it, also by a relay that lost its lease', async () => {
    const store = await place.emptied()
    await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 500, 10)
    const pause = { scope: 'token:1', until: 9000 }
    expect(await store.record(claimed!, { dueAt: 9000 }, 1001, [], { pause })).toBe(true)
    expect(await store.pauses(1001)).toEqual([pause])
    const later = { scope: 'token:1', until: 9500 }
    expect(await store.record({ ...claimed!, lease: 0 }, {}, 1002, [], { pause: later })).toBe(false)
    expect(await store.pauses(1002)).toEqual([later])
  })

  test('those that wait for a pause are taken wherever they stand, each until something is written of it', async () => {
    const store = await place.emptied()
    await acceptAll(store, ...Array.from({ length: 4 }, () => ({ repository: 'acme/a' })))
    await acceptAll(
      store,
      { repository: 'zeta/z' },
      { repository: 'acme/b', runId: null, kind: 'none', identity: 'signed:waiting' },
    )
    const take = (limit: number, after = 0, scope: string | null = null) =>
      store.claimWaiting(1000, 500, limit, { scope, after })
    expect(await take(10)).toEqual([])
    await store.pause({ scope: 'owner:acme', until: 8000 })
    const [first, second] = await take(2)
    expect([first, second].map(each => each?.pausedUntil)).toEqual([8000, 8000])
    expect(first!.seq).toBeLessThan(second!.seq)
    const attempts = [{ at: 1000, outcome: 'waits' }]
    expect(await store.record(first!, { attempts }, 1000)).toBe(true)
    const rest = await take(10)
    expect(rest.map(({ repository }) => repository)).toEqual(['acme/a', 'acme/a'])
    for (const each of [second!, ...rest]) expect(await store.record(each, { attempts }, 1000)).toBe(true)
    expect(await take(10)).toEqual([])
    await store.pause({ scope: 'token:1', until: 8000 })
    expect((await take(10, 0, 'token:1')).map(({ repository }) => repository)).toEqual(['zeta/z'])
    const [late] = await acceptAll(store, { repository: 'acme/a' })
    expect((await take(10, second!.seq)).map(({ id }) => id)).toEqual([late])
    expect(await take(10, 1e9)).toEqual([])
  })

  test('one that was redelivered is told again that it waits', async () => {
    const store = await place.emptied()
    const id = await aFailed(store)
    await store.redeliver(id, 8000)
    await store.pause({ scope: 'owner:acme', until: 20_000 })
    const take = () => store.claimWaiting(9000, 0, 10, { scope: null, after: 0 })
    const [claimed] = await take()
    expect(claimed?.id).toBe(id)
    await store.record(claimed!, { attempts: [...claimed!.attempts, { at: 9000, outcome: 'waits' }] }, 9000)
    expect(await take()).toEqual([])
  })
}
