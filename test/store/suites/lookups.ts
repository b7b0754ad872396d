import { expect, onTestFinished, test } from 'vitest'
import { LIMITS } from '../../../relay/config/limits.ts'
import { schemaVersion } from '../../../relay/store/migrations.ts'
import { openBackend } from '../../../relay/store/open.ts'
import type { Filter } from '../../../relay/store/store.ts'
import { createStore } from '../../../relay/store/store.ts'
import {
  acceptAll,
  aDispatched,
  aFailed,
  aLine,
  applyTo,
  aRun,
  get,
  NO_OUTCOME,
  type Place,
} from '../place.ts'

export function lookupTests(place: Place): void {
  test('finds runs and their deliveries by run ID, and ignores case in the repository name', async () => {
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

  test('lists the event types of all dispatches of a period, regardless of the outcome', async () => {
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
    // GitHub's webhooks use the owner's spelling of the repository.
    const others = await store.attemptedBetween('Acme/Shop', 2000, 4000, own)
    expect(others).toEqual([{ eventType: 'test' }, { eventType: null }])
  })

  test('lists deliveries newest first, in pages, with each filter and with all filters combined', async () => {
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
      [{ outcome: 'not_started' }, [0, 1]],
      [{ state: 'queued', outcome: 'not_started' }, []],
      [{ outcome: 'not_started', repository: 'acme/b' }, [1]],
      [{ outcome: 'not_started', state: 'failed', since: 2000, action: 'deploy' }, [1]],
      [{ repository: 'Acme/B' }, [1, 2, 3]],
      [{ repository: 'acme/b', state: 'dispatched' }, [2]],
      [{ repository: 'acme/b', state: 'queued' }, [3]],
      [{ action: 'test' }, [2, 4]],
      [{ action: 'test', state: 'queued' }, [4]],
      [{ since: 4000 }, [3, 4, 5]],
      [{ since: 4000, repository: 'acme/b' }, [3]],
      [{ runId: 'r_listed' }, [3]],
      [{ runId: 'r_listed', state: 'failed' }, []],
      [{ runId: 'r_listed', repository: 'acme/b', state: 'queued', action: 'deploy', since: 1 }, [3]],
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

  test('a list request by action scans a limited number of deliveries per page, and the next page continues after them', async () => {
    const backend = await openBackend(await place.empty())
    onTestFinished(() => backend.close())
    const store = createStore(backend)
    const amount = LIMITS.listed + 50
    const sql = `
      INSERT INTO deliveries (id, dedupe_key, sent_as, kind, action, repository, event_type, invocation, state, outcome,
        received_at, queued_at, updated_at)
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${amount})
      SELECT 'd' || i, 'k' || i, '', 'none', CASE WHEN i IN (7, 20) THEN 'rare' ELSE 'other' END, 'acme/' || (i % 2), 'e',
        '{}', 'finished', 'succeeded', i * 100000, i * 100000, 1 FROM n`
    await backend.run([{ sql, params: [] }])
    const listed = async (filter: Filter, before?: number) => [
      (await store.list(filter, { limit: 5, ...(before && { before }) })).map(({ id }) => id),
      await store.listedTo(filter, { before }),
    ]
    const filters: Filter[] = [{}, { state: 'finished' }, { repository: 'acme/0' }, { since: 1_500_000 }]
    for (const filter of filters) {
      const rare = { ...filter, action: 'rare' }
      expect(await listed(rare), JSON.stringify(filter)).toEqual([[], 51])
      const all = filter.since || filter.repository ? ['d20'] : ['d20', 'd7']
      expect(await listed(rare, 51), JSON.stringify(filter)).toEqual([all, null])
    }
    // The search has covered the whole period, so there is no next page.
    expect(await listed({ action: 'rare', since: amount * 100_000 })).toEqual([[], null])
    expect(await listed({ state: 'failed' })).toEqual([[], null])
    expect(await listed({ since: amount * 100_000 })).toEqual([[`d${amount}`], null])
    expect(await listed({ since: (amount + 1) * 100_000 })).toEqual([[], null])
    expect((await store.list({ since: 0 }, { limit: 1 }))[0]?.id).toBe(`d${amount}`)
  })

  test('counts open and failed deliveries', async () => {
    const store = await place.emptied()
    expect(await store.counts()).toEqual({ queued: 0, dispatched: 0, running: 0, failed: 0 })
    await aFailed(store)
    await applyTo(store, await aDispatched(store), { change: { state: 'running' } })
    await applyTo(store, await aDispatched(store), { change: { state: 'finished', outcome: 'failed' } })
    await aDispatched(store)
    await acceptAll(store, {}, {})
    expect(await store.counts()).toEqual({ queued: 2, dispatched: 1, running: 1, failed: 1 })
    expect(await store.outcomes()).toEqual({ ...NO_OUTCOME, failed: 1, not_started: 1 })
  })

  test('returns the time of the next due work, how long each kind of work has been due, and the oldest message', async () => {
    const store = await place.emptied()
    const nothing = { dispatch: null, watch: null, outbox: null }
    expect(await store.backlog(9_000)).toEqual({
      dueSince: nothing,
      messages: 0,
      ...{ oldestMessage: null, oldestOf: null, oldestReason: null },
      frozen: 0,
    })
    expect(await store.nextDue(0)).toEqual({ ...nothing, schemaVersion: schemaVersion() })
    await acceptAll(
      store,
      { receivedAt: 1_000, repository: 'acme/a' },
      { receivedAt: 500, repository: 'other/b' },
      { receivedAt: 2_000, repository: 'acme/a' },
    )
    const watched = await aDispatched(store, { repository: 'acme/c', receivedAt: 100 })
    await applyTo(store, watched, { change: { dueAt: 3_000 }, messages: [aLine('one')] }, 4_000)
    await applyTo(store, watched, { messages: [aLine('two'), aLine('three')] }, 5_000)
    const seen = async (now: number) => (await store.backlog(now)).dueSince
    const dueSince = { dispatch: 500, watch: 3_000, outbox: 4_000 }
    const oldest = { oldestMessage: 4_000, oldestOf: watched, oldestReason: null }
    expect(await store.backlog(9_000)).toEqual({ dueSince, messages: 3, frozen: 0, ...oldest })
    expect(await store.nextDue(0)).toEqual({ ...dueSince, schemaVersion: schemaVersion() })
    expect(await seen(999)).toEqual({ dispatch: 500, watch: null, outbox: null })
    // A paused queue also has an age. Deliveries that are being processed don't count as due.
    await store.savePause({ scope: 'owner:other', pausedUntil: 20_000, cause: 'limit', reason: 'limited' })
    await store.claimPolls(9_000, 60_000, 1)
    await store.claimOutboxes(9_000, 60_000, 1)
    expect(await seen(9_000)).toEqual({ ...nothing, dispatch: 500 })
  })
}
