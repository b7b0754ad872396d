import { expect, test } from 'vitest'
import { acceptAll, aDispatched, aFailed, type Place } from '../place.ts'

export function runTests(place: Place): void {
  test('a delivery belongs to the first workflow run that reports for it', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    expect(await store.bindRun(id, 12_345_678_901, 1, 2000)).toBe('bound')
    expect(await store.bindRun(id, 12_345_678_901, 2, 2001)).toBe('same')
    expect(await store.bindRun(id, 12_345_678_901, 1, 2002)).toBe('same')
    expect(await store.bindRun(id, 999, 1, 2003)).toBe('other')
    expect(await store.bindRun('unknown', 999, 1, 2003)).toBe('unknown')
    expect(await store.get(id)).toMatchObject({
      state: 'running',
      githubRunId: 12_345_678_901,
      githubRunAttempt: 2,
      dispatchedAt: 1000,
    })
    expect((await store.claimWatched(2003, 10, 10)).map(each => each.id)).toEqual([id])
  })

  test('of two runs that report at the same time, one is bound', async () => {
    const store = await place.emptied()
    for (let i = 0; i < 15; i++) {
      const id = await aDispatched(store)
      const answers = await Promise.all([1, 2, 1, 3].map(run => store.bindRun(id, i * 10 + run, 1, 2000)))
      expect(answers.filter(answer => answer === 'bound')).toHaveLength(1)
      expect(answers[0] === 'other').toBe(answers[2] === 'other')
    }
  })

  test('a run may report before the dispatcher has recorded its answer, which then changes nothing', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    await store.markSent(claimed!, 1000)
    expect(await store.bindRun(id!, 77, 1, 1500)).toBe('bound')
    expect(await store.claimWatched(1500, 10, 10)).toEqual([])
    const attempts = [{ at: 1600, outcome: 'GitHub did not answer' }]
    const failed = { state: 'failed' as const, reason: 'Gave up', attempts, dueAt: null, sentAt: null }
    expect(await store.record(claimed!, failed, 1600, [{ update: { conclusion: 'failure' } }])).toBe(true)
    expect(await store.get(id!)).toMatchObject({
      state: 'running',
      reason: null,
      githubRunId: 77,
      attempts,
      dispatchedAt: 1500,
      dueAt: 1500,
      sentAt: 1000,
    })
    expect(await store.claimTelling(9000, 10, 10)).toEqual([])
    expect(await store.claimWatched(1600, 10, 10)).toHaveLength(1)
  })

  test('a run that reports forbids the dispatch that was about to be sent again', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const [claimed] = await store.claimQueued(1000, 60_000, 10)
    await store.bindRun(id!, 77, 1, 1500)
    expect(await store.markSent(claimed!, 1501)).toBe(false)
  })

  test('a watcher that learned of a run does not undo the one that reported', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const [watching] = await store.claimWatched(5000, 500, 10)
    await store.record(watching!, { state: 'running', dueAt: 6000 }, 5000)
    const [again] = await store.claimWatched(6000, 500, 10)
    expect(await store.bindRun(id, 77, 3, 6001)).toBe('bound')
    await store.record(again!, { githubRunId: 88, githubRunAttempt: 1, dueAt: 9000 }, 6002)
    expect(await store.get(id)).toMatchObject({ githubRunId: 77, githubRunAttempt: 3, dueAt: 6001 })
  })

  test('a run that reports after all leaves a failed delivery failed, and names itself', async () => {
    const store = await place.emptied()
    const id = await aFailed(store)
    expect(await store.bindRun(id, 77, 1, 7000)).toBe('bound')
    expect(await store.get(id)).toMatchObject({ state: 'failed', githubRunId: 77, dueAt: null })
  })

  test('a run that is bound to a delivery is not bound to another of its repository', async () => {
    const store = await place.emptied()
    const [first, second, elsewhere] = [
      await aDispatched(store),
      await aDispatched(store, { repository: 'ACME/shop' }),
      await aDispatched(store, { repository: 'acme/other' }),
    ]
    expect(await store.bindRun(first, 77, 1, 2000)).toBe('bound')
    expect(await store.bindRun(second, 77, 1, 2000)).toBe('other')
    expect(await store.bindRun(elsewhere, 77, 1, 2000)).toBe('bound')
    expect(await store.get(second)).toMatchObject({ state: 'dispatched', githubRunId: null })
    expect(await store.findBound('Acme/Shop', [76, 77, 78])).toEqual([{ id: first, githubRunId: 77 }])
    expect(await store.findBound('acme/shop', [])).toEqual([])
  })

  test('a watcher does not bind a run that has meanwhile reported for another delivery', async () => {
    const store = await place.emptied()
    const [reporting, watched] = [await aDispatched(store), await aDispatched(store)]
    const claimed = (await store.claimWatched(5000, 500, 10)).find(({ id }) => id === watched)
    expect(await store.bindRun(reporting, 77, 1, 5000)).toBe('bound')
    const found = { state: 'running' as const, githubRunId: 77, dueAt: 9000 }
    expect(await store.record(claimed!, found, 5001)).toBe(true)
    expect(await store.findBound('acme/shop', [77])).toEqual([{ id: reporting, githubRunId: 77 }])
    expect(await store.bindRun(watched, 78, 1, 6000)).toBe('bound')
  })

  test('a delivery is found by its workflow run, however the repository is written', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store, { repository: 'Acme/Shop' })
    await store.bindRun(id, 77, 1, 2000)
    expect((await store.findByGithubRun('acme/shop', 77))?.id).toBe(id)
    expect(await store.findByGithubRun('acme/other', 77)).toBeNull()
    expect(await store.findByGithubRun('acme/shop', 78)).toBeNull()
  })

  test('dispatched deliveries without a run are listed, the oldest first', async () => {
    const store = await place.emptied()
    const first = await aDispatched(store)
    const second = await aDispatched(store, { repository: 'ACME/shop' })
    const bound = await aDispatched(store)
    await store.bindRun(bound, 5, 1, 2000)
    await aDispatched(store, { repository: 'acme/other' })
    expect((await store.unmatched('acme/Shop')).map(({ id }) => id)).toEqual([first, second])
  })

  test('an unmatched delivery is found by its run id or its own, however many others there are', async () => {
    const store = await place.emptied()
    const ids: string[] = []
    for (let i = 0; i < 103; i++) ids.push(await aDispatched(store, { runId: `r_named_${i}` }))
    const found = async (...words: string[]) =>
      (await store.findNamed('ACME/shop', words)).map(({ id }) => id)
    expect(await found('deploy', 'r_named_102', 'x')).toEqual([ids[102]])
    expect((await found(ids[1]!, 'r_named_1', 'r_named_2')).sort()).toEqual([ids[1], ids[2]].sort())
    expect(await found('r_named', 'run:r_named_1')).toEqual([])
    expect(await found()).toEqual([])
    expect(await store.findNamed('acme/other', ['r_named_1'])).toEqual([])
    await store.bindRun(ids[1]!, 5, 1, 2000)
    expect(await found('r_named_1')).toEqual([])
  })

  test('what was sent around a time is told, the oldest first, whatever became of it', async () => {
    const store = await place.emptied()
    const send = async (now: number, eventType: string, repository = 'acme/shop') => {
      const [id] = await acceptAll(store, { eventType, repository })
      const [claimed] = await store.claimQueued(1000, 0, 1)
      await store.markSent(claimed!, now)
      const dispatched = { state: 'dispatched' as const, dispatchedAt: now, dueAt: now }
      await store.record(claimed!, dispatched, now)
      return id!
    }
    const ids = [
      await send(2000, 'deploy'),
      await send(3000, 'test', 'ACME/shop'),
      await send(4000, 'deploy'),
      await send(5000, 'lint'),
      await send(6000, 'deploy', 'acme/other'),
    ]
    await acceptAll(store, { eventType: 'deploy' })
    await store.bindRun(ids[2]!, 77, 1, 6000)
    const [watched] = await store.claimWatched(9000, 10, 1)
    await store.record(watched!, { state: 'failed', dueAt: null, pastRuns: [7, 8] }, 9000)
    const between = async (from: number, to: number, limit = 100) =>
      store.sentBetween('acme/Shop', ['deploy', 'test', 'none'], { from, to, limit })
    expect(await between(2000, 4000)).toEqual([
      {
        id: ids[0],
        seq: 1,
        eventType: 'deploy',
        sentAt: 2000,
        over: true,
        githubRunId: null,
        pastRuns: [7, 8],
      },
      { id: ids[1], seq: 2, eventType: 'test', sentAt: 3000, over: false, githubRunId: null, pastRuns: [] },
      { id: ids[2], seq: 3, eventType: 'deploy', sentAt: 4000, over: false, githubRunId: 77, pastRuns: [] },
    ])
    expect((await between(2001, 3999)).map(({ id }) => id)).toEqual([ids[1]])
    expect(await between(2000, 4000, 2)).toHaveLength(2)
    expect(await store.sentBetween('acme/shop', [], { from: 0, to: 9000, limit: 9 })).toEqual([])
  })
}
