import { expect, test } from 'vitest'
import {
  acceptAll,
  aDispatched,
  aFailed,
  aLine,
  apply,
  applyTo,
  aRun,
  aTransition,
  get,
  type Place,
} from '../place.ts'

export function applyTests(place: Place): void {
  test('a transition writes its change, messages, and history entry', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    let calls = 0
    store.onWork(() => calls++)
    const change = {
      ...{ state: 'dispatched' as const, reason: null, dueAt: 1200, attempts: 2, firstAttemptAt: 1050 },
      ...{ attemptedAt: 1090, awaitingResponseSince: null, shownCause: 'error' as const, dispatchedAt: 1100 },
      ...{ cancelRequestedAt: 1101, cancelSentAt: 1102, cancelForced: true, waitingFor: 'production' },
      ...{ decisions: 'staging:approved', outputs: '{"url":"https://a.example"}' },
    }
    const history = { type: 'dispatchAccepted' as const, details: { attempt: 2 } }
    const messages = [aLine('one'), { update: { statusLabel: 'Waiting' }, unlessStarted: true }]
    expect(await applyTo(store, id!, { change, messages, history }, 1100)).toBe(true)
    expect(await get(store, id!)).toMatchObject({ ...change, version: 1, updatedAt: 1100 })
    expect(await store.history(id!)).toEqual([{ at: 1100, ...history }])
    const [page] = await store.claimOutboxes(1100, 10, 10)
    expect(page?.messages.map(({ message }) => message)).toEqual(messages)
    expect(page?.outputs).toBe(change.outputs)
    expect(calls).toBe(1)
  })

  test('deliveries get the same change together, unless another change came first or the freeze has ended', async () => {
    const store = await place.emptied()
    await acceptAll(store, ...['acme/a', 'acme/b', 'acme/c', 'acme/d'].map(repository => ({ repository })))
    const { id: frozenBy } = await store.addFreeze({ repositories: '*', reason: '', since: 1, endsAt: null })
    const found = await store.freezable(['acme/a', 'acme/b', 'acme/c', 'acme/d'], 10)
    const [first, second, third, last] = found.map(({ id }) => id) as [string, string, string, string]
    await applyTo(store, second, { change: { reason: 'changed' } })
    await applyTo(store, third, { change: { reason: 'changed' } })
    const history = { type: 'frozen' as const, details: { reason: '' } }
    const transition = aTransition({
      change: { frozenBy, dueAt: null },
      messages: [aLine('frozen')],
      history,
    })
    const all = await Promise.all([first, second, last].map(id => get(store, id)))
    const given = [...all, found[2]!].map(delivery => ({ delivery, transition }))
    expect(await store.apply(given, 2000)).toEqual([true, true, true, false])
    for (const id of [first, second, last]) {
      expect(await get(store, id)).toMatchObject({ frozenBy, updatedAt: 2000 })
      expect(await store.history(id)).toEqual([{ at: 2000, ...history }])
    }
    const pages = await store.claimOutboxes(2000, 10, 10)
    expect(pages.map(({ delivery }) => delivery).toSorted()).toEqual([first, second, last].toSorted())
    await store.endFreeze(frozenBy, 'release')
    expect(await applyTo(store, third, transition)).toBe(false)
    expect([await get(store, third), await store.history(third)]).toMatchObject([{ frozenBy: 0 }, []])
  })

  test('a transition that is based on an outdated version writes nothing', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    const decided = await get(store, id!)
    const transition = aTransition({
      change: { state: 'running', runs: [aRun(7)] },
      messages: [aLine('one')],
      history: { type: 'runBound', details: {} },
    })
    const responses = await Promise.all([0, 1, 2].map(() => apply(store, decided, transition, 2000)))
    expect(responses.toSorted()).toEqual([false, false, true])
    expect(await apply(store, { ...decided, id: 'unknown' }, transition, 2000)).toBe(false)
    expect(await get(store, id!)).toMatchObject({ version: 1, runs: [aRun(7)] })
    expect(await store.history(id!)).toHaveLength(1)
    expect((await store.claimOutboxes(2000, 10, 10))[0]?.messages).toHaveLength(1)
  })

  test("a transition that does not change the delivery keeps the delivery's version, lease, and update time", async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const [claimed] = await store.claimPolls(5000, 500, 10)
    expect(await applyTo(store, id, { messages: [aLine('one')] }, 5001)).toBe(true)
    expect(await get(store, id)).toEqual(claimed)
    expect(await store.claimPolls(5001, 500, 10)).toEqual([])
  })

  test("changing a delivery's runs replaces all of its runs", async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const first = aRun(12_345_678_901)
    const second = aRun(12_345_678_902, { past: true, conclusion: 'failure', status: 'completed' })
    await applyTo(store, id, { change: { runs: [first, second] } })
    expect((await get(store, id)).runs.toSorted((a, b) => a.id - b.id)).toEqual([first, second])
    await applyTo(store, id, { change: { runs: [{ ...first, attempt: 2, evidence: 'report' }] } })
    expect((await get(store, id)).runs).toEqual([{ ...first, attempt: 2, evidence: 'report' }])
    await applyTo(store, id, { change: { dueAt: 6000 } })
    expect((await get(store, id)).runs).toHaveLength(1)
  })

  test('a run belongs to only one delivery per repository, even after a redelivery', async () => {
    const store = await place.emptied()
    const [first, second] = [await aDispatched(store), await aDispatched(store)]
    const elsewhere = await aDispatched(store, { repository: 'acme/other' })
    const bind = (id: string, ...runs: number[]) =>
      applyTo(store, id, {
        change: { state: 'running', runs: runs.map(run => aRun(run)) },
        messages: [aLine('bound')],
        history: { type: 'runBound', details: {} },
      })
    expect(await bind(first, 77)).toBe(true)
    expect(await bind(second, 78, 77)).toBe(false)
    expect(await bind(elsewhere, 77)).toBe(true)
    expect(await get(store, second)).toMatchObject({ state: 'dispatched', runs: [], version: 1 })
    expect(await store.history(second)).toEqual([])
    await applyTo(store, first, { change: { runs: [aRun(77, { past: true })] } })
    expect(await bind(second, 77)).toBe(false)
    expect(await bind(second, 78)).toBe(true)
  })

  test('a repeated or late report writes nothing and counts as received; each sender is tracked separately', async () => {
    const store = await place.emptied()
    const id = await aDispatched(store)
    const report = (sender: string, number: number, message: string) =>
      applyTo(store, id, { messages: [aLine(message)] }, 2000, { sender, number, lines: 2, bytes: 100 })
    expect(await report('a', 1, 'one')).toBe(true)
    await Promise.all([0, 1, 2].map(() => report('a', 1, 'again')))
    expect(await report('a', 3, 'three')).toBe(true)
    await report('a', 2, 'late')
    expect(await report('b', 1, 'of b')).toBe(true)
    const [page] = await store.claimOutboxes(2000, 10, 10)
    expect(page?.messages.map(({ message }) => message)).toEqual(['one', 'three', 'of b'].map(aLine))
    expect(await store.reportUsage(id, 'a')).toEqual({ lines: 6, bytes: 300, lastNumber: 3 })
    expect(await store.reportUsage(id, 'c')).toEqual({ lines: 6, bytes: 300, lastNumber: 0 })
    expect(await store.reportUsage('unknown', 'a')).toEqual({ lines: 0, bytes: 0, lastNumber: 0 })
  })

  test('a redelivery is queued behind other deliveries, and its pending messages and reports are dropped', async () => {
    const store = await place.emptied()
    const id = await aFailed(store)
    const [waiting] = await acceptAll(store, {})
    const receipt = { sender: 'a', number: 5, lines: 2, bytes: 100 }
    await applyTo(store, id, { messages: [aLine('old')] }, 3000, receipt)
    const [page] = await store.claimOutboxes(3000, 60_000, 10)
    const runs = [aRun(7, { past: true })]
    const change = { state: 'queued', queuedAt: 8000, dueAt: 8000, attempts: 0, runs } as const
    await applyTo(store, id, { change, requeue: true, messages: [aLine('new')] }, 8000)

    expect(await store.settleOutbox(page!, { done: [page!.messages[0]!.seq] }, null, 8000)).toBe(false)
    const [next] = await store.claimOutboxes(8000, 10, 10)
    expect(next?.messages.map(({ message }) => message)).toEqual([aLine('new')])
    expect(await store.reportUsage(id, 'a')).toEqual({ lines: 0, bytes: 0, lastNumber: 0 })
    expect((await store.claimQueued(8000, 500, 10, 'owner:')).map(each => each.id)).toEqual([waiting])
    await applyTo(store, waiting!, { change: { state: 'dispatched' } })
    const [again] = await store.claimQueued(8000, 500, 10, 'owner:')
    expect(again).toMatchObject({ id, runs })
    const [later] = await acceptAll(store, {})
    expect((await get(store, later!)).seq).toBeGreaterThan(again!.seq)
  })

  test('keeps the first 50 and the last 150 entries of a long history', async () => {
    const store = await place.emptied()
    const [id] = await acceptAll(store, {})
    for (let n = 1; n <= 230; n++) {
      await applyTo(store, id!, { history: { type: 'responseLost', details: { n } } }, n)
    }
    const kept = (await store.history(id!)).map(({ at }) => at)
    const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
    expect(kept).toEqual([...numbers(1, 50), ...numbers(81, 230)])
  })
}
