import { expect, test } from 'vitest'
import type { Filter } from '../../../relay/store/store.ts'
import { acceptAll, aDispatched, aFailed, aLine, applyTo, aRun, get, type Place } from '../place.ts'

export function lookupTests(place: Place): void {
  test('runs are found by their ids with the delivery they belong to, however the repository is written', async () => {
    const store = await place.emptied()
    const [id, other] = [await aDispatched(store), await aDispatched(store, { repository: 'acme/other' })]
    const runs = [aRun(77), aRun(78, { past: true })]
    await applyTo(store, id, { change: { state: 'running', runs } })
    await applyTo(store, other, { change: { state: 'running', runs: [aRun(77)] } })
    const found = await store.findRuns('Acme/Shop', [76, 77, 78])
    expect(found.toSorted((a, b) => a.id - b.id)).toEqual(runs.map(run => ({ ...run, delivery: id })))
    expect(await store.findRuns('acme/shop', [])).toEqual([])
    expect(await store.findRuns('acme/none', [77])).toEqual([])
  })

  test('open deliveries are found by dedupe key or id, however many others there are', async () => {
    const store = await place.emptied()
    const ids: string[] = []
    for (let i = 0; i < 103; i++) ids.push((await acceptAll(store, { runId: `r_named_${i}` }))[0]!)
    const find = async (dedupeKeys: string[], named: string[] = [], repository = 'ACME/shop') =>
      (await store.findNamed(repository, { dedupeKeys, ids: named })).map(({ id }) => id).toSorted()
    expect(await find(['run:deploy', 'run:r_named_102', 'run:x'])).toEqual([ids[102]])
    expect(await find(['run:r_named_1', 'run:r_named_2'], [ids[1]!, ids[3]!])).toEqual(
      [ids[1], ids[2], ids[3]].toSorted(),
    )
    expect(await find(['r_named_1'])).toEqual([])
    expect(await find([])).toEqual([])
    expect(await find(['run:r_named_1'], [], 'acme/other')).toEqual([])
    for (const state of ['dispatched', 'running', 'finished'] as const) {
      await applyTo(store, ids[1]!, { change: { state } })
      expect(await find(['run:r_named_1'])).toEqual(state === 'finished' ? [] : [ids[1]])
    }
  })

  test('what was dispatched in a time is told by event type, whatever became of it', async () => {
    const store = await place.emptied()
    const attempt = async (attemptedAt: number, eventType: string | null, repository = 'acme/shop') => {
      const workflow = eventType === null ? 'deploy.yml' : null
      const id = await aDispatched(store, { eventType, workflow, repository })
      await applyTo(store, id, { change: { attemptedAt } })
      return id
    }
    const own = await attempt(3000, 'deploy')
    const ended = await attempt(2000, 'test')
    await applyTo(store, ended, { change: { state: 'failed', dueAt: null } })
    await attempt(4000, null)
    await attempt(4001, 'late')
    await attempt(1999, 'early')
    await attempt(3000, 'elsewhere', 'acme/other')
    await acceptAll(store, { eventType: 'queued' })
    expect(await store.attemptedBetween('acme/shop', 2000, 4000, own)).toEqual([
      { eventType: 'test' },
      { eventType: null },
    ])
  })

  test('dispatched deliveries without a run are listed, the oldest first', async () => {
    const store = await place.emptied()
    const [first, second, bound] = [
      await aDispatched(store),
      await aDispatched(store),
      await aDispatched(store),
    ]
    await applyTo(store, bound, { change: { state: 'running', runs: [aRun(5)] } })
    await aDispatched(store, { repository: 'acme/other' })
    await acceptAll(store, {})
    expect((await store.findUnbound('acme/Shop')).map(({ id }) => id)).toEqual([first, second])
  })

  test('deliveries are listed newest first, page by page, narrowed by each filter and by all of them', async () => {
    const store = await place.emptied()
    const ids = [
      await aFailed(store, 2000, { receivedAt: 1000 }),
      await aFailed(store, 2000, { receivedAt: 2000, repository: 'acme/b' }),
      await aDispatched(store, { receivedAt: 3000, repository: 'acme/b', action: 'test' }),
      ...(await acceptAll(
        store,
        { receivedAt: 4000, repository: 'acme/b', runId: 'r_listed' },
        { receivedAt: 5000, action: 'test' },
        { receivedAt: 6000, repository: 'acme/c' },
      )),
    ]
    const seqs = new Map(await Promise.all(ids.map(async id => [id, (await get(store, id)).seq] as const)))
    const filters: [Filter, number[]][] = [
      [{}, [0, 1, 2, 3, 4, 5]],
      [{ state: 'failed' }, [0, 1]],
      [{ state: 'queued' }, [3, 4, 5]],
      [{ state: 'finished' }, []],
      [{ repository: 'Acme/B' }, [1, 2, 3]],
      [{ repository: 'acme/b', state: 'dispatched' }, [2]],
      [{ repository: 'acme/b', state: 'queued' }, [3]],
      [{ action: 'test' }, [2, 4]],
      [{ action: 'test', state: 'queued' }, [4]],
      [{ since: 4000 }, [3, 4, 5]],
      [{ since: 4000, repository: 'acme/b' }, [3]],
      [{ dedupeKeys: ['run:r_listed', 'run:labs:r_listed'] }, [3]],
      [{ dedupeKeys: ['run:r_listed'], state: 'failed' }, []],
      [
        { dedupeKeys: ['run:r_listed'], repository: 'acme/b', state: 'queued', action: 'deploy', since: 1 },
        [3],
      ],
    ]
    for (const [filter, expected] of filters) {
      const all = expected.map(i => ids[i]).reverse()
      const list = async (options: { before?: number; limit: number }) =>
        (await store.list(filter, options)).map(({ id }) => id)
      expect(await list({ limit: 10 }), JSON.stringify(filter)).toEqual(all)
      expect(await list({ limit: 2 }), JSON.stringify(filter)).toEqual(all.slice(0, 2))
      if (!all[0]) continue
      const before = seqs.get(all[0])!
      expect(await list({ before, limit: 1 }), JSON.stringify(filter)).toEqual(all.slice(1, 2))
    }
  })

  test('what is open and what failed is counted', async () => {
    const store = await place.emptied()
    expect(await store.counts()).toEqual({ queued: 0, dispatched: 0, running: 0, failed: 0 })
    await aFailed(store)
    await applyTo(store, await aDispatched(store), { change: { state: 'running' } })
    await applyTo(store, await aDispatched(store), { change: { state: 'finished' } })
    await aDispatched(store)
    await acceptAll(store, {}, {})
    expect(await store.counts()).toEqual({ queued: 2, dispatched: 1, running: 1, failed: 1 })
  })

  test('what waits is known with its age: due work of each kind, and messages', async () => {
    const store = await place.emptied()
    const nothing = { dispatch: null, watch: null, outbox: null }
    expect(await store.backlog(9_000, null)).toEqual({ dueSince: nothing, messages: 0, oldestMessage: null })
    await acceptAll(
      store,
      { receivedAt: 1_000, repository: 'acme/a' },
      { receivedAt: 500, repository: 'other/b' },
      { receivedAt: 2_000, repository: 'acme/a' },
    )
    const watched = await aDispatched(store, { repository: 'acme/c', receivedAt: 100 })
    await applyTo(store, watched, { change: { dueAt: 3_000 }, messages: [aLine('one')] }, 4_000)
    await applyTo(store, watched, { messages: [aLine('two'), aLine('three')] }, 5_000)
    const seen = async (now: number) => (await store.backlog(now, null)).dueSince
    expect(await store.backlog(9_000, null)).toEqual({
      dueSince: { dispatch: 500, watch: 3_000, outbox: 4_000 },
      messages: 3,
      oldestMessage: 4_000,
    })
    expect(await seen(999)).toEqual({ dispatch: 500, watch: null, outbox: null })
    // What waits behind a closed gate, or is worked on, is not due.
    await store.closeGate({ scope: 'owner:other', closedUntil: 20_000, reason: 'limited' })
    expect((await seen(9_000)).dispatch).toBe(1_000)
    await store.claimQueued(9_000, 60_000, 1, null)
    await store.claimWatched(9_000, 60_000, 1)
    await store.claimOutboxes(9_000, 60_000, 1)
    expect(await seen(9_000)).toEqual(nothing)
  })
}
