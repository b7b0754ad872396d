import { expect, test } from 'vitest'
import { acceptAll, aDispatched, type Place } from '../place.ts'

export function stepTests(place: Place): void {
  test('a step writes its change, gives the lease back and leaves words for Port, all or nothing', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    const change = {
      state: 'dispatched' as const,
      attempts: [{ at: 1100, outcome: 'GitHub accepted it' }],
      dispatchedAt: 1100,
      dueAt: 1200,
    }
    expect(await store.record(claimed!, change, 1100, [{ update: { statusLabel: 'Waiting' } }])).toBe(true)
    expect(await store.get(id!)).toMatchObject({ ...change, updatedAt: 1100 })
    expect(await store.claimWatched(1200, 10, 10)).toHaveLength(1)
    expect(await store.claimTelling(1100, 10, 10)).toMatchObject([
      { id, reports: [{ report: { update: { statusLabel: 'Waiting' } }, createdAt: 1100 }] },
    ])
  })

  test('a step whose answer was lost, and that is written again, changes nothing and says nothing twice', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    const write = () => store.record(claimed!, { dueAt: 9000 }, 1100, [{ log: [] }])
    expect([await write(), await write()]).toEqual([true, false])
    expect(await store.claimTelling(1100, 10, 10)).toMatchObject([{ id, reports: [{ report: { log: [] } }] }])
  })

  test('a step that only tells what it tried keeps everything else', async () => {
    const store = await place.emptied()
    await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    const attempts = [{ at: 1, outcome: 'no' }]
    expect(await store.record(claimed!, { attempts }, 1100)).toBe(true)
    expect(await store.get(claimed!.id)).toMatchObject({ state: 'queued', dueAt: 1000, attempts })
  })

  test('what a step clears is cleared', async () => {
    const store = await place.emptied()
    await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    await store.markSent(claimed!, 1100)
    await store.record(claimed!, { sentAt: null, dueAt: null }, 1200)
    expect(await store.get(claimed!.id)).toMatchObject({ sentAt: null, dueAt: null })
  })

  test('a wake makes a watched delivery due at once, and no other', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const [queued] = await acceptAll(store, { receivedAt: 8000 })
    let calls = 0
    store.onWork(() => calls++)
    await store.wakeDelivery(id, 2000)
    await store.wakeDelivery(queued!, 2000)
    await store.wakeDelivery('unknown', 2000)
    expect(calls).toBe(1)
    expect((await store.claimWatched(2000, 10, 10)).map(each => each.id)).toEqual([id])
    expect(await store.claimQueued(2000, 10, 10)).toEqual([])
  })

  test('a wake during a lease leaves it alone, and is not lost when the lease is given back', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const [claimed] = await store.claimWatched(5000, 500, 10)
    await store.wakeDelivery(id, 5000)
    expect(await store.claimWatched(5000, 500, 10)).toEqual([])
    expect(await store.record(claimed!, { dueAt: 9000 }, 5001)).toBe(true)
    const [again] = await store.claimWatched(5001, 500, 10)
    expect(again?.id).toBe(id)
    await store.record(again!, { dueAt: 9000 }, 5002)
    expect(await store.claimWatched(8999, 500, 10)).toEqual([])
    const [last] = await store.claimWatched(9000, 500, 10)
    await store.wakeDelivery(id, 9001)
    await store.record(last!, { state: 'finished', dueAt: null }, 9002)
    expect(await store.get(id)).toMatchObject({ state: 'finished', dueAt: null })
  })
}
