import { expect, test } from 'vitest'
import { acceptAll, aDispatched, type Place } from '../place.ts'

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

  test('what is postponed waits, of one owner or of all', async () => {
    const store = await place.emptied()
    await acceptAll(store, { repository: 'acme/a' }, { repository: 'acme-labs/b' }, { repository: 'zeta/c' })
    await store.postpone(2000, 'acme')
    const due = async (now: number) =>
      (await store.claimQueued(now, 1, 10)).map(({ repository }) => repository)
    expect(await due(1500)).toEqual(['acme-labs/b', 'zeta/c'])
    await store.postpone(3000, null)
    expect(await due(2999)).toEqual([])
    expect(await due(3000)).toHaveLength(3)
  })
}
