import { expect, test } from 'vitest'
import { acceptAll, aDispatched, aFailed, type Place } from '../place.ts'

export function upkeepTests(place: Place): void {
  test('a failed delivery is queued again, once, behind the others of its repository', async () => {
    const store = await place.emptied()
    const id = await aFailed(store)
    const [waiting] = await acceptAll(store, {})
    const answers = await Promise.all([store.redeliver(id, 8000), store.redeliver(id, 8000)])
    expect(answers.sort()).toEqual(['not_failed', 'queued'])
    expect(await store.redeliver('unknown', 8000)).toBe('unknown')
    expect(await store.get(id)).toMatchObject({
      state: 'queued',
      reason: null,
      attempts: [{ at: 2000, outcome: 'It was not there' }],
      receivedAt: 1000,
      queuedAt: 8000,
      dueAt: 8000,
      sentAt: null,
      dispatchedAt: null,
      githubRunId: null,
    })
    const [first] = await store.claimQueued(8000, 500, 10)
    expect(first?.id).toBe(waiting)
    await store.record(first!, { state: 'dispatched', dueAt: 9000 }, 8000)
    const [again] = await store.claimQueued(8000, 500, 10)
    expect(again?.id).toBe(id)
    const [later] = await acceptAll(store, {})
    expect((await store.get(later!))!.seq).toBeGreaterThan(again!.seq)
  })

  test('what Port was not told of a failure is dropped by the redelivery, and a telling that is under way loses its lease', async () => {
    const store = await place.emptied()
    const [id, other] = [await aFailed(store), await aFailed(store)]
    for (const each of [id, other]) await store.report(each, [{ update: { conclusion: 'failure' } }], 3000)
    const tellings = await store.claimTelling(3000, 60_000, 10)
    await store.redeliver(id, 8000)
    expect(await store.redeliver(id, 8001)).toBe('not_failed')
    const telling = tellings.find(each => each.id === id)
    expect(await store.told(telling!, [], 9000)).toBe(false)
    await store.report(id, [{ log: [] }], 8500)
    expect(await store.redeliver(id, 8600)).toBe('not_failed')
    const [again, ...more] = await store.claimTelling(8500, 10, 10)
    expect(more).toEqual([])
    expect(again).toMatchObject({ id, tries: 0, reports: [{ report: { log: [] } }] })
    expect(await store.told(tellings.find(each => each.id === other)!, [], null)).toBe(true)
  })

  test('redelivered, a delivery is never again a run that it was before', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const fail = async (pastRuns: number[], now: number) => {
      const claimed = (await store.claimWatched(now, 10, 10)).find(each => each.id === id)
      await store.record(claimed!, { state: 'failed', dueAt: null, pastRuns }, now)
    }
    await fail([12], 5000)
    // Until it is redelivered, its run may still name itself.
    expect(await store.bindRun(id, 12, 2, 5001)).toBe('bound')
    await store.redeliver(id, 6000)
    expect((await store.get(id))?.pastRuns).toEqual([12])
    expect(await store.bindRun(id, 12, 3, 6001)).toBe('other')
    expect(await store.bindRun(id, 1, 1, 6002)).toBe('bound')
    await fail([12], 7000)
    await store.redeliver(id, 8000)
    expect((await store.get(id))?.pastRuns).toEqual([12, 1])
    for (const past of [12, 1]) expect(await store.bindRun(id, past, 1, 8001)).toBe('other')
    expect(await store.get(id)).toMatchObject({ state: 'queued', githubRunId: null })
    expect(await store.bindRun(id, 2, 1, 8002)).toBe('bound')
    expect(await store.bindRun(id, 2, 2, 8003)).toBe('same')
  })

  test('what was claimed before a redelivery cannot be written after it', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const [stale] = await store.claimWatched(5000, 10, 10)
    const [claimed] = await store.claimWatched(5010, 10, 10)
    await store.record(claimed!, { state: 'failed', dueAt: null }, 5011)
    await store.redeliver(id, 6000)
    expect(await store.record(claimed!, { state: 'failed' }, 6001)).toBe(false)
    expect(await store.record(stale!, { state: 'failed' }, 6001)).toBe(false)
  })

  test('finished and failed deliveries are deleted by age, a few at a time', async () => {
    const store = await place.emptied()
    const [old1, old2, young] = [
      await aFailed(store, 100),
      await aFailed(store, 200),
      await aFailed(store, 300),
    ]
    const [queued] = await acceptAll(store, { receivedAt: 1 })
    const running = await aDispatched(store, { receivedAt: 1, repository: 'acme/running' })
    expect(await store.purge(300, 1)).toBe(1)
    expect(await store.get(old1!)).toBeNull()
    expect(await store.get(old2!)).not.toBeNull()
    expect(await store.purge(300, 10)).toBe(1)
    expect(await store.purge(300, 10)).toBe(0)
    for (const kept of [young, queued, running]) expect(await store.get(kept!)).not.toBeNull()
    expect(await store.purge(9e12, 10)).toBe(1)
  })

  test('one that still has words for Port is kept until they are said', async () => {
    const store = await place.emptied()
    const id = await aFailed(store)
    await store.report(id, [{ update: { conclusion: 'failure' } }], 3000)
    expect(await store.purge(9000, 10)).toBe(0)
    const [telling] = await store.claimTelling(3000, 10, 10)
    await store.told(telling!, [telling!.reports[0]!.seq], null)
    expect(await store.purge(9000, 10)).toBe(1)
  })

  test('an identity whose delivery was deleted is new', async () => {
    const store = await place.emptied()
    await aFailed(store, 100, { runId: 'r_old' })
    await store.purge(9000, 10)
    const [id] = await acceptAll(store, { runId: 'r_old' })
    expect((await store.get(id!))?.state).toBe('queued')
  })

  test('deliveries are listed newest first, by state, by repository, and page by page', async () => {
    const store = await place.emptied()
    const failed = [await aFailed(store), await aFailed(store, 2000, { repository: 'acme/b' })]
    const dispatched = await aDispatched(store, { repository: 'acme/b' })
    const queued = await acceptAll(store, { repository: 'acme/b' }, {}, { repository: 'acme/c' })
    const all = [...failed, dispatched, ...queued].reverse()
    const ids = async (options: Parameters<typeof store.list>[0]) =>
      (await store.list(options)).map(({ id }) => id)
    expect(await ids({ limit: 10 })).toEqual(all)
    expect(await ids({ state: 'failed', limit: 10 })).toEqual([...failed].reverse())
    expect(await ids({ state: 'queued', limit: 10 })).toEqual([...queued].reverse())
    expect(await ids({ state: 'finished', limit: 10 })).toEqual([])
    expect(await ids({ repository: 'acme/b', limit: 10 })).toEqual([queued[0], dispatched, failed[1]])
    expect(await ids({ repository: 'acme/b', state: 'dispatched', limit: 10 })).toEqual([dispatched])
    expect(await ids({ repository: 'acme/b', state: 'queued', limit: 10 })).toEqual([queued[0]])
    for (const options of [{}, { state: 'queued' as const }, { repository: 'acme/b' }]) {
      const whole = await store.list({ ...options, limit: 10 })
      expect(await ids({ ...options, limit: 2 })).toEqual(whole.slice(0, 2).map(({ id }) => id))
      const before = whole[0]!.seq
      expect(await ids({ ...options, before, limit: 1 })).toEqual([whole[1]!.id])
    }
  })

  test('what waits and what failed is counted', async () => {
    const store = await place.emptied()
    expect(await store.counts()).toEqual({ queued: 0, dispatched: 0, running: 0, failed: 0 })
    await aFailed(store)
    await store.bindRun(await aDispatched(store), 1, 1, 2000)
    await aDispatched(store)
    await acceptAll(store, {}, {})
    expect(await store.counts()).toEqual({ queued: 2, dispatched: 1, running: 1, failed: 1 })
  })

  test('it answers a ping', async () => {
    await expect((await place.emptied()).ping()).resolves.toBeUndefined()
  })
}
